"""Measures of each day, and what they say of the noise in a figure over all days."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import date

    from pyspark.sql import DataFrame

Days = Mapping["date", Mapping[str, float]]


def by_day(scored: DataFrame) -> dict[date, dict[str, float]]:
    """AUC and average precision of each day (UTC) that has both classes, as `ranking` defines them.

    One day is sorted in one task; all that is collected is one row a day.

    Parameters
    ----------
    scored
        `event_time`, `score`, `label`.

    Returns
    -------
    dict
        Day → `auc`, `average_precision`; days ascending.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    groups = scored.groupBy(F.to_date("event_time").alias("day"), "score").agg(
        F.count("*").alias("n"), F.sum("label").alias("frauds")
    )
    down = Window.partitionBy("day").orderBy(F.desc("score"))
    flagged, caught = (F.sum(name).over(down) for name in ("n", "frauds"))
    sums = groups.select(
        *("day", "n", "frauds"),
        (flagged - caught - (F.col("n") - F.col("frauds")) / 2).alias("above"),
        (F.col("frauds") * caught / flagged).alias("precisions"),
    )
    days = sums.groupBy("day").agg(
        F.sum("n").alias("n"),
        F.sum("frauds").alias("frauds"),
        F.sum(F.col("frauds") * F.col("above")).alias("above"),
        F.sum("precisions").alias("precisions"),
    )
    return {
        row.day: {
            "auc": 1 - row.above / (row.frauds * (row.n - row.frauds)),
            "average_precision": row.precisions / row.frauds,
        }
        for row in days.where("0 < frauds AND frauds < n").orderBy("day").collect()
    }


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and its standard error: deviation of the values over the root of their number.

    Days are what varies from week to week, while frauds of one day come in runs: drawing rows anew
    would promise too much. Drawing days anew a thousand times gives the same error, by a seed.

    >>> mean_and_error([0.25, 0.5])
    (0.375, 0.125)
    """
    return fmean(values), stdev(values) / math.sqrt(len(values))


def intervals(days: Days) -> dict[str, float]:
    """Mean over the days of both measures, and its error; empty with fewer than two days."""
    if len(days) < 2:
        return {}
    of = {name: [one[name] for one in days.values()] for name in ("auc", "average_precision")}
    (auc, auc_error), (precision, precision_error) = map(mean_and_error, of.values())
    return {
        "auc_by_day": auc,
        "auc_by_day_error": auc_error,
        "average_precision_by_day": precision,
        "average_precision_by_day_error": precision_error,
    }


def difference_error(own: Days, theirs: Days, name: str) -> float | None:
    """Standard error of the mean of two models' daily differences; None with fewer than two days.

    >>> own, theirs = [{1: {"auc": a}, 2: {"auc": b}} for a, b in ((1.0, 0.75), (0.5, 0.5))]
    >>> difference_error(own, theirs, "auc")
    0.125
    """
    common = own.keys() & theirs.keys()
    if len(common) < 2:
        return None
    return mean_and_error([own[day][name] - theirs[day][name] for day in sorted(common)])[1]
