"""The kernels on one partition: packed Arrow columns in, targets with their features out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.exchange import SLICE, TARGET, Exchange, gathered, unpacked
from fraudlake.features.feature import reach_of
from fraudlake.features.rows import OVER, events_of, key_of, micros, put
from fraudlake.features.stages import Stage

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Rows that go through the kernels at a time.
_CHUNK_ROWS = 200_000


@dataclass(frozen=True)
class PartitionTask:
    """What computes an entity's windows on a partition.

    Rows of whole buckets are sorted, then go through in chunks, each with the earlier rows that its
    windows reach. A chunk is at least as large as these, so a row goes through twice on average at
    most.
    """

    stage: Stage

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The partition's rows as they go on."""
        for rows in gathered(bucket for _, bucket in unpacked(batches)):
            yield from self.stage.batches(self.computed(rows.combine_chunks()))

    def computed(self, rows: pa.Table) -> pa.Table:
        """Targets among the rows of whole buckets, each once, with their features."""
        import numpy as np

        features = self.stage.features
        entity = _numbers(rows, self.stage.exchange)
        order = _order(entity, micros(rows), rows["tx_id"].to_numpy(), rows[TARGET].to_numpy())
        entity, rows = entity[order], rows.take(order)
        time, target = micros(rows), rows[TARGET].to_numpy()
        keyless = int(np.searchsorted(entity, 0))
        lacking = np.count_nonzero(target[:keyless])
        kinds = {f.name: np.int64 if f.sql_type == "bigint" else np.float64 for f in features}
        chunks_of = {f.name: [np.full(lacking, f.empty_or_nan, kinds[f.name])] for f in features}
        inputs = rows.select(self.stage.reads)
        for low, first, end in self._chunks(entity, time, keyless):
            targets = np.flatnonzero(target[first:end]) + first - low
            part = inputs.slice(low, end - low)
            for name, values in self._windows(part, entity[low:end], targets).items():
                chunks_of[name].append(values)
        answered = rows.filter(target)
        for name, chunks in chunks_of.items():
            answered = put(answered, OVER + name, np.concatenate(chunks))
        return answered

    def _chunks(
        self, entity: NDArray[np.int64], time: NDArray[np.int64], first: int
    ) -> Iterator[tuple[int, int, int]]:
        """Positions: the earliest row that a chunk's windows reach, its first row, its end."""
        import numpy as np

        while first < len(entity):
            low = int(np.searchsorted(entity, entity[first]))
            oldest = time[first] - reach_of(self.stage.features)
            low += int(np.searchsorted(time[low:first], oldest, side="right"))
            end = min(len(entity), first + max(_CHUNK_ROWS, first - low))
            yield low, first, end
            first = end

    def _windows(
        self, rows: pa.Table, entity: NDArray[np.int64], targets: NDArray[np.int64]
    ) -> dict[str, NDArray]:
        """Feature → values of the targets (positions in the rows, rising), in their order."""
        from fraudlake.features.windows import windows

        features = self.stage.features
        return windows(events_of(rows, entity, features), targets, features)


def _numbers(rows: pa.Table, exchange: Exchange) -> NDArray[np.int64]:
    """A number for each key, and for each slice of a hot one, from 0; −1 where there is none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = key_of(rows, exchange.keys).combine_chunks().dictionary_encode().indices
    number = pc.fill_null(codes, -1).to_numpy().astype(np.int64)
    if exchange.slicing:
        piece = number * len(rows) + rows[SLICE].combine_chunks().dictionary_encode().indices
        pieces = pa.array(piece).dictionary_encode().indices.to_numpy().astype(np.int64)
        number = np.where(number < 0, -1, pieces)
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
