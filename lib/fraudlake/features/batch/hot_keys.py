"""Keys with more rows than a task's fair share: found from the data, and cut in time.

A busy merchant's rows would all meet in one task. Cut into slices of time they are worked on by
several; a slice brings along the rows before it that its windows reach, so values are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import TimeSlicing
from fraudlake.features.feature import reach_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Below this many rows a key is no burden: NumPy takes them in about a second.
_BURDEN = 200_000
# Keys are counted in so many buckets for each partition of a shuffle.
_BUCKETS = 16


def find_skewed_keys(
    rows: DataFrame, feature_set: FeatureSet, entities: Mapping[str, str]
) -> dict[str, TimeSlicing]:
    """Keys with more rows than a partition of a shuffle would fairly get, and how to cut them.

    One pass over the key columns counts buckets of keys, for all entities side by side. A hot
    key's bucket has at least its rows, so only the keys of such buckets, mostly none, are counted
    one by one in a second pass. The hot keys alone reach the driver.

    Parameters
    ----------
    rows
        All transactions that will count, with `event_time` and the entity columns.
    entities
        Entity → its column.

    Returns
    -------
    dict
        Entity → how to cut them; entities without a hot key, or with windows too long for a cut,
        are left out, and so are combinations of entities: their keys are smaller than their
        parts'.
    """
    from pyspark.sql import functions as F

    windows = {
        entity: features
        for entity, features in feature_set.by_entity().items()
        if len(features[0].entities) == 1
    }
    partitions = shuffle_partitions(rows)
    times = [F.unix_micros(f("event_time")) for f in (F.min, F.max)]
    total, first, last = rows.agg(F.count("*"), *times).collect()[0]
    fair = max(total / partitions, _BURDEN)
    if total <= fair or not windows:
        return {}
    keys_of = {entity: features[0].keys(entities)[0] for entity, features in windows.items()}
    number = _BUCKETS * partitions
    buckets = {
        entity: f"IF(`{key}` IS NULL, NULL, {index * number} + pmod(xxhash64(`{key}`), {number}))"
        for index, (entity, key) in enumerate(keys_of.items())
    }
    counted = rows.selectExpr(f"explode(array({', '.join(buckets.values())})) AS bucket")
    counted = counted.where("bucket IS NOT NULL").groupBy("bucket").count()
    heavy = [row[0] for row in counted.where(F.col("count") > fair).collect()]
    slicing = {}
    for index, (entity, features) in enumerate(windows.items()):
        own_buckets = [str(bucket) for bucket in heavy if bucket // number == index]
        keys: tuple[Any, ...] = ()
        if own_buckets:
            inside = rows.where(f"{buckets[entity]} IN ({', '.join(own_buckets)})")
            by_key = inside.groupBy(keys_of[entity]).agg(F.count("*").alias("_count"))
            keys = tuple(row[0] for row in by_key.where(F.col("_count") > fair).collect())
        reach = reach_of(features)
        length = max(reach, (last - first) // partitions + 1) if keys else 0
        # A slice brings its reach along: fewer than three would not be faster than one.
        if keys and last - first > 2 * length:
            slicing[entity] = TimeSlicing(keys, length, reach)
    return slicing


def shuffle_partitions(rows: DataFrame) -> int:
    """Into how many partitions Spark shuffles."""
    return int(str(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
