"""Runs a function in one task a partition, all at the same time; one that is lost starts all again.

Spark gives up a barrier stage whose results go to the driver as soon as one of its tasks fails. One
that ends in a shuffle it runs again (`spark.stage.maxConsecutiveAttempts` times, 4), with the
executors that are left. So one shuffle of the few rows that come out stands behind the stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import BarrierTaskContext
    from pyspark.sql import DataFrame

_SCHEMA = "name string, content binary"


@dataclass(frozen=True)
class Task:
    """One of the tasks that run together, seen from inside.

    Attributes
    ----------
    context
        Spark's own.
    """

    context: BarrierTaskContext

    @property
    def rank(self) -> int:
        """From 0 to `size` - 1; the partition that it has."""
        return self.context.partitionId()

    @property
    def size(self) -> int:
        """How many tasks there are."""
        return len(self.context.getTaskInfos())

    @property
    def threads(self) -> int:
        """Processors that it may use, `spark.task.cpus`."""
        return self.context.cpus()

    @property
    def host(self) -> str:
        """Address of the machine that rank 0 runs on, as the others reach it."""
        return self.context.getTaskInfos()[0].address.split(":")[0]

    def share(self, text: str) -> str:
        """What rank 0 says, on all of them; the others' words are not heard."""
        return self.context.allGather(text)[0]

    def gpu(self) -> int:
        """Number of its GPU: what Spark gave it, or its place among the tasks of its machine."""
        found = self.context.resources().get("gpu")
        hosts = [info.address.split(":")[0] for info in self.context.getTaskInfos()]
        place = hosts[: self.rank].count(hosts[self.rank])
        return int(found.addresses[0]) if found else place


def run(
    rows: DataFrame, function: Callable[..., Mapping[str, bytes]], *args: Any
) -> dict[str, bytes]:
    """Run `function(task, table, *args)` on each partition of `rows`, all at once.

    Parameters
    ----------
    rows
        In as many partitions as there are to be tasks, no more than free slots.
    function
        Importable on the executors. `table` holds its partition's rows. It may run again from the
        beginning, in all tasks, after one was lost: what it is to remember it keeps elsewhere.

    Returns
    -------
    dict
        What rank 0 returned.

    Raises
    ------
    pyspark.errors.PythonException
        The function failed in one of them as often as Spark tries.
    """

    def on_task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyspark import BarrierTaskContext

        task = Task(BarrierTaskContext.get())
        found = function(task, pa.Table.from_batches(batches), *args)
        if task.rank == 0:
            columns = [pa.array(list(found)), pa.array(list(found.values()), pa.binary())]
            yield pa.RecordBatch.from_arrays(columns, ["name", "content"])

    stage = rows.mapInArrow(on_task, _SCHEMA, barrier=True).repartition(1)
    return {name: bytes(content) for name, content in stage.collect()}
