"""How the rows of the feature table are laid out in files: by time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_FILE_ROWS = 500_000


def by_time(rows: DataFrame, times: DataFrame) -> DataFrame:
    """Rows in the order of `event_time`, one partition a file, each file with days of its own.

    Delta keeps the first and the last time of each file, so that a query or a later write for a
    short range opens few files. Spark's own range partitioning would compute all rows twice, once
    to draw a sample: here days are counted first.

    Parameters
    ----------
    rows
        Rows with `event_time`.
    times
        A frame with the same `event_time`s that costs less to read (the transactions).

    Returns
    -------
    DataFrame
        The rows, in partitions of about 500,000; a day is never cut.
    """
    from pyspark.sql import functions as F

    day = F.to_date("event_time")
    counts = times.groupBy(day.alias("_day")).count().orderBy("_day").collect()
    files, filled = [], 0
    for date, count in counts:
        files.append((date, filled // _FILE_ROWS))
        filled += count
    known = rows.sparkSession.createDataFrame(files, "_day date, _file int")
    placed = rows.withColumn("_day", day).join(F.broadcast(known), "_day", "left").drop("_day")
    number = files[-1][1] + 1 if files else 1
    ordered = placed.repartitionById(number, F.col("_file")).sortWithinPartitions("event_time")
    return ordered.drop("_file")
