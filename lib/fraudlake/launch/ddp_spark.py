"""Runs a function on many ranks at once with torch.distributed in a barrier stage of Spark."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from fraudlake import session
from fraudlake.errors import FraudlakeError
from fraudlake.launch import device as devices
from fraudlake.launch import group

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from torch import Tensor

# A rank that ends closes its connections, which the others see at once. This is for one that hangs.
TIMEOUT = timedelta(minutes=5)


class TorchGroup:
    """The ranks of one launch (`group.Group`)."""

    def __init__(self, rank: int, size: int, device: str) -> None:
        self.rank, self.size, self.device = rank, size, device

    def sum(self, values: Tensor) -> Tensor:
        """As `group.Group` has it."""
        from torch import distributed

        moved = values.to(self.device)
        try:
            distributed.all_reduce(moved)
            return moved.to(values.device)
        except RuntimeError as error:
            raise group.LostRankError(str(error)) from error


def launch(
    spark: SparkSession,
    function: Callable[..., Any],
    workers: int,
    args: tuple[Any, ...],
    device: str = "auto",
) -> list[Any]:
    """Run `function(group, *args)` in one task of a barrier stage for each rank.

    Parameters and errors are those of `horovod_spark.launch`.
    """
    from py4j.protocol import Py4JJavaError

    session.require_slots(spark, workers, "training with PyTorch DDP")
    numbers = spark.sparkContext.parallelize(range(workers), workers)
    task = partial(_on_rank, function, args, device, group.on_loopback(spark))
    try:
        return group.results(numbers.barrier().mapPartitions(task).collect())
    except Py4JJavaError as error:
        lines = str(error.java_exception.getMessage()).splitlines()
        raise FraudlakeError(
            "training with PyTorch DDP: a rank ended without a message of its own (killed, or out "
            f"of memory?); Spark says: {' '.join(lines[:2])}"
        ) from error


def _on_rank(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    device: str,
    loopback: bool,
    _: Iterator[int],
) -> Iterator[group.Answer]:
    from pyspark import BarrierTaskContext
    from torch import distributed

    context = BarrierTaskContext.get()
    rank = context.partitionId()

    def leave() -> None:
        if distributed.is_initialized():
            distributed.destroy_process_group()

    yield group.answer(rank, partial(_join, context, device, loopback), leave, function, args)


def _join(context: Any, device: str, loopback: bool) -> TorchGroup:
    from torch import distributed

    hosts = [info.address.rpartition(":")[0] or info.address for info in context.getTaskInfos()]
    rank, size = context.partitionId(), len(hosts)
    gpus = context.resources().get("gpu")
    chosen = devices.choose(device, gpus.addresses if gpus else (), hosts[:rank].count(hosts[rank]))
    if loopback:
        # A container may not let its ranks use another interface.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    host = "127.0.0.1" if loopback else hosts[0]
    store = partial(
        distributed.TCPStore,  # type: ignore[attr-defined]
        host,
        world_size=size,
        timeout=TIMEOUT,
    )
    if rank == 0:
        # Port 0 is any free one: nobody can take it between the choice and the use.
        opened = store(port=0, is_master=True, wait_for_workers=False)
        context.allGather(str(opened.port))
    else:
        opened = store(port=int(context.allGather("")[0]), is_master=False)
    distributed.init_process_group(
        "nccl" if chosen != "cpu" else "gloo",
        store=opened,
        rank=rank,
        world_size=size,
        timeout=TIMEOUT,
    )
    return TorchGroup(rank, size, chosen)
