"""What runs on a partition of the state: open its runs, answer, leave a new run.

A task has one partition or several: many keep the start of a state within memory, and a task for
each would cost a small batch more than its rows. One that runs again writes the same files again. A
store that is known to have a run has a file of it in every partition, so a lost one is noticed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake.features import columns
from fraudlake.features.feature import Feature, Input

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from fraudlake.features.kernels.events import Events
    from fraudlake.features.state.points import Arrays, Keys
    from fraudlake.features.state.sorted_runs import Batch, Run

KEY = "_key_"  # prefix of the columns that hold the keys of entities
PARTITION = "_partition"  # of the state, where a row belongs


class Store(StrEnum):
    """Stores beside those of the entities, by transaction: what came; labels of what did not."""

    TRANSACTIONS = "transactions"
    LABELS = "labels"


@dataclass(frozen=True)
class Place:
    """Where the files of one store are and what they are called.

    Attributes
    ----------
    folder
        Of the store: an entity's, `transactions` or `labels`.
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

    def paths(self, partition: int) -> list[Path]:
        """Files of the known runs of a partition."""
        return [self._path(partition, name) for name in self.known]

    def write(self, partition: int, arrays: Arrays) -> None:
        """Write the new run of a partition."""
        from fraudlake.features.state import run_files

        run_files.write(self._path(partition, self.new), arrays)

    def _path(self, partition: int, name: str) -> Path:
        return Path(self.folder, f"{partition:05d}", f"{name}.run")


@dataclass(frozen=True)
class _Task(ABC):
    """On each partition of a task: what `_on` does with its rows; None where it has none."""

    place: Place

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyspark import TaskContext

        context: Any = TaskContext.get()
        found = [batch for batch in batches if batch.num_rows]
        rows = pa.Table.from_batches(found).combine_chunks() if found else None
        for partition in range(context.partitionId(), self.place.partitions, self.place.tasks):
            own = rows
            if rows is not None and self.place.tasks < self.place.partitions:
                own = rows.filter(pc.equal(rows[PARTITION], partition))
            yield from self._on(partition, own or None)

    @abstractmethod
    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        """Answer the rows of one partition and leave its files; no rows leave files too."""


@dataclass(frozen=True)
class WindowsTask(_Task):
    """On a partition: an entity's windows at new events, and the run that they become."""

    key: str
    features: tuple[Feature, ...]
    scale: dict[str, int]
    kept: tuple[str, ...]

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        from fraudlake.features.state import run_files, sorted_runs

        runs = [sorted_runs.Run(run_files.read(path)) for path in self.place.paths(partition)]
        if rows is None:
            self.place.write(partition, {})
            return
        keyed = rows.filter(rows[self.key].is_valid())
        batch, keyed = batch_of(keyed, self.key, self.features, self.scale)
        own = sorted_runs.run_of(batch, self.features)
        self.place.write(partition, own.arrays)
        if self.kept:
            found = sorted_runs.answer(batch, own, runs, self.features)
            keyless = rows.filter(rows[self.key].is_null())
            yield from _joined(keyed, keyless, self.kept, found, self.features).to_batches()


def windows_of_each(
    rows: pa.Table,
    key: str,
    features: Sequence[Feature],
    scale: Mapping[str, int],
    runs: Sequence[Run],
    kept: Sequence[str],
) -> pa.Table:
    """An entity's windows at transactions that do not count for each other; nothing is written.

    Parameters
    ----------
    rows, key, scale
        As `WindowsTask` has them.
    runs
        Of all partitions. A transaction that is in them already counts once.
    kept
        Columns of `rows` to keep.

    Returns
    -------
    pyarrow.Table
        `kept` and the features; one row for each of `rows`, in an order of its own.
    """
    from fraudlake.features.state import sorted_runs

    keyed, keyless = rows.filter(rows[key].is_valid()), rows.filter(rows[key].is_null())
    batch, keyed = batch_of(keyed, key, features, scale, alone=True)
    found = sorted_runs.answer(batch, sorted_runs.run_of(batch, features), runs, features)
    return _joined(keyed, keyless, kept, found, features)


