"""Features of a micro-batch on Spark: one shuffle for each entity, around what is remembered.

The same definitions and kernels as in `batch`; instead of bringing earlier rows, the tasks open
the files of their partition and leave a new one, named by the batch (`tasks`, `sorted_runs`,
`run_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudlake.features import columns
from fraudlake.features.batch.compute import label_changes
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Feature, key_columns
from fraudlake.features.state.tasks import (
    KEY,
    PARTITION,
    ChangesTask,
    FreshTask,
    LabelsTask,
    MergeTask,
    Place,
    Store,
    WindowsTask,
)
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import LABELS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


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


def placed(rows: DataFrame, by: Column, place: Place) -> DataFrame:
    """Rows with the task of their partition; by the transaction where `by` is null."""
    from pyspark.sql import functions as F

    return _placed(rows, F.when(by.isNull(), F.xxhash64("tx_id")).otherwise(F.xxhash64(by)), place)


def _placed(rows: DataFrame, hashed: Column, place: Place) -> DataFrame:
    from pyspark.sql import functions as F

    partition = F.pmod(hashed, F.lit(place.partitions)).cast("int")
    return rows.withColumn(PARTITION, partition).repartitionById(
        place.tasks, F.col(PARTITION) % place.tasks
    )


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

    place = places[Store.TRANSACTIONS]
    rows = rows.withColumns({KEY + entity: key for entity, key in keys.items()})
    carried = [name for name in rows.columns if name != "raw" and not name.startswith(KEY)]
    schema = StructType([rows.schema[name] for name in carried]).add(
        columns.CHANGES, ArrayType(LongType())
    )
    kernel = FreshTask(place, places[Store.LABELS], tuple(carried), tuple(keys))
    by = rows["tx_id"]
    return placed(rows, by, place).mapInArrow(kernel, schema)


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
    keys = {KEY + entity: key_of(entity, entities, types) for entity in by_entity}
    current = rows.select(
        *dict.fromkeys(["tx_id", "event_time", *carry, columns.CHANGES]),
        *(column.alias(name) for name, column in {**alone, **every, **keys}.items()),
    )
    waiting, done = list(by_entity), [*dict.fromkeys(["tx_id", "event_time", *carry]), *alone]
    for entity, features in by_entity.items():
        waiting.remove(entity)
        later = {name for other in waiting for name in (*needs[other], KEY + other)}
        more = [name for name in current.columns if name in later]
        labels = (
            [columns.CHANGES] if any(f.over_labels for e in waiting for f in by_entity[e]) else []
        )
        kept = [*done, *more, *labels]
        schema = StructType([current.schema[name] for name in kept])
        for feature in features:
            kind = LongType() if feature.sql_type == "bigint" else DoubleType()
            schema = schema.add(feature.name, kind)
        kernel = WindowsTask(places[entity], KEY + entity, tuple(features), scale, tuple(kept))
        by = current[KEY + entity]
        current = placed(current, by, places[entity]).mapInArrow(kernel, schema)
        done += [f.name for f in features]
    made = [columns.finished(f).alias(f.name) for f in feature_set.features]
    return current.select(*carry, *made, F.lit(feature_set.hash).alias("definition"))


def rated(feature_set: FeatureSet) -> dict[str, list[Feature]]:
    """Entities with a rate over labels."""
    found = feature_set.by_entity().items()
    return {e: features for e, features in found if any(f.over_labels for f in features)}


def rate_keys(
    feature_set: FeatureSet, entities: Mapping[str, str], types: Mapping[str, str]
) -> dict[str, Column]:
    """Entity with a rate over labels → its key."""
    return {entity: key_of(entity, entities, types) for entity in rated(feature_set)}


def remember(
    rows: DataFrame,
    changes: DataFrame,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    places: Mapping[str, Place],
) -> None:
    """Write the new run of every store, from transactions that are history and their labels.

    Parameters
    ----------
    rows
        `tx_id`, `event_time`, the entity columns and the columns that features name.
    changes
        As `label_history` gives them; those of other transactions wait for these to come.
    """
    types = dict(rows.dtypes)
    labelled = rows.join(changes, "tx_id", "left")
    for entity, features in feature_set.by_entity().items():
        key = key_of(entity, entities, types)
        inputs = {**columns.window_inputs(rows, features), KEY + entity: key}
        chosen = labelled.where(key.isNotNull()).select(
            *("tx_id", "event_time", columns.CHANGES),
            *(column.alias(name) for name, column in inputs.items()),
        )
        scale = columns.scales(rows, features)
        task = WindowsTask(places[entity], KEY + entity, tuple(features), scale, ())
        _run(placed(chosen, chosen[KEY + entity], places[entity]), task)
    keys = rate_keys(feature_set, entities, types)
    chosen = rows.select(
        "tx_id", "event_time", *(key.alias(KEY + entity) for entity, key in keys.items())
    )
    place = places[Store.TRANSACTIONS]
    fresh_task = FreshTask(place, places[Store.LABELS], (), tuple(keys))
    _run(placed(chosen, chosen["tx_id"], place), fresh_task)
    waiting = _signed(changes.join(rows.select("tx_id"), "tx_id", "left_anti"))
    labels_task = LabelsTask(place, places[Store.LABELS], ())
    _run(placed(waiting, waiting["tx_id"], place), labels_task)


def relabel(changes: DataFrame, feature_set: FeatureSet, places: Mapping[str, Place]) -> None:
    """Write the new run of `labels` and of every entity with a rate: what became known.

    Parameters
    ----------
    changes
        As `changes_between` gives them. Those of transactions that have come go to their entities,
        the others wait.
    """
    from pyspark.sql import functions as F

    place, entities = places[Store.TRANSACTIONS], rated(feature_set)
    fields = ["tx_id bigint", "event_time bigint", "known bigint", "change bigint"]
    fields += [f"`{KEY}{e}/{kind}` {kind}" for e in entities for kind in ("bigint", "string")]
    task = LabelsTask(place, places[Store.LABELS], tuple(entities))
    come = placed(changes, changes["tx_id"], place)
    with cached(come.mapInArrow(task, ", ".join(fields))) as come:
        come.write.format("noop").mode("overwrite").save()
        for entity, features in entities.items():
            whole, text = (F.col(f"`{KEY}{entity}/{kind}`") for kind in ("bigint", "string"))
            at = F.when(text.isNull(), F.xxhash64(whole)).otherwise(F.xxhash64(text))
            rows = _placed(come.where(whole.isNotNull() | text.isNotNull()), at, places[entity])
            _run(rows, ChangesTask(places[entity], KEY + entity, tuple(features)))


def label_history(lake: Lake, version: int) -> DataFrame:
    """All changes of the fraud count up to a version of `labels` (−1: none).

    Returns
    -------
    DataFrame
        `tx_id`, `_changes`, as `compute.label_changes` gives them.
    """
    if version < 0:
        return lake.spark.createDataFrame([], f"tx_id bigint, {columns.CHANGES} array<bigint>")
    return label_changes(lake.read(LABELS, version))


def changes_between(lake: Lake, after: int, until: int) -> DataFrame:
    """What statements between two versions of `labels` add to the changes, or take from them.

    Returns
    -------
    DataFrame
        `tx_id`, `known` (bigint, microseconds), `change` (bigint, not 0).
    """
    from pyspark.sql import functions as F

    touched = lake.changes(LABELS, after, until).select("tx_id").distinct()
    now, before = (
        _signed(label_history(lake, version).join(touched, "tx_id", "left_semi"))
        for version in (until, after)
    )
    both = now.unionByName(before.withColumn("change", -F.col("change")))
    return both.groupBy("tx_id", "known").agg(F.sum("change").alias("change")).where("change != 0")


def merge(spark: SparkSession, places: Mapping[str, Place], oldest: int) -> None:
    """Write the new run of stores: their known runs as one, without what is older than a time.

    One task does it all, so that a stream on two cores keeps one.
    """
    numbers = max(place.partitions for place in places.values())
    _run(spark.range(0, numbers, 1, 1), MergeTask(dict(places), oldest))


def _signed(changes: DataFrame) -> DataFrame:
    """Changes one a row: `tx_id`, `known`, `change` (+1 and −1 in turn)."""
    from pyspark.sql import functions as F

    rows = changes.select("tx_id", F.posexplode(columns.CHANGES).alias("place", "known"))
    sign = F.when(F.col("place") % 2 == 0, F.lit(1)).otherwise(F.lit(-1))
    return rows.select("tx_id", "known", sign.cast("bigint").alias("change"))


def _run(rows: DataFrame, kernel: Any) -> None:
    rows.mapInArrow(kernel, "nothing int").write.format("noop").mode("overwrite").save()
