"""How good scores are, computed in Spark: no row leaves its task, only sums and top lists do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake.lake.frames import cached

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

_BINS_PER_DECADE = 5
_DECADES = 4
_CURVE_POINTS = 200
_TINY = 1e-15
_POINT = 53  # binary places of a precision,
_HALF = 27  # summed in two halves, so that 10 billion frauds do not overflow


def ranking(scored: DataFrame) -> dict[str, Any]:
    """Area under the ROC curve and average precision, exact, equal scores counted together.

    AUC is the chance that a fraud scores above a non-fraud, ties half. Average precision is the sum
    over distinct scores, highest first, of (recall gained) · (precision down to there), which is
    what scikit-learn computes.

    One row is kept for each distinct score, the scores are cut into ranges, each range is sorted on
    its own, and all that is collected is one row a range: its totals, then its part of the sums.
    Spark draws the ranges' bounds, so sums are integers: equal scores give equal bits.

    Parameters
    ----------
    scored
        `score` (double), `label` (1, 0); both classes.

    Returns
    -------
    dict
        `auc`, `average_precision`, and `curve`: `recall` and `precision`, at most about 200 points,
        lists of equal length in order of falling score.

    Examples
    --------
    See `benchmarks/handbook_week.py`.
    """
    from pyspark.sql import functions as F

    groups = scored.groupBy("score").agg(F.count("*").alias("n"), F.sum("label").alias("frauds"))
    groups = groups.repartitionByRange(F.desc("score")).sortWithinPartitions(F.desc("score"))
    with cached(groups) as groups:
        part = F.spark_partition_id().alias("part")
        totals = groups.groupBy(part).agg(F.sum("n"), F.sum("frauds")).collect()
        before, rows, frauds = {}, 0, 0
        for number, n, positive in sorted(totals):
            before[number] = (rows, frauds)
            rows, frauds = rows + n, frauds + positive
        schema = (
            "pairs bigint, high bigint, low bigint, recall array<double>, precision array<double>"
        )
        sums = groups.select(part, "n", "frauds").mapInArrow(
            lambda batches: _partial_sums(batches, before, rows, frauds), schema
        )
        parts = sums.collect()
    pairs, high, low = (sum(part[name] for part in parts) for name in ("pairs", "high", "low"))
    return {
        "auc": pairs / (2 * frauds * (rows - frauds)),
        "average_precision": ((high << _HALF) + low) / (frauds << _POINT),
        "curve": {
            "recall": [value for p in parts for value in p.recall],
            "precision": [value for p in parts for value in p.precision],
        },
    }


def _partial_sums(
    batches: Iterator[pa.RecordBatch], before: dict[int, tuple[int, int]], rows: int, frauds: int
) -> Iterator[pa.RecordBatch]:
    """One range's part of AUC and average precision, given the totals of the ranges above it.

    `pairs`: pairs of a fraud and a lower non-fraud, counted twice, ties once. `high` · 2²⁷ + `low`:
    sum of the precisions down to each fraud, each rounded to a multiple of 2⁻⁵³, times 2⁵³.
    """
    import pyarrow as pa

    table = pa.Table.from_batches(batches)
    if not table.num_rows:
        return
    n, positive = table["n"].to_numpy(), table["frauds"].to_numpy()
    rows_above, frauds_above = before[table["part"][0].as_py()]
    caught = frauds_above + np.cumsum(positive)
    flagged = rows_above + np.cumsum(n)
    negative = n - positive
    negatives = rows - frauds
    below = negatives - (flagged - caught)
    precision = caught / flagged
    points = np.rint(precision * 2.0**_POINT).astype(np.int64)
    recall = caught / frauds
    step = np.floor(recall * _CURVE_POINTS)
    keep = np.r_[True, step[1:] != step[:-1]]
    yield pa.RecordBatch.from_pydict(
        {
            "pairs": pa.array([positive @ (2 * below + negative)], pa.int64()),
            "high": pa.array([positive @ (points >> _HALF)], pa.int64()),
            "low": pa.array([positive @ (points % 2**_HALF)], pa.int64()),
            "recall": pa.array([recall[keep]], pa.list_(pa.float64())),
            "precision": pa.array([precision[keep]], pa.list_(pa.float64())),
        }
    )


def card_precision(scored: DataFrame, card: str, k: int) -> float:
    """Card precision at k: the share of frauds among the k cards that analysts check each day.

    Each day (UTC) a card stands with its highest score; it is a hit where any of its transactions
    that day is a fraud. The k highest cards are checked (equal scores: smaller card first), hits by
    k is averaged over days, and a card that was a hit leaves the days after.

    Only k · (number of days) candidates a day are collected: no more than k cards leave a day.

    Parameters
    ----------
    scored
        `event_time`, `score`, `label`, and the card's column.
    card
        Name of that column.
    k
        Cards that can be checked in a day.

    References
    ----------
    Le Borgne, Siblini, Lebichot, Bontempi (2022), Reproducible Machine Learning for Credit Card
    Fraud Detection – Practical Handbook, chapter 4.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    day = F.to_date("event_time").alias("day")
    cards = scored.groupBy(day, F.col(card).alias("card")).agg(
        F.max("score").alias("score"), F.max("label").alias("label")
    )
    ((days,),) = cards.select(F.count_distinct("day")).collect()
    order = Window.partitionBy("day").orderBy(F.desc("score"), F.asc("card"))
    ranked = cards.withColumn("rank", F.row_number().over(order))
    candidates = ranked.where(F.col("rank") <= k * days).orderBy("day", "rank")
    return _card_precision(candidates.select("day", "card", "label").collect(), k)


