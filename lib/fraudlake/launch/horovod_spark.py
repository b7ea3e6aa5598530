"""Runs a function on many ranks at once with Horovod on Spark. Nothing else imports Horovod."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake import session
from fraudlake.errors import SetupError

if TYPE_CHECKING:
    import torch
    from pyspark.sql import SparkSession
    from torch import nn

START_TIMEOUT_S = 120


class HorovodGroup:
    """The ranks of one launch (`ranks.Group`)."""

    def __init__(self) -> None:
        import horovod.torch as hvd

        hvd.init()
        self.rank: int = hvd.rank()
        self.size: int = hvd.size()

    def sum(self, values: np.ndarray) -> np.ndarray:
        """As `ranks.Group` has it."""
        import horovod.torch as hvd
        import torch

        return hvd.allreduce(torch.from_numpy(values), op=hvd.Sum).numpy()

    def minimum(self, value: int) -> int:
        """As `ranks.Group` has it."""
        import horovod.torch as hvd
        import torch

        return int(hvd.allgather(torch.tensor([value])).min())

    def broadcast(self, model: nn.Module) -> None:
        """As `ranks.Group` has it."""
        import horovod.torch as hvd

        hvd.broadcast_parameters(model.state_dict(), root_rank=0)

    def averaging(
        self, optimizer: torch.optim.Optimizer, model: nn.Module
    ) -> torch.optim.Optimizer:
        """As `ranks.Group` has it."""
        import horovod.torch as hvd

        return hvd.DistributedOptimizer(optimizer, named_parameters=model.named_parameters())


def launch(
    spark: SparkSession, function: Callable[..., Any], workers: int, args: tuple[Any, ...]
) -> list[Any]:
    """Run `function(group, *args)` in one Spark task for each rank, all at the same time.

    What the ranks print goes to standard error. To be called from the main thread, since Horovod
    sets signal handlers (they are put back).

    Parameters
    ----------
    function
        Importable on the executors; gets a `ranks.Group` first.
    workers
        Number of ranks.

    Returns
    -------
    list
        What each rank returned, in order of rank.

    Raises
    ------
    SetupError
        Horovod is missing, there are fewer free slots than workers, or the ranks did not find each
        other within two minutes.
    RuntimeError
        A rank failed; its own message stands on standard error.
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
    host = spark.conf.get("spark.driver.host", "") or ""
    with _streams_and_signals():
        try:
            return horovod.spark.run(
                _on_rank,
                args=(function, args),
                num_proc=workers,
                start_timeout=START_TIMEOUT_S,
                use_gloo=True,
                stdout=sys.stderr,
                stderr=sys.stderr,
                verbose=0,
                # A driver on loopback has its executors on the same machine, and Horovod would
                # pick an interface that a container may not let them use.
                nics=["lo"] if host.startswith("127.") or host == "localhost" else None,
                executable=spark.sparkContext.pythonExec,
            )
        except TimeoutException as error:
            raise SetupError(
                f"training with Horovod: got {error}, expected {workers} ranks that find each "
                f"other within {START_TIMEOUT_S} s; check that executors reach each other and the "
                "driver"
            ) from error


def _on_rank(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    import horovod.torch as hvd

    try:
        return function(HorovodGroup(), *args)
    finally:
        hvd.shutdown()


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
