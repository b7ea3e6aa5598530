"""Runs a function on many ranks at once with Horovod on Spark. Nothing else imports Horovod."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from fraudlake import session
from fraudlake.errors import FraudlakeError, SetupError
from fraudlake.launch import device as devices
from fraudlake.launch import group

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from torch import Tensor

START_TIMEOUT_S = 120


class HorovodGroup:
    """The ranks of one launch (`group.Group`)."""

    def __init__(self, device: str) -> None:
        import horovod.torch as hvd
        from horovod.spark.task import get_available_devices

        hvd.init()
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()
        self.device = devices.choose(device, get_available_devices(), hvd.local_rank())

    def sum(self, values: Tensor) -> Tensor:
        """As `group.Group` has it."""
        import horovod.torch as hvd

        try:
            # On the processor where Horovod was built without NCCL.
            moved = values.to(self.device if hvd.nccl_built() else "cpu")
            return hvd.allreduce_(moved, op=hvd.Sum).to(values.device)
        except RuntimeError as error:
            raise group.LostRankError(str(error)) from error


def launch(
    spark: SparkSession,
    function: Callable[..., Any],
    workers: int,
    args: tuple[Any, ...],
    device: str = "auto",
) -> list[Any]:
    """Run `function(group, *args)` in one Spark task for each rank, all at the same time.

    What the ranks print goes to standard error. To be called from the main thread, since Horovod
    sets signal handlers (they are put back).

    Parameters
    ----------
    function
        Importable on the executors; gets a `group.Group` first.
    workers
        Number of ranks.
    device
        Of each rank: `auto`, `cpu` or `cuda` (`device.choose`).

    Returns
    -------
    list
        What each rank returned, in order of rank.

    Raises
    ------
    SetupError
        Horovod is missing, there are fewer free slots than workers, or the ranks did not find each
        other within two minutes.
    FraudlakeError
        A rank failed, with its own message, or was killed.
    """
    try:
        import horovod.spark
        from horovod.runner.common.util.timeout import TimeoutException
    except ImportError as error:
        raise SetupError(
            f"Horovod is missing: got {error}, expected horovod.torch; run `make setup`, which "
            "builds it against the installed PyTorch, or train a contender that needs none"
        ) from error

    session.require_slots(spark, workers, "training with Horovod")
    with _streams_and_signals():
        try:
            answers = horovod.spark.run(
                _on_rank,
                args=(function, args, device),
                num_proc=workers,
                start_timeout=START_TIMEOUT_S,
                use_gloo=True,
                stdout=sys.stderr,
                stderr=sys.stderr,
                verbose=0,
                # A driver on loopback has its executors on the same machine, and Horovod would
                # pick an interface that a container may not let them use.
                nics=["lo"] if group.on_loopback(spark) else None,
                executable=spark.sparkContext.pythonExec,
            )
        except TimeoutException as error:
            raise SetupError(
                f"training with Horovod: got {error}, expected {workers} ranks that find each "
                f"other within {START_TIMEOUT_S} s; check that executors reach each other and the "
                "driver"
            ) from error
        except RuntimeError as error:
            raise FraudlakeError(
                "training with Horovod: a rank ended without a message of its own (killed, or out "
                f"of memory?); Horovod says: {error}"
            ) from error
    return group.results(answers)


def _on_rank(function: Callable[..., Any], args: tuple[Any, ...], device: str) -> group.Answer:
    import horovod.torch as hvd

    rank = int(os.environ["HOROVOD_RANK"])
    return group.answer(rank, partial(HorovodGroup, device), hvd.shutdown, function, args)


@contextlib.contextmanager
def _streams_and_signals() -> Iterator[None]:
    """Keep Horovod's own prints off standard output, and put the signal handlers back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
