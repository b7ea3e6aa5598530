"""Rows that change tasks packed: a shuffle moves columns, not rows.

Spark's own shuffle and sort take every row in hand several times. Here Python splits the rows of a
task by bucket, and what Spark moves is one blob of Arrow columns for each bucket. All rows of a key
lie in one bucket.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.kernels import xxhash
from fraudlake.features.rows import key_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

PACKED = "_bucket int, _rows binary"
# Rows that are split, or go through the kernels, at a time (more where a bucket has more).
_ROWS = 500_000


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
        Partitions of the shuffle: bucket b goes to partition b modulo that.
    """

    entity: str
    keys: tuple[str, ...]
    buckets: int
    partitions: int

    def shuffled(self, packed: DataFrame) -> DataFrame:
        """Packed rows in the tasks that they belong to, bucket after bucket."""
        from pyspark.sql import functions as F

        placed = packed.repartitionById(self.partitions, F.col("_bucket") % self.partitions)
        return placed.sortWithinPartitions("_bucket")

    def batches(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Rows by bucket, as Spark moves them."""
        for start in range(0, len(rows), _ROWS):
            part = rows.slice(start, _ROWS)
            key = key_of(part, self.keys)
            yield packed_by(bucket_of(key, part["tx_id"].to_numpy(), self.buckets), part)


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
    """One blob of rows for each bucket that has any, in the order in which they stand."""
    import numpy as np
    import pyarrow as pa

    if (bucket[1:] < bucket[:-1]).any():
        # In numbers of 16 bits NumPy's stable sort goes by their digits.
        short = bucket.astype(np.uint16) if bucket.max() < 1 << 16 else bucket
        order = np.argsort(short, kind="stable")
        bucket, rows = bucket[order], taken(rows, order)
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    sink, ends = pa.BufferOutputStream(), [0]
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    for start, end in itertools.pairwise([*starts, len(bucket)]):
        with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
            writer.write_table(rows.slice(start, end - start))
        ends.append(sink.tell())
    offsets = pa.py_buffer(np.array(ends, np.int32))
    blobs = pa.BinaryArray.from_buffers(pa.binary(), len(starts), [None, offsets, sink.getvalue()])
    return pa.record_batch([pa.array(bucket[starts], pa.int32()), blobs], ["_bucket", "_rows"])


@dataclass(frozen=True)
class PackTask:
    """What packs the rows of a partition."""

    exchange: Exchange

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The partition's rows, packed."""
        import pyarrow as pa

        for rows in gathered(pa.Table.from_batches([batch]) for batch in batches):
            yield from self.exchange.batches(rows)


def taken(rows: pa.Table, order: NDArray[np.int64]) -> pa.Table:
    """Rows at these positions, in their order."""
    import pyarrow as pa

    columns = [_taken(column.combine_chunks(), order) for column in rows.itercolumns()]
    return pa.table(columns, rows.column_names)


def _taken(column: pa.Array, order: NDArray[np.int64]) -> pa.Array:
    import numpy as np
    import pyarrow as pa

    kind = column.type
    fixed = pa.types.is_primitive(kind) or pa.types.is_decimal(kind)
    if not fixed or pa.types.is_boolean(kind) or column.null_count:
        return column.take(pa.array(order))
    # NumPy takes several times as fast as Arrow.
    values = np.frombuffer(column.buffers()[1] or b"", f"V{kind.byte_width}")
    values = values[column.offset : column.offset + len(column)]
    return pa.Array.from_buffers(kind, len(order), [None, pa.py_buffer(values[order])])


def packed_table(rows: pa.Table) -> bytes:
    """A table as one blob."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


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
