"""Keys with more rows than a task's fair share: found from the data, and cut in time.

A busy merchant's rows would all meet in one task. Cut into slices of time they are worked on by
several; a slice brings along the rows before it that its windows reach, so values are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import reach_of

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Below this many rows a key is no burden: NumPy takes them in about a second.
_BURDEN = 200_000
# Keys are counted in so many buckets for each partition of a shuffle.
_BUCKETS = 16


@dataclass(frozen=True)
class Cut:
    """How an entity's hot keys are cut: at the multiples of `length` since 1970 UTC.

    Attributes
    ----------
    keys
        The hot keys.
    length
        Microseconds of one slice, not below `reach`: so a row counts in its own slice and at most
        in the next.
    reach
        Microseconds before a row that its windows look back.
    """

    keys: tuple[Any, ...]
    length: int
    reach: int

    def slice_of(self, key: str) -> Column:
        """Number of the slice that a row belongs to; 0 for keys that are not cut."""
        from pyspark.sql import functions as F

        return F.when(F.col(key).isin(*self.keys), self._number(0)).otherwise(F.lit(0))

    def counts_again(self, key: str) -> Column:
        """Whether a row counts in the slice after its own as well."""
        from pyspark.sql import functions as F

        reached = self._number(0) < self._number(self.reach - 1)
        return F.when(F.col(key).isin(*self.keys), reached).otherwise(F.lit(False))

    def _number(self, later: int) -> Column:
        from pyspark.sql import functions as F

        return F.expr(f"(unix_micros(event_time) + {later}) div {self.length}").cast("int")


def find_cuts(
    rows: DataFrame, feature_set: FeatureSet, entities: Mapping[str, str]
) -> dict[str, Cut]:
    """Cuts for keys with more rows than a partition of a shuffle would fairly get.

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
        Entity → cut; entities without a hot key, or with windows too long for a cut, are left out,
        and so are combinations of entities: their keys are smaller than their parts'.
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
        entity: f"IF(`{key}` IS NULL, NULL, {place * number} + pmod(xxhash64(`{key}`), {number}))"
        for place, (entity, key) in enumerate(keys_of.items())
    }
    counted = rows.selectExpr(f"explode(array({', '.join(buckets.values())})) AS bucket")
    counted = counted.where("bucket IS NOT NULL").groupBy("bucket").count()
    heavy = [row[0] for row in counted.where(F.col("count") > fair).collect()]
    cuts = {}
    for place, (entity, features) in enumerate(windows.items()):
        own = [str(bucket) for bucket in heavy if bucket // number == place]
        keys: tuple[Any, ...] = ()
        if own:
            inside = rows.where(f"{buckets[entity]} IN ({', '.join(own)})")
            by_key = inside.groupBy(keys_of[entity]).count().where(F.col("count") > fair)
            keys = tuple(row[0] for row in by_key.collect())
        reach = reach_of(features)
        length = max(reach, (last - first) // partitions + 1) if keys else 0
        # A slice brings its reach along: fewer than three would not be faster than one.
        if keys and last - first > 2 * length:
            cuts[entity] = Cut(keys, length, reach)
    return cuts


def shuffle_partitions(rows: DataFrame) -> int:
    """Into how many partitions Spark shuffles."""
    return int(str(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
