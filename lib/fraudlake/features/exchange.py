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
from typing import TYPE_CHECKING, Any

from fraudlake.features.kernels import xxhash
from fraudlake.features.rows import key_of, micros, put

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

TARGET = "_target"  # whether a row is to be computed, or only counts
SLICE = "_slice"  # the slice of time in which a hot key's row lies; 0 for the others
PACKED = "_bucket int, _rows binary"
# Rows that are split, or go through the kernels, at a time (more where a bucket has more).
_ROWS = 500_000


@dataclass(frozen=True)
class TimeSlicing:
    """How an entity's hot keys are cut: at the multiples of `length` since 1970 UTC.

    Attributes
    ----------
    keys
        The hot keys.
    length
        Microseconds of one slice, not below `reach`: so a row counts in its own slice and at most
        in the next.
    reach
        Microseconds before a row that its windows look back.
    """

    keys: tuple[Any, ...]
    length: int
    reach: int

    def hot(self, key: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Which rows are of a hot key."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.is_in(key, value_set=pa.array(self.keys, key.type)).to_numpy()

    def number(self, time: NDArray[np.int64]) -> NDArray[np.int32]:
        """Number of the slice that an instant lies in."""
        import numpy as np

        return (time // self.length).astype(np.int32)


@dataclass(frozen=True)
class Exchange:
    """Where an entity's rows go.

    Attributes
    ----------
    entity
        As in `Feature.entity`.
    keys
        Columns that hold its key.
    buckets
        Into how many the keys are split.
    partitions
        Partitions of the shuffle.
    fixed
        Whether bucket b must go to partition b modulo `partitions`, instead of where it suits.
    slicing
        Keys to be cut in time; None: none.
    """

    entity: str
    keys: tuple[str, ...]
    buckets: int
    partitions: int
    fixed: bool = False
    slicing: TimeSlicing | None = None

    def shuffled(self, packed: DataFrame) -> DataFrame:
        """Packed rows in the tasks that they belong to, bucket after bucket."""
        from pyspark.sql import functions as F

        if self.fixed or self.slicing:
            # Slices of a key go to partitions side by side, which adaptive execution leaves alone.
            place = F.col("_bucket") % self.partitions
            return packed.repartitionById(self.partitions, place).sortWithinPartitions("_bucket")
        return packed.repartition("_bucket").sortWithinPartitions("_bucket")

    def batches(self, rows: pa.Table, target: bool = True) -> Iterator[pa.RecordBatch]:
        """Rows by bucket, as Spark moves them; those that count in two slices twice.

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

        key = key_of(rows, self.keys)
        bucket = bucket_of(key, rows["tx_id"].to_numpy(), self.buckets)
        if self.slicing:
            time, hot = micros(rows), self.slicing.hot(rows[self.keys[0]])
            number = np.where(hot, self.slicing.number(time), 0).astype(np.int32)
            reached = self.slicing.number(time + self.slicing.reach - 1)
            # In the next slice such a row only counts.
            carried_over = np.flatnonzero(hot & (number < reached))
            rows = put(rows, SLICE, number)
            copies = put(rows.take(carried_over), TARGET, np.zeros(len(carried_over), bool))
            copies = put(copies, SLICE, number[carried_over] + np.int32(1))
            rows = pa.concat_tables([rows, copies])
            bucket = np.concatenate((bucket, bucket[carried_over])) + rows[SLICE].to_numpy()
            bucket %= self.buckets
        return packed_by(bucket, rows)


def bucket_of(key: pa.ChunkedArray, tx_id: NDArray[np.int64], buckets: int) -> NDArray[np.int32]:
    """The bucket of each row: by its key, or by its transaction where it has none.

    Rows without a key have no windows; by their own number they do not pile up in one place.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(key.type):
        hashed = xxhash.of_integers(pc.fill_null(key, 0).to_numpy())
    else:
        texts = key.combine_chunks().dictionary_encode()
        each = xxhash.of_texts([text.encode() for text in texts.dictionary.to_pylist()])
        hashed = np.append(each, 0)[pc.fill_null(texts.indices, -1).to_numpy()]
    if key.null_count:
        hashed = np.where(key.is_null().to_numpy(), xxhash.of_integers(tx_id), hashed)
    return (hashed % buckets).astype(np.int32)


def packed_by(bucket: NDArray[np.int32], rows: pa.Table) -> pa.RecordBatch:
    """One blob of rows for each bucket that has any."""
    import numpy as np
    import pyarrow as pa

    order = np.argsort(bucket)
    bucket, rows = bucket[order], rows.combine_chunks().take(order)
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    sink, ends = pa.BufferOutputStream(), [0]
    for start, end in itertools.pairwise([*starts, len(bucket)]):
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows.slice(start, end - start))
        ends.append(sink.tell())
    offsets = pa.py_buffer(np.array(ends, np.int32))
    blobs = pa.BinaryArray.from_buffers(pa.binary(), len(starts), [None, offsets, sink.getvalue()])
    return pa.record_batch([pa.array(bucket[starts], pa.int32()), blobs], ["_bucket", "_rows"])


@dataclass(frozen=True)
class PackTask:
    """What packs the rows of a partition; `target` as in `Exchange.batches`."""

    exchange: Exchange
    target: bool

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The partition's rows, packed."""
        import pyarrow as pa

        tables = (pa.Table.from_batches([batch]) for batch in batches)
        for rows in gathered(tables):
            yield from self.exchange.batches(rows, self.target)


def unpacked(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, pa.Table]]:
    """Buckets, one after the other, and their rows."""
    import pyarrow as pa

    blobs = itertools.chain.from_iterable(
        zip(batch["_bucket"].to_pylist(), batch["_rows"], strict=True) for batch in batches
    )
    for bucket, group in itertools.groupby(blobs, key=lambda blob: blob[0]):
        tables = [pa.ipc.open_stream(rows.as_buffer()).read_all() for _, rows in group]
        yield bucket, joined(tables)


def gathered(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Tables put together until they have enough rows to be worth a call."""
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(table)
        size += len(table)
        if size >= _ROWS:
            yield joined(waiting)
            waiting, size = [], 0
    if size:
        yield joined(waiting)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """One table; a column that some lack is null there."""
    import pyarrow as pa

    return pa.concat_tables(tables, promote_options="default")
