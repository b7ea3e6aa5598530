"""How the rows of the feature table are laid out in files: by time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_FILE_ROWS = 500_000
_EPOCH = date(1970, 1, 1)


def files_of(days: Mapping[int, int]) -> dict[int, int]:
    """Day → number of the file that its rows go to: about 500,000 rows, a day is never cut.

    >>> files_of({17622: 300_000, 17623: 300_000, 17625: 10})
    {17622: 0, 17623: 0, 17625: 1}
    """
    files, filled = {}, 0
    for day, rows in sorted(days.items()):
        files[day] = filled // _FILE_ROWS
        filled += rows
    return files


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
    counts = times.groupBy(F.unix_date(day)).count().collect()
    files = files_of(dict(counts))
    known = rows.sparkSession.createDataFrame(
        [(_EPOCH + timedelta(days=day), number) for day, number in files.items()],
        "_day date, _file int",
    )
    placed = rows.withColumn("_day", day).join(F.broadcast(known), "_day", "left").drop("_day")
    number = max(files.values(), default=0) + 1
    ordered = placed.repartitionById(number, F.col("_file")).sortWithinPartitions("event_time")
    return ordered.drop("_file")
