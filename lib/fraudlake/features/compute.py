"""Features of transactions on Spark: one shuffle for each entity, around the kernels.

Batch build and stream call the same `compute`; they differ only in which rows they ask for and
which earlier rows they bring.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.columns import (
    AS_IS,
    CHANGES,
    arrays_of,
    as_is,
    changes_of,
    finished,
    scales,
    window_inputs,
)
from fraudlake.features.definition import FeatureSet
from fraudlake.features.feature import Feature
from fraudlake.features.hot import Cut, reach_of, shuffle_partitions

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

# Columns between the steps.
_TARGET, _KEY, _SLICE = "_target", "_key", "_slice"
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
        Entity, as in `Feature.entity` → further transactions that count in its windows and are not
        computed, with the same columns. None of them may be a target; rows out of reach do no harm.
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
    alone = [f for f in feature_set.features if f.kind in ("column", "category", "same")]
    needs = {
        entity: {name: F.col(name) for name in features[0].keys(entities)}
        | window_inputs(targets, features)
        for entity, features in windows.items()
    }
    every = {name: column for need in needs.values() for name, column in need.items()}
    rows = targets.select(
        *base,
        *(as_is(f).alias(AS_IS + f.name) for f in alone),
        *(column.alias(name) for name, column in every.items() if name not in base),
    )
    carried = [*base, *(AS_IS + f.name for f in alone)]
    waiting = list(windows)
    for entity, features in windows.items():
        keys, need = features[0].keys(entities), needs[entity]
        others = context(entity).dropna(subset=keys)
        others = others.select("tx_id", "event_time", *(c.alias(n) for n, c in need.items()))
        events = rows.withColumn(_TARGET, F.lit(True)).unionByName(
            others.withColumn(_TARGET, F.lit(False)), allowMissingColumns=True
        )
        key = keys[0]
        if len(keys) > 1:
            key = _KEY
            complete = F.expr(" AND ".join(f"`{name}` IS NOT NULL" for name in keys))
            events = events.withColumn(_KEY, F.when(complete, F.struct(*keys)))
        if any(f.over_labels for f in features):
            if statements is None:
                raise TypeError(f"statements: got None, expected labels for rates of {entity}")
            events = events.join(label_changes(statements), "tx_id", "left")
        waiting.remove(entity)
        later = {name for other in waiting for name in needs[other]}
        kept = [*carried, *(name for name in every if name in later and name not in base)]
        inputs = [name for name in need if name not in keys]
        scale, cut = scales(targets, features), (cuts or {}).get(entity)
        rows = _over_entity(events, key, features, inputs, scale, kept, cut)
        carried += [f.name for f in features]
    columns = [finished(feature).alias(feature.name) for feature in feature_set.features]
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
    return grouped.select("tx_id", changes.alias(CHANGES))


def about_frauds(statements: DataFrame) -> DataFrame:
    """Statements about transactions that were ever called fraud; the others change nothing."""
    frauds = statements.where("is_fraud").select("tx_id")
    return statements.join(frauds, "tx_id", "left_semi")


def _over_entity(
    events: DataFrame,
    key: str,
    features: Sequence[Feature],
    inputs: list[str],
    scale: Mapping[str, int],
    kept: list[str],
    cut: Cut | None,
) -> DataFrame:
    """Shuffle events by an entity's key, sort them in time and add its window features."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType, LongType, StructType

    # Rows without a key have no windows; by their own number they do not pile up in one partition.
    place = F.when(F.col(key).isNull(), F.xxhash64("tx_id")).otherwise(F.xxhash64(key))
    labels = [CHANGES] if CHANGES in events.columns else []
    carried = list(dict.fromkeys([*kept, key, *inputs, *labels, _TARGET]))
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
        kind = LongType() if feature.sql_type == "bigint" else DoubleType()
        schema = schema.add(feature.name, kind)
    kernel = _Kernel(tuple(groups), (*inputs, *labels), tuple(features), dict(scale), tuple(kept))
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
        for group in events.select(self.groups).flatten().columns:
            if len(events) > 1:
                new[1:] |= pc.fill_null(pc.not_equal(group[1:], group[:-1]), True).to_numpy()
        return np.cumsum(new)

    def _windows(self, table: pa.Table, targets: NDArray[np.int64]) -> dict:
        """Feature → values of the targets (positions in the table, rising), in their order."""
        import numpy as np

        from fraudlake.features.kernels import Events, windows

        keyless = table[self.groups[0]].null_count
        table = table.slice(keyless)
        events = Events(
            self._entity(table),
            table["event_time"].cast("int64").to_numpy(),
            scale=self.scale,
            **arrays_of(table),
            **changes_of(table),
        )
        found = windows(events, targets[targets >= keyless] - keyless, self.features)
        lacking = np.count_nonzero(targets < keyless)
        return {
            f.name: np.concatenate(
                (np.full(lacking, f.empty, dtype=found[f.name].dtype), found[f.name])
            )
            for f in self.features
        }
