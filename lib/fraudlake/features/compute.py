"""Features of transactions on Spark: one shuffle for each entity, around the kernels.

Batch build and stream call the same `compute`; they differ only in which rows they ask for and
which earlier rows they bring.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.definition import Feature, FeatureSet
from fraudlake.features.hot import Cut, reach_of, shuffle_partitions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

# Columns between the steps.
_TARGET, _CHANGES, _AS_IS, _SUM, _SLICE = "_target", "_changes", "_as_is_", "_sum_", "_slice"
# Rows that go through the kernels at a time, and rows of a batch that comes out.
_CHUNK_ROWS, _BATCH_ROWS = 200_000, 50_000


def feature_columns(feature_set: FeatureSet) -> dict[str, str]:
    """Column → SQL type of every feature, in order."""
    return {feature.name: feature.sql_type for feature in feature_set.features}


def compute(
    targets: DataFrame,
    context: Callable[[str], DataFrame],
    statements: DataFrame | None,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    cuts: Mapping[str, Cut] | None = None,
) -> DataFrame:
    """Features of the target transactions.

    Parameters
    ----------
    targets
        Transactions to compute: `tx_id`, `event_time`, the entity columns and the columns that
        features name. They count in each other's windows.
    context
        Entity → further transactions that count in its windows and are not computed, with the same
        columns. None of them may be a target; rows out of reach do no harm.
    statements
        Labels: `tx_id`, `is_fraud`, `known_at`, `source`; None where no feature is over labels.
    entities
        Entity → its column, for all entities of the data set.
    cuts
        Entity → keys to be cut in time, as `hot.find_cuts` gives them; values do not depend on it.

    Returns
    -------
    DataFrame
        One row for each target: `tx_id`, `event_time`, the entity columns, the features, and
        `definition`, the hash of the feature set.
    """
    from pyspark.sql import functions as F

    windows = feature_set.by_entity()
    base = ["tx_id", "event_time", *dict.fromkeys(entities.values())]
    as_is = [f for f in feature_set.features if f.kind == "column"]
    scale = _scales(targets, windows)
    rows = targets.select(
        *base,
        *(F.col(f.column).cast("double").alias(_AS_IS + f.name) for f in as_is),
        *_integers(targets, scale),
    )
    carried = [*base, *(_AS_IS + f.name for f in as_is)]
    waiting = list(windows)
    for entity, features in windows.items():
        key, summed = entities[entity], {c: scale[c] for c in _summed(features)}
        others = context(entity).where(F.col(key).isNotNull())
        others = others.select("tx_id", "event_time", key, *_integers(others, summed))
        events = rows.withColumn(_TARGET, F.lit(True)).unionByName(
            others.withColumn(_TARGET, F.lit(False)), allowMissingColumns=True
        )
        if any(f.over_labels for f in features):
            if statements is None:
                raise TypeError(f"statements: got None, expected labels for rates of {entity}")
            events = events.join(label_changes(statements), "tx_id", "left")
        waiting.remove(entity)
        later = {column for name in waiting for column in _summed(windows[name])}
        kept = [*carried, *(_SUM + column for column in scale if column in later)]
        rows = _over_entity(events, key, features, summed, kept, (cuts or {}).get(entity))
        carried += [f.name for f in features]
    columns = [_finished(feature).alias(feature.name) for feature in feature_set.features]
    return rows.select(*base, *columns, F.lit(feature_set.hash).alias("definition"))


def label_changes(statements: DataFrame) -> DataFrame:
    """Changes of the fraud count that label statements make.

    A transaction's statements, in the order of (`known_at`, `source`), change the count wherever
    one says other than the one before; before the first, nothing is fraud. So changes alternate:
    +1, −1, +1, …

    Returns
    -------
    DataFrame
        `tx_id`, `_changes` (array of bigint: when each change was known, microseconds since 1970
        UTC); only transactions that were called fraud at some time, once each.
    """
    from pyspark.sql import functions as F

    said = F.array_sort(F.collect_list(F.struct("known_at", "source", "is_fraud")))
    other = "(s, i) -> s.is_fraud != coalesce(get(said, i - 1).is_fraud, false)"
    changes = F.expr(f"transform(filter(said, {other}), s -> unix_micros(s.known_at))")
    grouped = about_frauds(statements).groupBy("tx_id").agg(said.alias("said"))
    return grouped.select("tx_id", changes.alias(_CHANGES))


def about_frauds(statements: DataFrame) -> DataFrame:
    """Statements about transactions that were ever called fraud; the others change nothing."""
    frauds = statements.where("is_fraud").select("tx_id")
    return statements.join(frauds, "tx_id", "left_semi")


def _summed(features: Sequence[Feature]) -> list[str]:
    """Columns that the features sum."""
    return list(dict.fromkeys(f.column for f in features if f.operation in ("sum", "mean")))


def _scales(rows: DataFrame, windows: Mapping[str, Sequence[Feature]]) -> dict[str, int]:
    """Summed column → how many minor units make one: 100 for decimal(18,2), 1 for whole numbers."""
    names = [column for features in windows.values() for column in _summed(features)]
    return {name: 10 ** getattr(rows.schema[name].dataType, "scale", 0) for name in names}


def _integers(rows: DataFrame, scale: Mapping[str, int]) -> list[Column]:
    return [(rows[c] * s).cast("bigint").alias(_SUM + c) for c, s in scale.items()]


def _finished(feature: Feature) -> Column:
    from pyspark.sql import functions as F

    if feature.kind == "column":
        return F.col(_AS_IS + feature.name)
    if feature.name == "weekend":
        return (F.weekday("event_time") >= 5).cast("int")
    if feature.name == "night":
        return (F.hour("event_time") <= 6).cast("int")
    return F.col(feature.name)


def _over_entity(
    events: DataFrame,
    key: str,
    features: Sequence[Feature],
    scale: Mapping[str, int],
    kept: list[str],
    cut: Cut | None,
) -> DataFrame:
    """Shuffle events by an entity's key, sort them in time and add its window features."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType, LongType, StructType

    # Rows without a key have no windows; by their own number they do not pile up in one partition.
    place = F.when(F.col(key).isNull(), F.xxhash64("tx_id")).otherwise(F.xxhash64(key))
    sums = [_SUM + column for column in scale]
    labels = [_CHANGES] if _CHANGES in events.columns else []
    carried = list(dict.fromkeys([*kept, key, *sums, *labels, _TARGET]))
    groups = [key]
    placed = events.select(*carried)
    if cut is None:
        placed = placed.repartition(place)
    else:
        groups.append(_SLICE)
        placed = placed.select(*carried, F.explode(cut.slices(key)).alias(_SLICE))
        own = F.col(_SLICE) == cut.slice_of(key)
        # Slices of a key go to partitions side by side, which adaptive execution leaves alone.
        number = shuffle_partitions(events)
        to = F.pmod(F.pmod(place, F.lit(number)) + F.col(_SLICE), F.lit(number)).cast("int")
        placed = placed.withColumn(_TARGET, F.col(_TARGET) & own).repartitionById(number, to)
    ordered = placed.sortWithinPartitions(*groups, "event_time", "tx_id")
    schema = StructType([events.schema[name] for name in kept])
    for feature in features:
        kind = LongType() if feature.operation == "count" else DoubleType()
        schema = schema.add(feature.name, kind)
    kernel = _Kernel(tuple(groups), (*sums, *labels), tuple(features), dict(scale), tuple(kept))
    return ordered.mapInArrow(kernel, schema)