def _card_precision(candidates: Sequence[Any], k: int) -> float:
    """From (day, card, label) in order of day and rank."""
    detected: set[Any] = set()
    checked: dict[Any, int] = {}
    hits: dict[Any, set[Any]] = {}
    for day, card, label in candidates:
        caught = hits.setdefault(day, set())
        if card in detected or checked.get(day, 0) == k:
            continue
        checked[day] = checked.get(day, 0) + 1
        if label:
            caught.add(card)
            detected.add(card)
    return sum(len(caught) for caught in hits.values()) / (k * len(hits))


def confusion(scored: DataFrame, threshold: float) -> dict[str, int]:
    """Counts `tp`, `fp`, `fn`, `tn` where score ≥ threshold is flagged."""
    from pyspark.sql import functions as F

    flag, fraud = F.col("score") >= threshold, F.col("label") == 1
    counts = scored.agg(
        F.count_if(flag & fraud).alias("tp"),
        F.count_if(flag & ~fraud).alias("fp"),
        F.count_if(~flag & fraud).alias("fn"),
        F.count_if(~flag & ~fraud).alias("tn"),
    )
    return counts.collect()[0].asDict()


def probability_errors(scored: DataFrame, slope: float, intercept: float) -> dict[str, float]:
    """Brier score (mean squared error) and log loss, after calibration and before it.

    Parameters
    ----------
    scored
        `score` = sigmoid(slope · margin + intercept), `label`.

    Returns
    -------
    dict
        `brier` and `log_loss` of the scores, `brier_uncalibrated` and `log_loss_uncalibrated` of
        sigmoid(margin).
    """
    from pyspark.sql import functions as F

    score = _inside(F.col("score"))
    raw = _inside(1 / (1 + F.exp((intercept - margin("score")) / slope)))
    label = F.col("label")

    def errors(p: Column, suffix: str) -> list[Column]:
        loss = -(label * F.log(p) + (1 - label) * F.log1p(-p))
        return [
            F.avg((p - label) ** 2).alias("brier" + suffix),
            F.avg(loss).alias("log_loss" + suffix),
        ]

    means = scored.agg(*errors(score, ""), *errors(raw, "_uncalibrated"))
    return means.collect()[0].asDict()


def margin(score: str) -> Column:
    """Log-odds of a column of probabilities, finite where they are 0 or 1."""
    from pyspark.sql import functions as F

    p = _inside(F.col(score))
    return F.log(p) - F.log1p(-p)


def _inside(probability: Column) -> Column:
    from pyspark.sql import functions as F

    return F.least(F.greatest(probability, F.lit(_TINY)), F.lit(1 - _TINY))


def bins(scored: DataFrame) -> list[dict[str, float]]:
    """Rows by score, five bins a decade from 10⁻⁴ to 1 (lower scores fall into the lowest).

    Fraud is rare, so nearly all scores are small: bins of equal width would put them all in one.

    Returns
    -------
    list of dict
        One for each bin that has rows, ascending: `rows`, `frauds`, `score` (mean).
    """
    from pyspark.sql import functions as F

    bin_ = F.floor(F.log10(_inside(F.col("score"))) * _BINS_PER_DECADE)
    bin_ = F.greatest(bin_, F.lit(-_BINS_PER_DECADE * _DECADES))
    table = scored.groupBy(bin_.alias("bin")).agg(
        F.count("*").alias("rows"), F.sum("label").alias("frauds"), F.avg("score").alias("score")
    )
    return [row.asDict() for row in table.orderBy("bin").drop("bin").collect()]
