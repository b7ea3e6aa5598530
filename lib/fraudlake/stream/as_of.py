"""Features of a stream's transactions by the batch build, each as known when it was scored.

The stream's table `seen` says which micro-batch a transaction came in, and which labels were known
then. So a window can be computed from what had come by that batch, without the stream's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from fraudlake.errors import DataError
from fraudlake.features.batch.compute import compute
from fraudlake.features.feature import key_columns
from fraudlake.instants import time_range
from fraudlake.lake.frames import union
from fraudlake.lake.tables import LABELS
from fraudlake.stream.state import LATENESS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.features.definition.feature_set import FeatureSet
    from fraudlake.stream.history import History


def features_as_of_scoring(
    history: History,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    start: datetime | None,
    end: datetime | None,
) -> DataFrame:
    """Features of what a stream has scored of [start, end), from what it knew at each micro-batch.

    A transaction of batch b has in its windows those of the lake before the cutover and those that
    came in batches up to b, those of b itself included. Rates count what labels said at the version
    that b knew. What an entity has in reach is copied for each batch that it is in: the cost grows
    with the transactions compared, times what their entities hold.

    Parameters
    ----------
    entities
        Entity → its column.

    Returns
    -------
    DataFrame
        As `compute` gives it. Transactions that came more than two days after newer ones are left
        out: the stream may have forgotten a part of their windows.

    Raises
    ------
    DataError
        The stream has scored nothing of the range.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    partitioned = feature_set.partitioned_by("batch_id")
    seen = history.arrived().where("batch_id IS NOT NULL")
    batches = seen.groupBy("batch_id").agg(F.max("event_time").alias("_newest"))
    newest = F.max("_newest").over(Window.orderBy("batch_id"))
    newest = F.greatest(newest, F.lit(history.cutover)).alias("_newest")
    batches = batches.select("batch_id", newest)
    in_time = F.col("event_time") >= F.col("_newest") - F.lit(LATENESS)
    targets = seen.where(time_range(start, end)).join(F.broadcast(batches), "batch_id")
    targets = targets.where(in_time).drop("_newest")

    def features(version: int) -> DataFrame:
        chosen = targets.where(F.col("labels_version") == version)

        def context(entity: str) -> DataFrame:
            keys = key_columns(entity, entities)
            first = F.min("event_time").alias("_first")
            wanted = chosen.groupBy(*keys).agg(first)
            others = history.arrived().withColumnRenamed("batch_id", "_came")
            others = others.join(wanted, [key for key in keys if key != "batch_id"])
            in_reach = F.col("event_time") > F.col("_first") - F.lit(feature_set.lookback)
            had_come = F.coalesce("_came", F.lit(-1)) <= F.col("batch_id")
            return others.where(in_reach & had_come)

        return compute(chosen, context, history.lake.read(LABELS, version), partitioned, entities)

    versions = targets.select("labels_version").distinct().collect()
    if not versions:
        raise DataError(
            f"state: got {history.own.root}, whose stream has scored nothing with "
            f"{time_range(start, end)}, expected some: see from= and to="
        )
    return union([features(row["labels_version"]) for row in versions])
