"""Rows that change tasks packed: a shuffle moves columns, not rows.

Spark's own shuffle and sort take every row in hand several times. Here Python splits the rows of a
task by bucket, and what Spark moves and sorts is one blob of Arrow columns for each bucket. All
rows of a key lie in one bucket (a hot key's, in one for each slice of time), and a task takes its
buckets one after the other: its memory is that of a few buckets' rows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.hot_keys import Cut

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

TARGET = "_target"
PACKED = "_bucket int, _rows binary"
# Buckets for each partition of a shuffle.
_BUCKETS = 16
# Rows that are split, or go through the kernels, at a time (more where a bucket has more).
_ROWS = 500_000


@dataclass(frozen=True)
class Route:
    """Where an entity's rows go.

    Attributes
    ----------
    entity
        As in `Feature.entity`.
    keys
        Columns that hold its key.
    partitions
        Partitions of a shuffle.
    cut
        Keys to be cut in time; None: none.
    """

    entity: str
    keys: tuple[str, ...]
    partitions: int
    cut: Cut | None

    @property
    def bucket(self) -> str:
        """Column of a row's bucket, by its key alone."""
        return f"_bucket_{self.entity}"

    @property
    def slice(self) -> str:
        """Column of the slice of time in which a hot key's row lies; 0 for the others."""
        return f"_slice_{self.entity}"

    @property
    def again(self) -> str:
        """Column that says whether a hot key's row counts in the next slice as well."""
        return f"_again_{self.entity}"

    @property
    def groups(self) -> tuple[str, ...]:
        """Columns of what a window never crosses."""
        return (*self.keys, self.slice) if self.cut else self.keys

    def columns(self) -> dict[str, Column]:
        """The columns above, from those of a transaction."""
        from pyspark.sql import functions as F

        # Rows without a key have no windows; by their own number they do not pile up in one place.
        lacking = F.expr(" OR ".join(f"`{key}` IS NULL" for key in self.keys))
        place = F.when(lacking, F.xxhash64("tx_id")).otherwise(F.xxhash64(*self.keys))
        found = {self.bucket: F.pmod(place, F.lit(self.partitions * _BUCKETS)).cast("int")}
        if self.cut:
            found[self.slice] = self.cut.slice_of(self.keys[0])
            found[self.again] = self.cut.counts_again(self.keys[0])
        return found

    def shuffled(self, packed: DataFrame) -> DataFrame:
        """Packed rows in the tasks that they belong to, bucket after bucket."""
        from pyspark.sql import functions as F

        if self.cut:
            # Slices of a key go to partitions side by side, which adaptive execution leaves alone.
            place = F.col("_bucket") % self.partitions
            return packed.repartitionById(self.partitions, place).sortWithinPartitions("_bucket")
        return packed.repartition("_bucket").sortWithinPartitions("_bucket")

    def pack(self, rows: pa.Table, target: bool) -> Iterator[pa.RecordBatch]:
        """Rows by bucket, as Spark moves them; those that count again a second time, as context.

        Parameters
        ----------
        target
            Whether the rows are to be computed, or only count.
        """
        import numpy as np

        rows = put(rows, TARGET, np.full(len(rows), target))
        for start in range(0, len(rows), _ROWS):
            yield self._packed(rows.slice(start, _ROWS))

    def _packed(self, rows: pa.Table) -> pa.RecordBatch:
        import numpy as np
        import pyarrow as pa

        bucket = rows[self.bucket].to_numpy()
        if self.cut:
            number, again = rows[self.slice].to_numpy(), np.flatnonzero(rows[self.again])
            copies = put(rows.take(again), TARGET, np.zeros(len(again), bool))
            copies = put(copies, self.slice, number[again] + 1)
            rows = pa.concat_tables([rows, copies])
            bucket = np.concatenate((bucket, bucket[again])) + rows[self.slice].to_numpy()
            bucket %= self.partitions * _BUCKETS
        order = np.argsort(bucket)
        bucket, rows = bucket[order], rows.combine_chunks().take(order)
        starts = np.flatnonzero(np.diff(bucket, prepend=-1))
        sink, ends = pa.BufferOutputStream(), [0]
        for start, end in itertools.pairwise([*starts, len(bucket)]):
            with pa.ipc.new_stream(sink, rows.schema) as writer:
                writer.write_table(rows.slice(start, end - start))
            ends.append(sink.tell())
        offsets = pa.py_buffer(np.array(ends, np.int32))
        blobs = pa.BinaryArray.from_buffers(
            pa.binary(), len(starts), [None, offsets, sink.getvalue()]
        )
        return pa.record_batch([pa.array(bucket[starts]), blobs], ["_bucket", "_rows"])


@dataclass(frozen=True)
class Packing:
    """What packs the rows of a partition; `target` as in `Route.pack`."""

    route: Route
    target: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Batches of rows → batches of packed ones."""
        import pyarrow as pa

        tables = (pa.Table.from_batches([batch]) for batch in batches)
        for rows in gathered(tables):
            yield from self.route.pack(rows, self.target)


def unpacked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Rows of whole buckets from packed ones, several buckets at a time."""
    import pyarrow as pa

    def buckets() -> Iterator[pa.Table]:
        blobs = itertools.chain.from_iterable(
            zip(batch["_bucket"].to_pylist(), batch["_rows"], strict=True) for batch in batches
        )
        for _, group in itertools.groupby(blobs, key=lambda blob: blob[0]):
            yield _joined([pa.ipc.open_stream(rows.as_buffer()).read_all() for _, rows in group])

    return gathered(buckets())


def gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables put together until they have enough rows to be worth a call."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(table)
        size += len(table)
        if size >= _ROWS:
            yield _joined(waiting)
            waiting, size = [], 0
    if size:
        yield _joined(waiting)


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One table; a column that some lack is null there."""
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="default")


def put(rows: pa.Table, name: str, values: NDArray) -> pa.Table:
    """The rows with a column of these values, in the place of the one of that name."""
    import pyarrow as pa

    column = pa.array(values)
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, column)
    return rows.append_column(name, column)
