"""Features of a micro-batch on Spark: one shuffle for each entity, around what is remembered.

The same definitions and kernels as in `compute`; instead of earlier rows, the tasks open the files
of their partition (`state`, `files`) and leave a new one, named by the batch. A task that runs
again writes the same file again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake.features import columns
from fraudlake.features.definition import FeatureSet
from fraudlake.features.feature import Feature, key_columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

    from fraudlake.features.events import Events
    from fraudlake.features.points import Arrays, Keys
    from fraudlake.features.state import Batch

TRANSACTIONS, LABELS = "transactions", "labels"
_KEY = "_key_"


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
        Name of the run to write; empty: none.
    partitions
        Number of the state's partitions.
    """

    folder: str
    known: tuple[str, ...]
    new: str
    partitions: int

    def paths(self, partition: int) -> list[Path]:
        return [self._path(partition, name) for name in self.known]

    def write(self, partition: int, arrays: Arrays) -> None:
        from fraudlake.features import files

        if self.new:
            files.write(self._path(partition, self.new), arrays)

    def _path(self, partition: int, name: str) -> Path:
        return Path(self.folder, f"{partition:05d}", f"{name}.run")


def key_of(entity: str, entities: Mapping[str, str], schema: Mapping[str, str]) -> Column:
    """An entity's key as one column: a number where it is one, else text that no other key shares.

    Parameters
    ----------
    schema
        Column → SQL type.
    """
    from pyspark.sql import functions as F

    names = key_columns(entity, entities)
    if len(names) == 1 and schema[names[0]] in ("bigint", "int"):
        return F.col(names[0]).cast("bigint")
    texts = [F.col(name).cast("string") for name in names]
    return F.concat(*[part for t in texts for part in (F.length(t), F.lit(":"), t)])


def placed(rows: DataFrame, by: Column, partitions: int) -> DataFrame:
    """Rows in the state's partitions; where the key is null, by the transaction."""
    from pyspark.sql import functions as F

    place = F.when(by.isNull(), F.xxhash64("tx_id")).otherwise(F.xxhash64(by))
    return rows.repartitionById(partitions, F.pmod(place, F.lit(partitions)).cast("int"))


def fresh(rows: DataFrame, places: Mapping[str, Place], keys: Mapping[str, Column]) -> DataFrame:
    """Each transaction once, without those that are remembered; with what labels say of it.

    Parameters
    ----------
    rows
        `tx_id`, `event_time`, `raw` and what else is to be carried on.
    keys
        Entity with a rate over labels → its key.

    Returns
    -------
    DataFrame
        `rows` without `raw`, and `_changes` (array<bigint>, as `compute.label_changes` gives it).
        Of several copies in one batch the first by (`event_time`, `raw`) stays.
    """
    from pyspark.sql.types import ArrayType, LongType, StructType

    place = places[TRANSACTIONS]
    rows = rows.withColumns({_KEY + entity: key for entity, key in keys.items()})
    carried = [name for name in rows.columns if name != "raw" and not name.startswith(_KEY)]
    schema = StructType([rows.schema[name] for name in carried]).add(
        columns.CHANGES, ArrayType(LongType())
    )
    kernel = _Fresh(place, places[LABELS], tuple(carried), tuple(keys))
    by = rows["tx_id"]
    return placed(rows, by, place.partitions).mapInArrow(kernel, schema)