def _joined(
    keyed: pa.Table,
    keyless: pa.Table,
    kept: Sequence[str],
    found: Mapping[str, NDArray],
    features: Sequence[Feature],
) -> pa.Table:
    """Rows and their features; those without a key have a feature's empty value."""
    import numpy as np
    import pyarrow as pa

    out = pa.concat_tables([keyed.select(kept), keyless.select(kept)])
    for feature in features:
        values = found[feature.name]
        nothing = np.full(len(keyless), feature.empty, dtype=values.dtype)
        out = out.append_column(feature.name, pa.array(np.concatenate((values, nothing))))
    return out


def batch_of(
    rows: pa.Table,
    key: str,
    features: Sequence[Feature],
    scale: Mapping[str, int],
    alone: bool = False,
) -> tuple[Batch, pa.Table]:
    """Rows with a key, as the kernels take them, and in that order; each for itself if `alone`."""
    import numpy as np
    import pyarrow as pa

    from fraudlake.features.kernels.events import Events
    from fraudlake.features.state.sorted_runs import Batch

    keys, number = (_one_each if alone else _distinct)(key_array(rows[key]))
    time, tx_id = rows["event_time"].cast("int64").to_numpy(), rows["tx_id"].to_numpy()
    order = np.lexsort((tx_id, time, number))
    rows = rows.take(pa.array(order))
    inputs = columns.arrays_of(rows)
    values = inputs["values"]
    inputs["missing"] = {c: np.zeros(len(rows), bool) for c in values} | inputs["missing"]
    changes = columns.changes_of(rows) if any(f.over_labels for f in features) else {}
    events = Events(number[order], time[order], scale=scale, **inputs, **changes)
    return Batch(keys, events, tx_id[order], _raw(rows, events, features)), rows


def _distinct(values: Keys) -> tuple[Any, NDArray[np.int64]]:
    import numpy as np

    return np.unique(values, return_inverse=True)


def _one_each(values: Keys) -> tuple[Any, NDArray[np.int64]]:
    import numpy as np

    order = np.argsort(values, kind="stable")
    number = np.empty(len(values), np.int64)
    number[order] = np.arange(len(values))
    return values[order], number


def _raw(rows: pa.Table, events: Events, features: Sequence[Feature]) -> dict[str, NDArray]:
    """Columns that operations need as they are, because they do not add."""
    raw: dict[str, NDArray] = {}
    for feature in features:
        if feature.sums is not None:
            continue
        for name in feature.columns:
            if feature.input is Input.VALUE:
                values = rows[columns.VALUE + name]
                raw[f"codes/{name}"] = key_array(values)
                raw[f"absent/{name}"] = values.is_null().to_numpy()
            elif feature.input is Input.PLACE:
                raw[f"degrees/{name}"] = rows[columns.DEGREES + name].to_numpy()
            else:
                raw[f"values/{name}"] = events.values[name]
                raw[f"missing/{name}"] = events.missing[name]
    return raw


