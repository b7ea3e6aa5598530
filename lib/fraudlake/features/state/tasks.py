"""What runs on partitions of the stores by transaction: what has come, what labels say of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.exchange import Exchange, bucket_of, packed_by
from fraudlake.features.feature import Feature
from fraudlake.features.rows import CHANGES, key_of
from fraudlake.features.stages import Result, onward
from fraudlake.features.state.entities import distinct, key_array
from fraudlake.features.state.stores import RowsTask, RunPaths, Store, StoreTask

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from fraudlake.features.state.points import Arrays

# Label changes on the way to an entity: which, and packed by its partitions.
PACKED_CHANGES = "_entity int, _bucket int, _rows binary"


@dataclass(frozen=True)
class FreshTask(RowsTask):
    """On a partition: new transactions, what labels say of them, and the run that they become.

    Attributes
    ----------
    labels
        The store of labels whose transactions had not come.
    rated
        Entity over labels → columns that hold its key.
    keep
        Columns to hand on.
    then
        Where the rows go; None: they are only remembered.
    """

    labels: RunPaths
    rated: Mapping[str, tuple[str, ...]]
    keep: frozenset[str]
    then: Exchange | Result | None

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        runs, pending = self.runs.read(partition), self.labels.read(partition)
        if rows is None:
            self.runs.write(partition, {})
            return
        order = ["tx_id", "event_time", *(["raw"] if "raw" in rows.column_names else [])]
        rows = rows.sort_by([(name, "ascending") for name in order])
        tx_id = rows["tx_id"].to_numpy()
        new = np.diff(tx_id, prepend=tx_id[0] - 1) != 0
        for run in runs:
            if run:
                at = np.minimum(np.searchsorted(run["tx_id"], tx_id), len(run["tx_id"]) - 1)
                new &= run["tx_id"][at] != tx_id
        rows = rows.filter(pa.array(new))
        arrays = {"tx_id": tx_id[new], "event_time": rows["event_time"].cast("int64").to_numpy()}
        for entity, keys in self.rated.items():
            key = key_of(rows, keys)
            arrays[f"key/{entity}"] = key_array(key)
            arrays[f"keyless/{entity}"] = key.is_null().to_numpy()
        self.runs.write(partition, arrays if new.any() else {})
        if self.then and len(rows):
            rows = rows.append_column(CHANGES, _changes_of(tx_id[new], pending))
            yield from onward(rows, self.keep, self.then)


@dataclass(frozen=True)
class LabelsTask(RowsTask):
    """On a partition: changes of transactions that are remembered go on, others wait.

    Attributes
    ----------
    labels
        The store of those that wait.
    rated
        How changes go to the stores of entities over labels.
    """

    labels: RunPaths
    rated: tuple[Exchange, ...]

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        runs = [run for run in self.runs.read(partition) if run]
        if rows is None:
            self.labels.write(partition, {})
            return
        rows = rows.sort_by([("tx_id", "ascending"), ("known", "ascending")])
        tx_id, known, change = (rows[name].to_numpy() for name in ("tx_id", "known", "change"))
        waits = np.ones(len(rows), bool)
        for run in runs:
            at = np.minimum(np.searchsorted(run["tx_id"], tx_id), len(run["tx_id"]) - 1)
            here = run["tx_id"][at] == tx_id
            waits &= ~here
            if here.any():
                event = pa.array(run["event_time"][at[here]])
                changes = rows.select(["tx_id", "known", "change"]).filter(pa.array(here))
                yield from self._packed(run, at[here], changes.append_column("event_time", event))
        arrays = {"tx_id": tx_id[waits], "known": known[waits], "change": change[waits]}
        self.labels.write(partition, arrays if waits.any() else {})

    def _packed(
        self, run: Arrays, at: NDArray[np.int64], changes: pa.Table
    ) -> Iterator[pa.RecordBatch]:
        """Changes of transactions at positions of a run, for each entity of which they have one."""
        import numpy as np
        import pyarrow as pa

        for number, exchange in enumerate(self.rated):
            keyed = ~run[f"keyless/{exchange.entity}"][at]
            if not keyed.any():
                continue
            found = run[f"key/{exchange.entity}"][at[keyed]]
            texts = found.dtype.kind == "S"
            key = pa.array([text[:-1].decode() for text in found] if texts else found)
            rows = changes.filter(pa.array(keyed)).append_column("key", key)
            bucket = bucket_of(rows["key"], rows["tx_id"].to_numpy(), exchange.buckets)
            packed = packed_by(bucket, rows)
            entity = pa.array(np.full(packed.num_rows, number, np.int32))
            yield pa.record_batch([entity, *packed.columns], ["_entity", "_bucket", "_rows"])


@dataclass(frozen=True)
class ChangesTask(StoreTask):
    """On a partition: the run that changes of known transactions become."""

    features: tuple[Feature, ...]

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        from fraudlake.features.state.label_changes import Changes, label_arrays

        arrays: Arrays = {}
        if rows is not None:
            keys, number = distinct(key_array(rows["key"]))
            names = ("event_time", "tx_id", "known", "change")
            changes = Changes(number, *(rows[name].to_numpy() for name in names))
            arrays = label_arrays(keys, changes, self.features)
        self.runs.write(partition, arrays)
        yield from ()


@dataclass(frozen=True)
class MergeTask:
    """On numbers of partitions: the known runs of each store as one new run."""

    runs: Mapping[str, RunPaths]
    oldest: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One partition after the other; no rows come out."""
        import numpy as np

        from fraudlake.features.state import sorted_runs

        for partition in (number for batch in batches for number in batch["id"].to_pylist()):
            for store, paths in self.runs.items():
                runs = paths.read(partition)
                if store not in tuple(Store):
                    parts = [sorted_runs.Run(arrays) for arrays in runs]
                    paths.write(partition, sorted_runs.merge(parts, self.oldest).arrays)
                    continue
                held = [arrays for arrays in runs if arrays]
                merged = {n: np.concatenate([a[n] for a in held]) for n in (held or [{}])[0]}
                if merged:
                    time = merged["event_time" if store == Store.TRANSACTIONS else "known"]
                    order = np.argsort(merged["tx_id"], kind="stable")
                    order = order[time[order] >= self.oldest]
                    merged = {name: values[order] for name, values in merged.items()}
                paths.write(partition, merged if merged and len(merged["tx_id"]) else {})
        yield from ()


def _changes_of(tx_id: NDArray[np.int64], pending: Sequence[Arrays]) -> pa.Array:
    """When each transaction's changes of the fraud count were known; null where there is none."""
    import numpy as np
    import pyarrow as pa

    from fraudlake.features.state.points import positions, starts

    of, known, change = [], [], []
    for run in (run for run in pending if run):
        low = np.searchsorted(run["tx_id"], tx_id)
        number, at = positions(low, np.searchsorted(run["tx_id"], tx_id, side="right"))
        of.append(number)
        known.append(run["known"][at])
        change.append(run["change"][at])
    if not of:
        return pa.nulls(len(tx_id), pa.list_(pa.int64()))
    number, time, sign = np.concatenate(of), np.concatenate(known), np.concatenate(change)
    order = np.lexsort((time, number))
    number, time, sign = number[order], time[order], sign[order]
    # What one run says and a later one takes back leaves nothing.
    first = starts(number, time)
    left = np.add.reduceat(sign, first) != 0 if len(first) else np.empty(0, bool)
    number, time = number[first][left], time[first][left]
    offsets = np.searchsorted(number, np.arange(len(tx_id) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(time))
