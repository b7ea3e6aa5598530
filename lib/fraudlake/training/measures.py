"""How good scores are, computed in Spark: no row leaves its task, only sums and top lists do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
_POINT = 53  # binary places of a precision or a score,
_HALF = 27  # summed in two halves, so that 10 billion rows do not overflow
FALSE_POSITIVE_RATES = {"0.01": 100, "0.001": 1000}  # name → one in so many
FALSE_ALARMS = 5  # for each fraud caught
ECE_BINS = 15


def ranking(scored: DataFrame) -> dict[str, Any]:
    """Measures of the order of all rows, exact, equal scores counted together.

    AUC is the chance that a fraud scores above a non-fraud, ties half. Average precision is the sum
    over distinct scores, highest first, of (recall gained) · (precision down to there), which is
    what scikit-learn computes.

    One row is kept for each distinct score, the scores are cut into ranges, each range is sorted on
    its own, and all that is collected is one row a range: its totals, then its part of the sums.
    Spark draws the ranges' bounds, so sums are integers: equal scores give equal bits.

    Parameters
    ----------
    scored
        `score` (double, 0 to 1), `label` (1, 0); both classes. With `_amount` (decimal; null
        and refunds count as nothing) money is measured too.

    Returns
    -------
    dict
        - `auc`, `average_precision`;
        - `recall_at_fpr_0.01`, `recall_at_fpr_0.001`: the highest recall of a threshold at which
          no more than that share of non-frauds is flagged, nothing interpolated;
        - `fraud_money_at_1_to_5`: share of the frauds' money at or above the lowest threshold
          that flags no more than five non-frauds for each fraud; where frauds have amounts;
        - `expected_calibration_error`: rows cut by score into 15 bins of equal mass, sum over bins
          of |frauds - sum of scores|, over all rows. A distinct score is in the bin of its middle
          row, so that equal scores stay together, and bins hang on no order of rows;
        - `expected_calibration_error_by_chance`: its mean where every score is true, labels drawn
          from it: sum over bins of √(2 / π · variance of their frauds), over all rows;
        - `curve`: `recall` and `precision`, at most about 200 points, lists of equal length in
          order of falling score.

    References
    ----------
    Nixon, Dusenberry, Zhang, Jerfel, Tran (2019), Measuring Calibration in Deep Learning: bins of
    equal mass. Guo, Pleiss, Sun, Weinberger (2017), On Calibration of Modern Neural Networks: 15
    of them.

    Examples
    --------
    See `benchmarks/handbook_week.py`.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import from_arrow_schema

    cents: Column = F.lit(0)
    if "_amount" in scored.columns:
        money = F.greatest(F.col("_amount") * F.col("label") * 100, F.lit(0))
        cents = F.coalesce(F.sum(money), F.lit(0))
    groups = scored.groupBy("score").agg(
        F.count("*").alias("n"),
        F.sum("label").alias("frauds"),
        cents.cast("bigint").alias("cents"),
    )
    groups = groups.repartitionByRange(F.desc("score")).sortWithinPartitions(F.desc("score"))
    with cached(groups) as groups:
        part = F.spark_partition_id().alias("part")
        totals = groups.groupBy(part).agg(F.sum("n"), F.sum("frauds"), F.sum("cents")).collect()
        before, total = {}, (0, 0, 0)
        for number, *own in sorted(totals):
            before[number] = total
            total = tuple(a + b for a, b in zip(total, own, strict=True))
        parts = groups.select(part, "score", "n", "frauds", "cents").mapInArrow(
            lambda batches: _partial_sums(batches, before, total),
            from_arrow_schema(_partial_type()),
        )
        return _summed(parts.collect(), total)


def _partial_type() -> pa.Schema:
    import pyarrow as pa

    numbers = ("pairs", "high", "low", "cents")
    places = pa.list_(pa.float64())
    bins = pa.struct([(name, pa.int64()) for name in ("bin", "n", "frauds", "high", "low")])
    return pa.schema(
        [(name, pa.int64()) for name in numbers]
        + [("recall", places), ("precision", places)]
        + [("caught", pa.list_(pa.int64())), ("bins", pa.list_(bins))]
    )


