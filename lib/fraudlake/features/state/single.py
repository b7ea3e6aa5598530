"""Features of single transactions over what a stream remembers, in this process and without Spark.

Rows and kernels are those of a micro-batch (`rows`, `entities`, `sorted_runs`). Nothing is written,
and transactions that are asked for together do not count for each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Row
from fraudlake.features.rows import OVER, finished, put
from fraudlake.features.state.entities import windows_of_each

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
        The features in the set's order, in the rows' order; null where one has no value.
    """
    names = dict.fromkeys(["tx_id", "event_time", *feature_set.columns(entities)])
    columns = {name: pa.array([row[name] for row in rows], _ARROW[types[name]]) for name in names}
    given = pa.table({_PLACE: pa.array(range(len(rows)))} | columns)
    table = given
    for entity, features in feature_set.by_entity().items():
        keys, values = features[0].keys(entities), (n for f in features for n in f.columns)
        part = given.select(dict.fromkeys([_PLACE, "tx_id", "event_time", *keys, *values]))
        answers = windows_of_each(part, keys, features, runs[entity]).sort_by(_PLACE)
        for feature in features:
            table = put(table, OVER + feature.name, answers[OVER + feature.name])
    return pa.table(finished(table, feature_set.features))