def windows(
    rows: DataFrame,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    places: Mapping[str, Place],
    carry: Sequence[str],
) -> DataFrame:
    """Features of new transactions; what they are is remembered in the runs that `places` names.

    Parameters
    ----------
    rows
        What `fresh` gives.
    carry
        Columns of `rows` to keep.

    Returns
    -------
    DataFrame
        `carry`, the features and `definition`; one row a transaction.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType, LongType, StructType

    by_entity = feature_set.by_entity()
    types = dict(rows.dtypes)
    alone = {
        columns.AS_IS + f.name: columns.as_is(f)
        for f in feature_set.features
        if f.kind in ("column", "category", "same")
    }
    needs = {e: columns.window_inputs(rows, fs) for e, fs in by_entity.items()}
    every = {name: column for need in needs.values() for name, column in need.items()}
    scale = columns.scales(rows, feature_set.features)
    keys = {_KEY + entity: key_of(entity, entities, types) for entity in by_entity}
    current = rows.select(
        *dict.fromkeys(["tx_id", "event_time", *carry, columns.CHANGES]),
        *(column.alias(name) for name, column in {**alone, **every, **keys}.items()),
    )
    waiting, done = list(by_entity), [*dict.fromkeys(["tx_id", "event_time", *carry]), *alone]
    for entity, features in by_entity.items():
        waiting.remove(entity)
        later = {name for other in waiting for name in (*needs[other], _KEY + other)}
        more = [name for name in current.columns if name in later]
        labels = (
            [columns.CHANGES] if any(f.over_labels for e in waiting for f in by_entity[e]) else []
        )
        kept = [*done, *more, *labels]
        schema = StructType([current.schema[name] for name in kept])
        for feature in features:
            kind = LongType() if feature.sql_type == "bigint" else DoubleType()
            schema = schema.add(feature.name, kind)
        kernel = _Windows(places[entity], _KEY + entity, tuple(features), scale, tuple(kept))
        by = current[_KEY + entity]
        current = placed(current, by, places[entity].partitions).mapInArrow(kernel, schema)
        done += [f.name for f in features]
    made = [columns.finished(f).alias(f.name) for f in feature_set.features]
    return current.select(*carry, *made, F.lit(feature_set.hash).alias("definition"))


def _partition() -> int:
    from pyspark import TaskContext

    context: Any = TaskContext.get()
    return context.partitionId()


def _whole(batches: Iterator[pa.RecordBatch]) -> pa.Table | None:
    import pyarrow as pa

    found = [batch for batch in batches if batch.num_rows]
    return pa.Table.from_batches(found).combine_chunks() if found else None


@dataclass(frozen=True)
class _Windows:
    """On a partition: an entity's windows at new events, and the run that they become."""

    place: Place
    key: str
    features: tuple[Feature, ...]
    scale: dict[str, int]
    kept: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        from fraudlake.features import files, state

        partition, rows = _partition(), _whole(batches)
        runs = [state.Run(files.read(path)) for path in self.place.paths(partition)]
        if rows is None:
            self.place.write(partition, {})
            return
        keyless = rows.filter(rows[self.key].is_null())
        batch, rows = batch_of(
            rows.filter(rows[self.key].is_valid()), self.key, self.features, self.scale
        )
        self.place.write(partition, state.run_of(batch, self.features).arrays)
        if self.kept:
            found = state.answer(batch, runs, self.features)
            out = pa.concat_tables([rows.select(self.kept), keyless.select(self.kept)])
            for feature in self.features:
                values = found[feature.name]
                nothing = np.full(len(keyless), feature.empty, dtype=values.dtype)
                out = out.append_column(feature.name, pa.array(np.concatenate((values, nothing))))
            yield from out.to_batches()


def batch_of(
    rows: pa.Table, key: str, features: Sequence[Feature], scale: Mapping[str, int]
) -> tuple[Batch, pa.Table]:
    """Rows with a key, as the kernels take them, and in that order."""
    import numpy as np
    import pyarrow as pa

    from fraudlake.features.events import Events
    from fraudlake.features.state import Batch

    keys, number = _distinct(key_array(rows[key]))
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


def _raw(rows: pa.Table, events: Events, features: Sequence[Feature]) -> dict[str, NDArray]:
    """Columns that operations need as they are, because they do not add."""
    from fraudlake.features.state import ADDING

    raw: dict[str, NDArray] = {}
    for feature in features:
        if feature.operation in ADDING:
            continue
        for name in feature.columns:
            if feature.operation == "distinct":
                values = rows[columns.VALUE + name]
                raw[f"codes/{name}"] = key_array(values)
                raw[f"absent/{name}"] = values.is_null().to_numpy()
            elif feature.operation == "speed":
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
class _Fresh:
    """On a partition: new transactions, what labels say of them, and the run that they become."""

    place: Place
    labels: Place
    carried: tuple[str, ...]
    entities: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import numpy as np
        import pyarrow as pa

        from fraudlake.features import files

        partition, rows = _partition(), _whole(batches)
        runs = [files.read(path) for path in self.place.paths(partition)]
        pending = [files.read(path) for path in self.labels.paths(partition)]
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
            key = rows[_KEY + entity]
            arrays[f"key/{entity}"] = key_array(key)
            arrays[f"keyless/{entity}"] = key.is_null().to_numpy()
        self.place.write(partition, arrays if new.any() else {})
        if self.carried:
            out = rows.select(self.carried)
            out = out.append_column(columns.CHANGES, _changes_of(tx_id[new], pending))
            yield from out.to_batches()


def _changes_of(tx_id: NDArray[np.int64], pending: Sequence[Arrays]) -> pa.Array:
    """When each transaction's changes of the fraud count were known; null where there is none."""
    import numpy as np
    import pyarrow as pa

    of, known, change = [], [], []
    for run in (run for run in pending if run):
        low = np.searchsorted(run["tx_id"], tx_id)
        high = np.searchsorted(run["tx_id"], tx_id, side="right")
        count = high - low
        number = np.repeat(np.arange(len(tx_id)), count)
        at = np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count) + low[number]
        of.append(number)
        known.append(run["known"][at])
        change.append(run["change"][at])
    if not of:
        return pa.nulls(len(tx_id), pa.list_(pa.int64()))
    number, time, sign = np.concatenate(of), np.concatenate(known), np.concatenate(change)
    order = np.lexsort((time, number))
    number, time, sign = number[order], time[order], sign[order]
    # What one run says and a later one takes back leaves nothing.
    first = np.flatnonzero((np.diff(number, prepend=-1) != 0) | (np.diff(time, prepend=-1) != 0))
    left = np.add.reduceat(sign, first) != 0 if len(first) else np.empty(0, bool)
    number, time = number[first][left], time[first][left]
    offsets = np.searchsorted(number, np.arange(len(tx_id) + 1))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(time))