def key_array(column: pa.ChunkedArray) -> Keys:
    """Values that are only told apart, as 64-bit integers or bytes; null becomes 0 or nothing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_boolean(kind):
        whole = column.cast("int64") if not pa.types.is_boolean(kind) else column.cast("int8")
        return pc.fill_null(whole, 0).to_numpy().astype(np.int64)
    texts = pc.fill_null(column.cast("string"), "").cast("binary")
    # NumPy's byte strings end before their last zero bytes.
    return np.array([text + b"." for text in texts.to_pylist()], dtype=np.bytes_)


@dataclass(frozen=True)
class FreshTask(_Task):
    """On a partition: new transactions, what labels say of them, and the run that they become."""

    labels: Place
    carried: tuple[str, ...]
    entities: tuple[str, ...]

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        from fraudlake.features.state import run_files

        runs = [run_files.read(path) for path in self.place.paths(partition)]
        pending = [run_files.read(path) for path in self.labels.paths(partition)]
        if rows is None:
            self.place.write(partition, {})
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
        for entity in self.entities:
            key = rows[KEY + entity]
            arrays[f"key/{entity}"] = key_array(key)
            arrays[f"keyless/{entity}"] = key.is_null().to_numpy()
        self.place.write(partition, arrays if new.any() else {})
        if self.carried:
            out = rows.select(self.carried)
            out = out.append_column(columns.CHANGES, _changes_of(tx_id[new], pending))
            yield from out.to_batches()


@dataclass(frozen=True)
class LabelsTask(_Task):
    """On a partition: changes of transactions that are remembered go on, others wait."""

    labels: Place
    entities: tuple[str, ...]

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        from fraudlake.features.state import run_files

        runs = [run for path in self.place.paths(partition) if (run := run_files.read(path))]
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
            known_of = [tx_id[here], run["event_time"][at[here]], known[here], change[here]]
            found = [pa.array(values) for values in known_of]
            names = ["tx_id", "event_time", "known", "change"]
            for entity in self.entities:
                keys, lacking = run[f"key/{entity}"][at[here]], run[f"keyless/{entity}"][at[here]]
                texts = keys.dtype.kind == "S"
                none = pa.nulls(len(keys), pa.int64() if texts else pa.string())
                some = pa.array([k[:-1].decode() for k in keys] if texts else keys, mask=lacking)
                found += [none, some] if texts else [some, none]
                names += [f"{KEY}{entity}/{kind}" for kind in ("bigint", "string")]
            yield pa.RecordBatch.from_arrays(found, names)
        arrays = {"tx_id": tx_id[waits], "known": known[waits], "change": change[waits]}
        self.labels.write(partition, arrays if waits.any() else {})


@dataclass(frozen=True)
class ChangesTask(_Task):
    """On a partition: the run that changes of known transactions become."""

    key: str
    features: tuple[Feature, ...]

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        from fraudlake.features.state.sorted_runs import fraud_arrays

        arrays: Arrays = {}
        if rows is not None:
            whole, text = (rows[f"{self.key}/{kind}"] for kind in ("bigint", "string"))
            keys, number = _distinct(key_array(text if whole.null_count else whole))
            event, known, change = (
                rows[name].to_numpy() for name in ("event_time", "known", "change")
            )
            arrays = fraud_arrays(keys, number, event, known, change, self.features)
        self.place.write(partition, arrays)
        yield from ()


@dataclass(frozen=True)
class MergeTask:
    """On numbers of partitions: the known runs of each store as one new run."""

    places: dict[str, Place]
    oldest: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Numbers of partitions → the same, once their runs are one."""
        import numpy as np

        from fraudlake.features.state import run_files, sorted_runs

        for partition in (number for batch in batches for number in batch["id"].to_pylist()):
            for store, place in self.places.items():
                runs = [run_files.read(path) for path in place.paths(partition)]
                if store not in tuple(Store):
                    made = sorted_runs.merge(
                        [sorted_runs.Run(arrays) for arrays in runs], self.oldest
                    ).arrays
                    place.write(partition, made)
                    continue
                held = [arrays for arrays in runs if arrays]
                merged = {n: np.concatenate([a[n] for a in held]) for n in (held or [{}])[0]}
                if merged:
                    time = merged["event_time" if store == Store.TRANSACTIONS else "known"]
                    order = np.argsort(merged["tx_id"], kind="stable")
                    order = order[time[order] >= self.oldest]
                    merged = {name: values[order] for name, values in merged.items()}
                place.write(partition, merged if merged and len(merged["tx_id"]) else {})
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
