"""The ranks of a launch, seen from one of them, and what becomes of one that fails."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fraudlake.errors import FraudlakeError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from torch import Tensor


class Group(Protocol):
    """The ranks that train together. All a training loop needs of a launcher.

    Attributes
    ----------
    rank, size
        Number of this one, 0 ≤ rank < size, and how many there are.
    device
        Where this rank computes, as PyTorch calls it: `cpu` or `cuda:0`.
    """

    rank: int
    size: int
    device: str

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over the ranks, in the type and on the device of `values`.

        `values` may be overwritten.

        Raises
        ------
        LostRankError
            Another rank has gone.
        """


class LostRankError(RuntimeError):
    """What ends a rank when another one has gone: that one has the message that matters."""


@dataclass(frozen=True)
class Answer:
    """What a rank hands back: its result, or what it failed with.

    A failure travels as a result, since launchers tell it in words of their own or not at all.
    """

    rank: int
    result: Any = None
    failure: str = ""
    lost: bool = False


def answer(
    rank: int, join: Callable[[], Group], leave: Callable[[], None], function: Callable, args: tuple
) -> Answer:
    """Run `function(group, *args)`; whatever becomes of it, leave the group, so that none waits."""
    try:
        return Answer(rank, function(join(), *args))
    except Exception as error:  # noqa: BLE001 - the driver raises it
        text = str(error) if isinstance(error, FraudlakeError) else traceback.format_exc()
        return Answer(rank, failure=text.strip(), lost=isinstance(error, LostRankError))
    finally:
        leave()


def results(answers: Sequence[Answer]) -> list[Any]:
    """What each rank returned, in order of rank.

    Raises
    ------
    FraudlakeError
        A rank failed: in its own words, and not in those of the ranks that only lost it.

    Examples
    --------
    >>> results([Answer(1, "b"), Answer(0, "a")])
    ['a', 'b']
    """
    failed = sorted((one for one in answers if one.failure), key=lambda one: (one.lost, one.rank))
    if failed:
        raise FraudlakeError(f"training: rank {failed[0].rank} failed: {failed[0].failure}")
    return [one.result for one in sorted(answers, key=lambda one: one.rank)]


def on_loopback(spark: SparkSession) -> bool:
    """Whether the driver is on loopback, so that its executors are on the same machine."""
    host = spark.conf.get("spark.driver.host", "") or ""
    return host.startswith("127.") or host == "localhost"
