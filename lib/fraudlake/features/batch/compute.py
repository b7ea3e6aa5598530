"""Features of transactions on Spark: one shuffle for each entity, around the kernels.

Whole builds and increments differ only in which rows they ask for and which others they bring. A
micro-batch of the stream has a plan of its own (`state.micro_batch`) around the same kernels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fraudlake.features.batch.exchange import PACKED, Packing, Route
from fraudlake.features.batch.hot_keys import Cut, shuffle_partitions
from fraudlake.features.batch.partition import Kernel
from fraudlake.features.columns import AS_IS, CHANGES, as_is, finished, scales, window_inputs
from fraudlake.features.definition.feature_set import FeatureSet

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


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
        features name. They count in each other's windows. Where there are windows, a transaction
        that comes twice is taken once.
    context
        Entity, as in `Feature.entity` → further transactions that count in its windows and are not
        computed, with the same columns. Rows out of reach and targets among them do no harm.
    statements
        Labels: `tx_id`, `is_fraud`, `known_at`, `source`; None where no feature is over labels.
    entities
        Entity → its column, for all entities of the data set.
    cuts
        Entity → keys to be cut in time, as `hot_keys.find_cuts` gives them; values do not depend
        on it.

    Returns
    -------
    DataFrame
        One row for each target: `tx_id`, `event_time`, the entity columns, the features, and
        `definition`, the hash of the feature set.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType, LongType

    windows = feature_set.by_entity()
    base = ["tx_id", "event_time", *dict.fromkeys(entities.values())]
    alone = [f for f in feature_set.features if f.kind in ("column", "category", "same")]
    carried = [*base, *(AS_IS + f.name for f in alone)]
    routes = [
        Route(
            entity,
            tuple(f[0].keys(entities)),
            shuffle_partitions(targets),
            (cuts or {}).get(entity),
        )
        for entity, f in windows.items()
    ]
    needs = {
        r: {name: F.col(name) for name in r.keys}
        | window_inputs(targets, windows[r.entity])
        | r.columns()
        for r in routes
    }
    every = {name: column for need in needs.values() for name, column in need.items()}
    rows = targets.select(
        *base,
        *(as_is(f).alias(AS_IS + f.name) for f in alone),
        *(column.alias(name) for name, column in every.items() if name not in base),
    )
    schema = rows.select(*carried).schema
    labelled = [r for r in routes if any(f.over_labels for f in windows[r.entity])]
    if labelled:
        rows = _with_changes(rows, statements)
    waiting = {r: [*needs[r], *([CHANGES] if r in labelled else [])] for r in routes}
    for route, onward in zip(routes, [*routes, None][1:], strict=True):
        features, read = windows[route.entity], waiting.pop(route)
        others = context(route.entity).dropna(subset=list(route.keys))
        others = others.select(
            "tx_id", "event_time", *(c.alias(n) for n, c in needs[route].items())
        )
        if route in labelled:
            others = _with_changes(others, statements)
        if route is routes[0]:
            rows = rows.mapInArrow(Packing(route, True), PACKED)
        packed = rows.unionAll(others.mapInArrow(Packing(route, False), PACKED))
        later = dict.fromkeys(itertools.chain.from_iterable(waiting.values()))
        kept = (*carried, *(name for name in later if name not in carried))
        kernel = Kernel(
            route, tuple(read), tuple(features), scales(targets, features), kept, onward
        )
        for f in features:
            schema = schema.add(f.name, LongType() if f.sql_type == "bigint" else DoubleType())
        rows = route.shuffled(packed).mapInArrow(kernel, PACKED if onward else schema)
        carried += [f.name for f in features]
    columns = [finished(feature).alias(feature.name) for feature in feature_set.features]
    return rows.select(*base, *columns, F.lit(feature_set.hash).alias("definition"))


def _with_changes(rows: DataFrame, statements: DataFrame | None) -> DataFrame:
    if statements is None:
        raise TypeError("statements: got None, expected labels, for rates of fraud")
    return rows.join(label_changes(statements), "tx_id", "left")


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
