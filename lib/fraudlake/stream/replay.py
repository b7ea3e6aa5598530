"""Cuts recorded input into one file for each slice of event time, for a back-test of the stream."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from fraudlake.instants import time_range

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.datasets import Dataset

_STEP_MS = 10


def slices(
    records: DataFrame,
    dataset: Dataset,
    every: timedelta,
    folder: str,
    start: datetime | None,
    end: datetime | None,
) -> DataFrame:
    """The records as a stream, one micro-batch for each slice of event time, in event order.

    The slices are written to `folder`, one Parquet file each, modification times in event order,
    which is the order in which a file stream takes them. Records without a usable event time go
    into the first slice. What an earlier run has cut into the folder is used again.

    Parameters
    ----------
    records
        Records as `fraudlake.ingest.sources.read` gives them.
    every
        Length of a slice in event time.
    start, end
        Only events with start ≤ event_time < end, and records without a usable event time.

    Returns
    -------
    DataFrame
        A streaming DataFrame with the columns of `records`.
    """
    from pyspark.sql import functions as F

    from fraudlake.ingest import checks

    spark = records.sparkSession
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path
    files = path(folder).getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    if not files.exists(path(folder, "_SUCCESS")):
        timed = records.withColumn("_time", checks.event_time(records, dataset))
        timed = _without_cards(timed, dataset).where(
            f"_time IS NULL OR ({time_range(start, end, '_time')})"
        )
        number = F.floor(F.unix_seconds("_time") / int(every.total_seconds()))
        timed = timed.withColumn("event_slice", F.coalesce(number, F.lit(0)).cast("bigint"))
        writer = timed.drop("_time").repartition("event_slice").write.mode("overwrite")
        writer.partitionBy("event_slice").parquet(folder)
    statuses = files.globStatus(path(folder, "event_slice=*/*.parquet"))
    ordered = sorted(statuses, key=lambda status: _number(status.getPath().getParent().getName()))
    newest = int(time.time() * 1000)
    for position, status in enumerate(ordered):
        files.setTimes(status.getPath(), newest - (len(ordered) - position) * _STEP_MS, -1)
    reader = spark.readStream.schema(records.schema).option("maxFilesPerTrigger", 1)
    return reader.parquet(folder).select(*records.columns)


def _without_cards(records: DataFrame, dataset: Dataset) -> DataFrame:
    """Records as they are; of one that holds a card number, that and its masked text.

    What is cut lies in the state's folder until somebody removes it.
    """
    from pyspark.sql import functions as F

    from fraudlake.ingest import cards, checks

    names = {"fields": "_fields", "corrupt": "_corrupted"}
    copies = {copy: F.col(name) for name, copy in names.items()}
    checked = checks.check(records.withColumns(copies), dataset)
    held = F.exists("reasons", lambda reason: reason.contains(cards.EXPECTED))
    told = F.lit(f"got a card number, expected {cards.EXPECTED}")
    return checked.select(
        *(F.col(name) for name in records.columns if name not in ("raw", *names)),
        F.when(held, cards.mask(F.col("raw"))).otherwise(F.col("raw")).alias("raw"),
        F.when(~held, F.col("_fields")).alias("fields"),
        F.when(held, told).otherwise(F.col("_corrupted")).alias("corrupt"),
    ).select(*records.columns)


def _number(folder: str) -> int:
    return int(folder.removeprefix("event_slice="))
