"""The kernels on one partition: packed Arrow columns in, targets' windows out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.addresses import (
    ADDRESS,
    CHANGED,
    COUNTS,
    OWN,
    SLICE,
    EntityWindows,
    Homes,
    blobs,
    home_of,
    moved,
    opened,
)
from fraudlake.features.batch.changing import SINCE, affected
from fraudlake.features.exchange import taken
from fraudlake.features.feature import Feature, reach_of
from fraudlake.features.rows import events_of, key_of, micros
from fraudlake.features.windows import windows as windows_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

CHECK = "_check"  # what tells at home that values are of the right transaction
# Rows that go through the kernels at a time.
_CHUNK_ROWS = 200_000


def check_of(tx_id: NDArray[np.int64]) -> NDArray[np.int32]:
    """A short sum of each transaction's id."""
    import numpy as np

    return ((tx_id ^ (tx_id >> 32)) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


@dataclass(frozen=True)
class PartitionTask:
    """What computes windows on a partition, one entity after the other.

    All rows of a key, or of a slice of it, are here. They are sorted, then go through in chunks,
    each with the earlier rows that its windows reach. A chunk is at least as large as these, so a
    row goes through twice on average at most.

    Attributes
    ----------
    entities
        Number of an entity → its windows.
    homes
        Who says where rows stand that only count, and whose windows may have changed; None: these
        are not asked for.
    """

    entities: Mapping[int, EntityWindows]
    homes: Homes | None = None

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Own columns as they came, and what windows give, on the way home."""
        import pyarrow as pa
        import pyarrow.compute as pc

        waiting: dict[int, list[pa.Scalar]] = defaultdict(list)

        for batch in batches:
            own = pc.equal(batch["_kind"], OWN)
            yield batch.filter(own)
            for _, kind, rows in blobs(iter([batch.filter(pc.invert(own))])):
                waiting[kind].append(rows)
        for kind in sorted(waiting):
            rows = opened(waiting.pop(kind)).combine_chunks()
            asked, answers = self.computed(self.entities[kind], rows)
            address, check = asked[ADDRESS].to_numpy(), check_of(asked["tx_id"].to_numpy())
            found = pa.table({ADDRESS: address, CHECK: check, **answers})
            if self.homes:
                stood = pa.array(address == COUNTS)
                found = found.filter(pc.invert(stood))
                changed = pa.table({"tx_id": asked["tx_id"], **answers}).filter(stood)
                yield moved(kind + CHANGED, self.homes.of(asked.filter(stood), 0), changed)
            yield moved(kind, home_of(found[ADDRESS].to_numpy()), found)

    def computed(
        self, windows: EntityWindows, rows: pa.Table
    ) -> tuple[pa.Table, dict[str, NDArray]]:
        """Rows that are asked for, each transaction's once, and their features."""
        import numpy as np
        import pyarrow as pa

        features = windows.features
        entity = _numbers(rows, windows)
        since = rows[SINCE].to_numpy() if self.homes else None
        tx_id, address = rows["tx_id"].to_numpy(), rows[ADDRESS].to_numpy()
        order = _order(entity, micros(rows), tx_id, address, since)
        entity, rows = entity[order], taken(rows.select([*windows.reads, ADDRESS]), order)
        time, address = micros(rows), address[order]
        target = address >= 0
        if since is not None:
            target |= affected(entity, time, since[order], features) & (address == COUNTS)
        keyless = int(np.searchsorted(entity, 0))
        lacking = np.count_nonzero(target[:keyless])
        chunks_of: dict[str, list[NDArray]]
        chunks_of = {f.name: [np.full(lacking, f.empty_or_nan, dtype_of(f))] for f in features}
        for low, first, end in _chunks(entity, time, keyless, reach_of(features)):
            targets = np.flatnonzero(target[first:end]) + first - low
            part = rows.slice(low, end - low)
            found = windows_of(events_of(part, entity[low:end], features), targets, features)
            for name, values in found.items():
                chunks_of[name].append(values)
        answers = {name: _narrow(np.concatenate(chunks)) for name, chunks in chunks_of.items()}
        asked = rows.select(["tx_id", "event_time", ADDRESS])
        return asked.filter(pa.array(target)), answers


def dtype_of(feature: Feature) -> type:
    """Type of a window's values in NumPy."""
    import numpy as np

    return np.int64 if feature.sql_type == "bigint" else np.float64


def _narrow(values: NDArray) -> NDArray:
    """Whole numbers in half the room, where they fit."""
    import numpy as np

    if values.dtype != np.int64 or not len(values):
        return values
    fits = values.min() >= -(2**31) and values.max() < 2**31
    return values.astype(np.int32) if fits else values


def _chunks(
    entity: NDArray[np.int64], time: NDArray[np.int64], first: int, reach: int
) -> Iterator[tuple[int, int, int]]:
    """Positions: the earliest row that a chunk's windows reach, its first row, its end."""
    import numpy as np

    while first < len(entity):
        low = int(np.searchsorted(entity, entity[first]))
        low += int(np.searchsorted(time[low:first], time[first] - reach, side="right"))
        end = min(len(entity), first + max(_CHUNK_ROWS, first - low))
        yield low, first, end
        first = end


def _numbers(rows: pa.Table, windows: EntityWindows) -> NDArray[np.int64]:
    """A number for each key, and for each slice of a hot one, from 0; −1 where there is none."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    codes = key_of(rows, windows.keys).combine_chunks().dictionary_encode().indices
    number = pc.fill_null(codes, -1).to_numpy().astype(np.int64)
    if windows.slicing:
        piece = number * len(rows) + rows[SLICE].combine_chunks().dictionary_encode().indices
        pieces = pa.array(piece).dictionary_encode().indices.to_numpy().astype(np.int64)
        number = np.where(number < 0, -1, pieces)
    return number


def _order(
    entity: NDArray[np.int64],
    time: NDArray[np.int64],
    tx_id: NDArray[np.int64],
    address: NDArray[np.int64],
    since: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Positions in the order of entity, time, transaction; of doubles the same for all entities.

    That is the first address, where any is to be computed, and what changes windows earliest.

    One fast sort by entity and time packed into one integer, the time as coarse as that needs;
    then an exact one of the few rows whose integers are equal.
    """
    import numpy as np

    elapsed = time - time.min(initial=0)
    length = int(elapsed.max(initial=0)).bit_length()
    coarse = max(0, length + int(entity.max(initial=0) + 1).bit_length() - 63)
    packed = (entity << (length - coarse)) + (elapsed >> coarse)
    order = np.argsort(packed)
    packed = packed[order]
    same = packed[1:] == packed[:-1]
    equal = np.flatnonzero(np.append(same, False) | np.append(False, same))
    few = order[equal]
    first = address[few].view(np.uint64)  # −1 comes last
    earliest = first if since is None else since[few]
    few = few[np.lexsort((earliest, first, tx_id[few], time[few], packed[equal]))]
    order[equal] = few
    double = np.zeros(len(order), bool)
    double[equal[1:]] = np.logical_and.reduce(
        [values[few[1:]] == values[few[:-1]] for values in (entity, time, tx_id)]
    )
    return order[~double]
