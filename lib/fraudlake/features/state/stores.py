"""The stores of a stream's state: partitions, the files of their runs, and tasks over them.

A task has one partition or several: many keep the start of a state within memory, and a task for
each would cost a small batch more than its rows. One that runs again writes the same files again. A
store that is known to have a run has a file of it in every partition, so a lost one is noticed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake.features.exchange import unpacked

if TYPE_CHECKING:
    import pyarrow as pa

    from fraudlake.features.state.points import Arrays

PARTITION = "_partition"  # of the state, where a row belongs


class Store(StrEnum):
    """Stores by transaction, beside those of the entities."""

    TRANSACTIONS = "transactions"  # what has come
    LABELS = "labels"  # of what has not come yet


@dataclass(frozen=True)
class RunPaths:
    """Where the runs of one store are and what they are called.

    Attributes
    ----------
    folder
        Of the store: an entity's, or one of `Store`.
    known
        Names of the runs to read.
    new
        Name of the run to write.
    partitions
        Number of the state's partitions.
    tasks
        Number of tasks that share them: task t has partition t and each `tasks`-th after it.
    """

    folder: str
    known: tuple[str, ...]
    new: str
    partitions: int
    tasks: int = 1

    def read(self, partition: int) -> list[Arrays]:
        """The known runs.

        Raises
        ------
        DamagedError
            The file of one is missing, or other than it was written.
        """
        from fraudlake.features.state import run_files

        return [run_files.read(path) for path in self.paths(partition)]

    def paths(self, partition: int) -> list[Path]:
        """Files of the known runs."""
        return [self._path(partition, name) for name in self.known]

    def write(self, partition: int, arrays: Arrays) -> None:
        """Write the new run; what stands there is replaced at once or not at all."""
        from fraudlake.features.state import run_files

        run_files.write(self._path(partition, self.new), arrays)

    def _path(self, partition: int, name: str) -> Path:
        return Path(self.folder, f"{partition:05d}", f"{name}.run")


@dataclass(frozen=True)
class StoreTask(ABC):
    """On each partition of a task: what `_on` does with its rows; None where it has none."""

    runs: RunPaths

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One partition after the other."""
        from pyspark import TaskContext

        context: Any = TaskContext.get()
        partitions = range(context.partitionId(), self.runs.partitions, self.runs.tasks)
        tables = self._tables(partitions, [batch for batch in batches if batch.num_rows])
        for partition in partitions:
            yield from self._on(partition, tables.get(partition))

    def _tables(self, partitions: range, batches: list[pa.RecordBatch]) -> dict[int, pa.Table]:  # noqa: ARG002  # of packed rows all are its own
        """Partition → its rows."""
        return {number: rows.combine_chunks() for number, rows in unpacked(iter(batches))}

    @abstractmethod
    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        """Answer the rows of one partition and leave its files; no rows leave files too."""


class RowsTask(StoreTask):
    """The same over rows that are not packed, with the number of their partition."""

    def _tables(self, partitions: range, batches: list[pa.RecordBatch]) -> dict[int, pa.Table]:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not batches:
            return {}
        rows = pa.Table.from_batches(batches).combine_chunks()
        if len(partitions) == 1:
            return {partitions[0]: rows}
        tables = {number: rows.filter(pc.equal(rows[PARTITION], number)) for number in partitions}
        return {number: table for number, table in tables.items() if len(table)}
