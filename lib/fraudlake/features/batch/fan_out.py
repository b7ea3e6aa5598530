"""Transactions on their way out: own columns home, to each entity what its windows take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.addresses import (
    ADDRESS,
    COPY,
    COUNTS,
    OWN,
    SLICE,
    EntityWindows,
    Homes,
    addresses,
    call_number,
    moved,
)
from fraudlake.features.batch.changing import SINCE, Changing
from fraudlake.features.exchange import bucket_of, gathered, taken
from fraudlake.features.rows import key_of, micros, put

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FanOutTask:
    """What sends a partition's transactions to where they are worked on.

    Attributes
    ----------
    homes
        Who says where their home is; None: they are not computed, they only count.
    own
        Columns that go home.
    entities
        Number of an entity → its windows.
    changing
        Where rows that only count are asked for too, if their windows changed; None: they are not.
    """

    homes: Homes | None
    own: tuple[str, ...]
    entities: Mapping[int, EntityWindows]
    changing: Changing | None = None

    @property
    def reads(self) -> list[str]:
        """Columns of a transaction that it takes."""
        taken_out = (name for windows in self.entities.values() for name in windows.reads)
        return list(dict.fromkeys((*self.own, *taken_out)))

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The partition's rows, packed."""
        import pyarrow as pa
        from pyspark import TaskContext

        context = TaskContext.get()
        partition = context.partitionId() if context else 0
        tables = (pa.Table.from_batches([batch]) for batch in batches)
        for calls, rows in enumerate(gathered(tables)):
            yield from self._sent(rows, partition, call_number(partition, calls))

    def _sent(self, rows: pa.Table, partition: int, call: int) -> Iterator[pa.RecordBatch]:
        import numpy as np

        if self.homes is None:
            known = put(rows, ADDRESS, np.full(len(rows), COUNTS, np.int64))
        else:
            home = self.homes.of(rows, partition)
            order = np.argsort(home, kind="stable")
            home, known = home[order], taken(rows, order)
            place = np.arange(len(home)) - np.searchsorted(home, home)
            yield moved(OWN, home, known.select(self.own), call)
            known = put(known, ADDRESS, addresses(home, call, place))
        for number, windows in self.entities.items():
            yield self._to_entity(number, windows, known.select([*windows.reads, ADDRESS]))

    def _to_entity(self, number: int, windows: EntityWindows, rows: pa.Table) -> pa.RecordBatch:
        """Rows by the buckets of their keys; those that count in two slices of time twice."""
        import numpy as np
        import pyarrow as pa

        if self.homes is None:
            # Without a key a row counts in no window.
            for name in windows.keys:
                rows = rows.filter(rows[name].is_valid())
            if self.changing:
                rows = self.changing.kept(number, windows, rows)
        if self.changing:
            since = self.changing.since(rows, windows, new=self.homes is not None)
            rows = put(rows, SINCE, since)
        key = key_of(rows, windows.keys)
        bucket = bucket_of(key, rows["tx_id"].to_numpy(), windows.partitions)
        if slicing := windows.slicing:
            time, hot = micros(rows), slicing.hot(rows[windows.keys[0]])
            piece = np.where(hot, slicing.slices(time), 0).astype(np.int32)
            reached = slicing.slices(time + slicing.reach - 1)
            # In the next slice such a row only counts.
            again = np.flatnonzero(hot & (piece < reached))
            rows = put(rows, SLICE, piece)
            copies = put(taken(rows, again), ADDRESS, np.full(len(again), COPY, np.int64))
            copies = put(copies, SLICE, piece[again] + np.int32(1))
            rows = pa.concat_tables([rows, copies])
            bucket = np.concatenate((bucket, bucket[again])) + rows[SLICE].to_numpy()
            bucket %= windows.partitions
        return moved(number, bucket, rows)
