"""The kernels on one partition: packed Arrow columns in, targets with their features out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.exchange import TARGET, Route, put, unpacked
from fraudlake.features.columns import arrays_of, changes_of
from fraudlake.features.feature import Feature, reach_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Rows that go through the kernels at a time, and rows of a batch that comes out.
_CHUNK_ROWS, _BATCH_ROWS = 200_000, 50_000


@dataclass(frozen=True)
class Kernel:
    """What computes an entity's windows on a partition.

    Rows of whole buckets are sorted, then go through in chunks, each with the earlier rows that its
    windows reach. A chunk is at least as large as these, so a row goes through twice on average at
    most.

    Attributes
    ----------
    route
        How the rows came.
    read
        Further columns that the windows need.
    scale
        Column → how many minor units make one.
    kept
        Columns that come out with the features.
    onward
        How the targets go on, packed; None: they come out as rows.
    """

    route: Route
    read: tuple[str, ...]
    features: tuple[Feature, ...]
    scale: dict[str, int]
    kept: tuple[str, ...]
    onward: Route | None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Packed rows → targets with features, packed again where another exchange follows."""
        for rows in unpacked(batches):
            made = self.made(rows.combine_chunks())
            if self.onward:
                yield from self.onward.pack(made, target=True)
            else:
                yield from made.to_batches(max_chunksize=_BATCH_ROWS)

    def made(self, rows: pa.Table) -> pa.Table:
        """Targets among the rows of whole buckets, each once, with their features."""
        import numpy as np

        entity = _numbers(rows, self.route.groups)
        order = _order(entity, _micros(rows), rows["tx_id"].to_numpy(), rows[TARGET].to_numpy())
        entity, rows = entity[order], rows.take(order)
        time, target = _micros(rows), rows[TARGET].to_numpy()
        keyless = int(np.searchsorted(entity, 0))
        lacking = np.count_nonzero(target[:keyless])
        kinds = {f.name: np.int64 if f.sql_type == "bigint" else np.float64 for f in self.features}
        found = {f.name: [np.full(lacking, f.empty_or_nan, kinds[f.name])] for f in self.features}
        for low, first, end in self._chunks(entity, time, keyless):
            targets = np.flatnonzero(target[first:end]) + first - low
            part = rows.select(self.read).slice(low, end - low)
            for name, values in self._windows(
                part, entity[low:end], time[low:end], targets
            ).items():
                found[name].append(values)
        made = rows.select(self.kept).filter(target)
        for name, chunks in found.items():
            made = put(made, name, np.concatenate(chunks))
        return made

    def _chunks(
        self, entity: NDArray[np.int64], time: NDArray[np.int64], first: int
    ) -> Iterator[tuple[int, int, int]]:
        """Positions: the earliest row that a chunk's windows reach, its first row, its end."""
        import numpy as np

        while first < len(entity):
            low = int(np.searchsorted(entity, entity[first]))
            oldest = time[first] - reach_of(self.features)
            low += int(np.searchsorted(time[low:first], oldest, side="right"))
            end = min(len(entity), first + max(_CHUNK_ROWS, first - low))
            yield low, first, end
            first = end

    def _windows(
        self,
        table: pa.Table,
        entity: NDArray[np.int64],
        time: NDArray[np.int64],
        targets: NDArray[np.int64],
    ) -> dict[str, NDArray]:
        """Feature → values of the targets (positions in the table, rising), in their order."""
        from fraudlake.features.kernels.events import Events
        from fraudlake.features.windows import windows

        events = Events(entity, time, scale=self.scale, **arrays_of(table), **changes_of(table))
        return windows(events, targets, self.features)


def _numbers(rows: pa.Table, groups: tuple[str, ...]) -> NDArray[np.int64]:
    """A number for each combination of the groups' values, from 0; −1 where one is missing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    number = np.zeros(len(rows), np.int64)
    missing = np.zeros(len(rows), bool)
    for name in groups:
        codes = rows[name].combine_chunks().dictionary_encode().indices
        missing |= codes.is_null().to_numpy(zero_copy_only=False)
        pair = number * len(rows) + pc.fill_null(codes, 0).to_numpy()
        number = pa.array(pair).dictionary_encode().indices.to_numpy().astype(np.int64)
    number[missing] = -1
    return number


def _order(
    entity: NDArray[np.int64],
    time: NDArray[np.int64],
    tx_id: NDArray[np.int64],
    target: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Positions in the order of entity, time, transaction; of doubles one, a target if there is.

    One fast sort by entity and time packed into one integer, the time as coarse as that needs;
    then an exact one of the few rows whose integers are equal.
    """
    import numpy as np

    since = time - time.min(initial=0)
    length = int(since.max(initial=0)).bit_length()
    coarse = max(0, length + int(entity.max(initial=0) + 1).bit_length() - 63)
    packed = (entity << (length - coarse)) + (since >> coarse)
    order = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    equal = np.flatnonzero(np.append(same, False) | np.append(False, same))
    few = order[equal]
    few = few[np.lexsort((~target[few], tx_id[few], time[few], packed[equal]))]
    order[equal] = few
    double = np.zeros(len(order), bool)
    double[equal[1:]] = np.logical_and.reduce(
        [values[few[1:]] == values[few[:-1]] for values in (entity, time, tx_id)]
    )
    return order[~double]


def _micros(rows: pa.Table) -> NDArray[np.int64]:
    return rows["event_time"].cast("int64").to_numpy()