def _summed(parts: Sequence[Any], total: tuple[int, ...]) -> dict[str, Any]:
    """What `ranking` gives, from the rows of `_partial_sums` in order."""
    rows, frauds, cents = total
    pairs, high, low = (sum(part[name] for part in parts) for name in ("pairs", "high", "low"))
    found = {
        "auc": pairs / (2 * frauds * (rows - frauds)),
        "average_precision": ((high << _HALF) + low) / (frauds << _POINT),
    }
    for place, name in enumerate(FALSE_POSITIVE_RATES):
        found[f"recall_at_fpr_{name}"] = max(part["caught"][place] for part in parts) / frauds
    if cents:
        name = f"fraud_money_at_1_to_{FALSE_ALARMS}"
        found[name] = max(part["cents"] for part in parts) / cents
    bins: dict[int, list[int]] = {}
    for part in parts:
        for number, *own in part["bins"]:
            bins[number] = [a + b for a, b in zip(bins.get(number, [0] * 4), own, strict=True)]
    apart = chance = 0.0
    for n, positive, upper, lower in bins.values():
        expected = ((upper << _HALF) + lower) / (1 << _POINT)
        apart += abs(positive - expected)
        chance += math.sqrt(2 / math.pi * expected * max(1 - expected / n, 0))
    return {
        **found,
        "expected_calibration_error": apart / rows,
        "expected_calibration_error_by_chance": chance / rows,
        "curve": {
            "recall": [value for part in parts for value in part["recall"]],
            "precision": [value for part in parts for value in part["precision"]],
        },
    }


def _partial_sums(
    batches: Iterator[pa.RecordBatch],
    before: Mapping[int, tuple[int, ...]],
    total: tuple[int, ...],
) -> Iterator[pa.RecordBatch]:
    """One range's part of the sums, given the totals (rows, frauds, cents) of the ranges above it.

    `pairs`: pairs of a fraud and a lower non-fraud, counted twice, ties once. `high` · 2²⁷ + `low`:
    sum of the precisions down to each fraud, each rounded to a multiple of 2⁻⁵³, times 2⁵³; of a
    bin, so the sum of the scores. `caught`: the most frauds at each false-positive rate. `cents`:
    the most money at so many false alarms for each fraud.
    """
    import pyarrow as pa

    table = pa.Table.from_batches(batches)
    if not table.num_rows:
        return
    n, positive, score = (table[name].to_numpy() for name in ("n", "frauds", "score"))
    rows, frauds, _ = total
    rows_above, frauds_above, cents_above = before[table["part"][0].as_py()]
    caught = frauds_above + np.cumsum(positive)
    flagged = rows_above + np.cumsum(n)
    money = cents_above + np.cumsum(table["cents"].to_numpy())
    negative = n - positive
    negatives = rows - frauds
    alarms = flagged - caught
    below = negatives - alarms
    precision = caught / flagged
    points = np.rint(precision * 2.0**_POINT).astype(np.int64)
    recall = caught / frauds
    step = np.floor(recall * _CURVE_POINTS)
    keep = np.r_[True, step[1:] != step[:-1]]
    number = np.minimum((2 * flagged - n) * ECE_BINS // (2 * rows), ECE_BINS - 1)
    sizes = np.rint(score * 2.0**_POINT).astype(np.int64)
    bins = [
        {
            "bin": int(one),
            "n": n[own].sum(),
            "frauds": positive[own].sum(),
            "high": n[own] @ (sizes[own] >> _HALF),
            "low": n[own] @ (sizes[own] % 2**_HALF),
        }
        for one in np.unique(number)
        for own in [number == one]
    ]
    kept = [
        int(caught[alarms * one_in <= negatives].max(initial=0))
        for one_in in FALSE_POSITIVE_RATES.values()
    ]
    part = {
        "pairs": positive @ (2 * below + negative),
        "high": positive @ (points >> _HALF),
        "low": positive @ (points % 2**_HALF),
        "recall": recall[keep],
        "precision": precision[keep],
        "caught": kept,
        "cents": int(money[alarms <= FALSE_ALARMS * caught].max(initial=0)),
        "bins": bins,
    }
    yield pa.RecordBatch.from_pylist([part], schema=_partial_type())


def scored(rows: DataFrame, files: dict[str, bytes], carry: Sequence[str]) -> DataFrame:
    """Scores of a model for its measures: `carry`, `score`, and `_no_score` where that is NaN.

    Such a row's score is 0 here: it is never flagged.
    """
    from pyspark.sql import functions as F

    from fraudlake.scoring.apply import score_rows

    score = F.col("score")
    return score_rows(rows, files, None, carry).withColumns(
        {"score": F.nanvl(score, F.lit(0.0)), "_no_score": F.isnan(score)}
    )


def probability_errors(slope: float, intercept: float) -> dict[str, Column]:
    """Brier score (mean squared error) and log loss, after calibration and before it.

    Returns
    -------
    dict
        Aggregates over `score` = sigmoid(slope · margin + intercept) and `label`: `brier` and
        `log_loss` of the scores, `brier_uncalibrated` and `log_loss_uncalibrated` of
        sigmoid(margin).
    """
    from pyspark.sql import functions as F

    score = _inside(F.col("score"))
    raw = _inside(1 / (1 + F.exp((intercept - margin("score")) / slope)))
    label, found = F.col("label"), {}
    for p, suffix in ((score, ""), (raw, "_uncalibrated")):
        found["brier" + suffix] = F.avg((p - label) ** 2)
        found["log_loss" + suffix] = F.avg(-(label * F.log(p) + (1 - label) * F.log1p(-p)))
    return found


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
