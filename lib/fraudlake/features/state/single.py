"""Features of single transactions over what a stream remembers, in this process and without Spark.

The kernels are those of a micro-batch (`tasks`, `sorted_runs`). What stands here is what the plan
of a micro-batch (`micro_batch`, `columns`) does around them in Spark: keys, minor units, columns
as they are, calendar, ratios. Nothing is written, and transactions that are asked for together do
not count for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from fraudlake.features.columns import DEGREES, SUM, VALUE
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Feature, Input, key_columns
from fraudlake.features.state.tasks import KEY, windows_of_each

if TYPE_CHECKING:
    from fraudlake.features.state.sorted_runs import Run

_PLACE = "_place"
_ARROW = {
    "bigint": pa.int64(),
    "int": pa.int32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "timestamp": pa.timestamp("us", "UTC"),
    "decimal(18,2)": pa.decimal128(18, 2),
}

Row = Mapping[str, Any]


def features_of_each(
    rows: Sequence[Row],
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    types: Mapping[str, str],
    runs: Mapping[str, Sequence[Run]],
) -> pa.Table:
    """Features of transactions, each as the next one after what is remembered.

    Parameters
    ----------
    rows
        At least one. Column → value: `tx_id` (int), `event_time` (datetime, UTC) and the columns
        that features name; `Decimal` for money, None where there is nothing.
    entities
        Declared entity → its column.
    types
        Column → SQL type.
    runs
        Entity, as in `Feature.entity` → what is remembered of it, of all partitions. A transaction
        that is in it already counts once.

    Returns
    -------
    pyarrow.Table
        The features in the set's order, in the rows' order; null or NaN where one has no value.
    """
    by_entity = feature_set.by_entity()
    units = {n: 100 if types[n] == "decimal(18,2)" else 1 for n in feature_set.columns(entities)}
    table = _inputs(rows, by_entity, entities, types, units)
    found: dict[str, pa.Array] = {}
    for entity, features in by_entity.items():
        made = windows_of_each(table, KEY + entity, features, units, runs[entity], [_PLACE])
        made = made.sort_by(_PLACE)
        found |= {feature.name: made[feature.name].combine_chunks() for feature in features}
    for feature in feature_set.features:
        if feature.kind not in ("window", "ratio"):
            found[feature.name] = _alone(feature, rows)
    for feature in feature_set.features:
        if feature.kind == "ratio":
            found[feature.name] = _ratio(found[feature.column], found[feature.other], feature.empty)
    return pa.table({feature.name: found[feature.name] for feature in feature_set.features})


def _inputs(
    rows: Sequence[Row],
    by_entity: Mapping[str, Sequence[Feature]],
    entities: Mapping[str, str],
    types: Mapping[str, str],
    units: Mapping[str, int],
) -> pa.Table:
    """What `micro_batch.windows` selects from transactions for their windows, and their place."""
    columns: dict[str, pa.Array] = {
        _PLACE: pa.array(range(len(rows))),
        "tx_id": pa.array([row["tx_id"] for row in rows], pa.int64()),
        "event_time": pa.array([row["event_time"] for row in rows], _ARROW["timestamp"]),
    }
    for feature in (feature for features in by_entity.values() for feature in features):
        for name in feature.columns:
            values = [row[name] for row in rows]
            if feature.input is Input.VALUE:
                columns[VALUE + name] = pa.array(values, _ARROW[types[name]])
            elif feature.input is Input.PLACE:
                columns[DEGREES + name] = pa.array(values, pa.float64())
            else:
                minor = [None if v is None else int(v * units[name]) for v in values]
                columns[SUM + name] = pa.array(minor, pa.int64())
    for entity in by_entity:
        names = key_columns(entity, entities)
        columns[KEY + entity] = _keys(rows, names, [types[name] for name in names])
    return pa.table(columns)


def _keys(rows: Sequence[Row], names: Sequence[str], types: Sequence[str]) -> pa.Array:
    """As `micro_batch.key_of` gives them."""
    if len(names) == 1 and types[0] in ("bigint", "int"):
        return pa.array([row[names[0]] for row in rows], pa.int64())
    parts = [[row[name] for name in names] for row in rows]
    return pa.array([None if None in p else "".join(map(_part, p)) for p in parts], pa.string())


def _part(value: object) -> str:
    return f"{len(str(value))}:{value}"


def _alone(feature: Feature, rows: Sequence[Row]) -> pa.Array:
    """A feature of the transaction by itself, as `columns` gives it."""
    if feature.kind == "calendar":
        times = [row["event_time"] for row in rows]
        said = {"weekend": [t.weekday() >= 5 for t in times], "night": [t.hour <= 6 for t in times]}
        return pa.array([int(there) for there in said[feature.name]])
    values = [row[feature.column] for row in rows]
    if feature.kind == "category":
        return pa.array(values, pa.string())
    if feature.kind == "same":
        pairs = [(row[feature.column], row[feature.other]) for row in rows]
        return pa.array([None if None in pair else int(pair[0] == pair[1]) for pair in pairs])
    return pa.array([None if value is None else float(value) for value in values], pa.float64())


def _ratio(above: pa.Array, below: pa.Array, empty: float | None) -> pa.Array:
    one, other = (c.cast(pa.float64()).to_numpy(zero_copy_only=False) for c in (above, below))
    divides = ~np.isnan(one) & ~np.isnan(other) & (other != 0)
    result = np.full(len(one), np.nan if empty is None else empty)
    return pa.array(np.divide(one, other, out=result, where=divides))