@dataclass(frozen=True)
class _Kernel:
    """What runs on a partition: sorted Arrow batches in, targets with new columns out.

    Rows go through in chunks. Of those that are through, only the last key's within reach are kept,
    and a chunk is at least as large as they are: memory is a chunk's or a key's reach, whichever
    is more, and a row goes through twice on average at most.

    Attributes
    ----------
    groups
        The entity's key, and the number of the slice where keys are cut: what a window never
        crosses.
    read
        Further columns that the windows need.
    kept
        Columns that come out with the features.
    """

    groups: tuple[str, ...]
    read: tuple[str, ...]
    features: tuple[Feature, ...]
    scale: dict[str, int]
    kept: tuple[str, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        earlier: pa.Table | None = None
        waiting: list[pa.RecordBatch] = []
        size = 0
        for batch in itertools.chain(batches, [None]):
            if batch is not None:
                waiting.append(batch)
                size += batch.num_rows
            enough = max(_CHUNK_ROWS, len(earlier) if earlier else 0)
            if size >= enough or (batch is None and size):
                rows = pa.Table.from_batches(waiting)
                waiting, size = [], 0
                earlier = yield from self._through(earlier, rows)

    def _through(
        self, earlier: pa.Table | None, rows: pa.Table
    ) -> Generator[pa.RecordBatch, None, pa.Table]:
        """Emit the targets among the rows after earlier ones; return what later rows reach."""
        import numpy as np
        import pyarrow as pa

        events = rows.select(dict.fromkeys([*self.groups, "event_time", *self.read]))
        if earlier is not None:
            events = pa.concat_tables([earlier, events])
        events = events.combine_chunks()
        targets = np.flatnonzero(rows[_TARGET].to_numpy()) + len(events) - len(rows)
        out = rows.select(self.kept).filter(rows[_TARGET])
        new = self._windows(events, targets)
        for feature in self.features:
            out = out.append_column(feature.name, pa.array(new[feature.name]))
        yield from out.to_batches(max_chunksize=_BATCH_ROWS)
        return self._within_reach(events)

    def _within_reach(self, events: pa.Table) -> pa.Table:
        """The last key's events that count for later ones, copied out of the others' memory."""
        import numpy as np

        of, times = self._entity(events), events["event_time"].cast("int64").to_numpy()
        first = np.searchsorted(of, of[-1])
        oldest = times[-1] - reach_of(self.features)
        first += np.searchsorted(times[first:], oldest, side="right")
        return events.take(np.arange(first, len(events)))

    def _entity(self, events: pa.Table) -> NDArray[np.int64]:
        """Sorted groups as 0, 0, 1, …: a new number wherever key or slice change."""
        import numpy as np
        import pyarrow.compute as pc

        new = np.zeros(len(events), bool)
        for name in self.groups:
            column = events[name]
            if len(events) > 1:
                new[1:] |= pc.fill_null(pc.not_equal(column[1:], column[:-1]), True).to_numpy()
        return np.cumsum(new)

    def _windows(self, table: pa.Table, targets: NDArray[np.int64]) -> dict:
        """Feature → values of the targets (positions in the table, rising), in their order."""
        import numpy as np
        import pyarrow.compute as pc

        from fraudlake.features.kernels import Events, windows

        keyless = table[self.groups[0]].null_count
        table = table.slice(keyless)
        events = Events(
            self._entity(table),
            table["event_time"].cast("int64").to_numpy(),
            {c: pc.fill_null(table[_SUM + c], 0).to_numpy() for c in self.scale},
            self.scale,
            {
                c: table[_SUM + c].is_null().to_numpy()
                for c in self.scale
                if table[_SUM + c].null_count
            },
            **_changes(table),
        )
        found = windows(events, targets[targets >= keyless] - keyless, self.features)
        lacking = np.count_nonzero(targets < keyless)
        return {
            f.name: np.concatenate(
                (np.full(lacking, f.empty, dtype=found[f.name].dtype), found[f.name])
            )
            for f in self.features
        }


def _changes(table: pa.Table) -> dict:
    """The partition's label changes as arrays; signs alternate from +1 within a transaction."""
    import numpy as np
    import pyarrow.compute as pc

    if _CHANGES not in table.column_names:
        return {}
    lists = table[_CHANGES]
    event = pc.list_parent_indices(lists).to_numpy()
    first = np.searchsorted(event, event)
    return {
        "change_event": event,
        "change_time": pc.list_flatten(lists).to_numpy(),
        "change_value": 1 - 2 * ((np.arange(len(event)) - first) % 2),
    }
