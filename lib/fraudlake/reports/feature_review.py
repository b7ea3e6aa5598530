"""What each feature is worth: coverage, drift, strength alone, likeness to others; what to drop.

Every feature is cut into bins that hold about equally many rows, missing values in a bin of their
own; one pass over the rows counts them by month and bin, and sums products of bin numbers. All that
is said of a feature is said from these counts, so neither its scale nor outliers matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_BINS = 50
_GROUPS = 10
_QUANTILE_ERROR = 0.001
_SMALLEST_SHARE = 1e-4
# Above this the population of a feature is usually said to have shifted (Siddiqi 2006).
DRIFTED = 0.25
ALIKE = 0.95
WEAK = 0.01
LEAKING = 0.48  # from .5: no honest feature orders nearly all frauds above nearly all others


@dataclass(frozen=True)
class FeatureSummary:
    """One feature under review.

    Attributes
    ----------
    coverage
        Share of rows with a value.
    auc
        Area under the ROC curve of the feature alone, to the bin; .5 says nothing, below .5 low
        values are the suspicious ones.
    drift
        Largest population stability index of a month against the first one.
    month
        That month, `2018-07`; empty where there is one month only.
    alike, correlation
        The feature it follows most closely among those that are stronger alone, and the rank
        correlation (Spearman's, to the bin) with it; empty and 0 for the strongest.
    drop
        Why it can be dropped; empty: keep it.
    """

    name: str
    coverage: float
    auc: float
    drift: float
    month: str
    alike: str
    correlation: float
    drop: str


@dataclass(frozen=True)
class Counts:
    """What one pass over the rows gives: months m, features f, bins b (bin 0: no value).

    Attributes
    ----------
    months
        `2018-07`, …, rising.
    rows, frauds
        int64 [m, f, b].
    products
        Sums of products of bin numbers, int64 [f, f].
    """

    features: tuple[str, ...]
    months: tuple[str, ...]
    rows: NDArray[np.int64]
    frauds: NDArray[np.int64]
    products: NDArray[np.int64]


def count(rows: DataFrame, features: Sequence[str]) -> Counts:
    """Cut the features into bins and count rows and frauds.

    Parameters
    ----------
    rows
        `event_time`, `is_fraud` (boolean) and the feature columns; one row a transaction. Read
        twice, once for the quantiles.
    """
    from pyspark.sql import functions as F

    values = rows.select(
        F.date_format("event_time", "yyyy-MM").alias("_month"),
        F.col("is_fraud").cast("int").alias("_fraud"),
        *(F.col(name).cast("double").alias(name) for name in features),
    )
    shares = list(np.linspace(0, 1, _BINS + 1)[1:-1])
    quantiles = values.approxQuantile(list(features), shares, _QUANTILE_ERROR)
    edges = [np.unique(np.array(points, float)) for points in quantiles]
    schema = "month string, feature int, bin int, rows bigint, frauds bigint"
    partial = values.mapInArrow(lambda batches: _partial(batches, edges), schema)
    sums = partial.groupBy("month", "feature", "bin").agg(F.sum("rows"), F.sum("frauds")).collect()
    months = tuple(sorted({row.month for row in sums if row.month}))
    shape = (len(months), len(features), _BINS + 1)
    counted, frauds = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    products = np.zeros((len(features), len(features)), np.int64)
    for month, feature, bin_, n, positive in sums:
        if month:
            at = months.index(month), feature, bin_
            counted[at], frauds[at] = n, positive
        else:
            products[feature, bin_] = n
    return Counts(tuple(features), months, counted, frauds, products)


def _partial(
    batches: Iterator[pa.RecordBatch], edges: list[NDArray[np.float64]]
) -> Iterator[pa.RecordBatch]:
    """Counts of each batch; rows without a month are the products, `bin` the other feature."""
    import pyarrow as pa

    width = _BINS + 1
    for batch in batches:
        months, fraud = batch.column("_month").to_pylist(), batch.column("_fraud").to_numpy()
        names, month = np.unique(np.array(months), return_inverse=True)
        bins = np.stack([_bins(batch.column(i + 2), edges[i]) for i in range(len(edges))])
        feature = np.arange(len(edges))[:, None]
        cell = ((month * len(edges) + feature) * width + bins).ravel()
        size = len(names) * len(edges) * width
        rows = np.bincount(cell, minlength=size)
        frauds = np.bincount(cell, np.tile(fraud, len(edges)), minlength=size).astype(np.int64)
        some = np.flatnonzero(rows)
        products = bins @ bins.T
        i, j = (side.ravel() for side in np.indices(products.shape))
        yield pa.RecordBatch.from_pydict(
            {
                "month": [*names[some // (len(edges) * width)], *[None] * len(i)],
                "feature": np.r_[some // width % len(edges), i].astype(np.int32),
                "bin": np.r_[some % width, j].astype(np.int32),
                "rows": np.r_[rows[some], products.ravel()],
                "frauds": np.r_[frauds[some], np.zeros_like(i)],
            }
        )


def _bins(column: pa.Array, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """1 up to the lowest edge, 2 above it, …; 0 where there is no value."""
    values = column.to_numpy(zero_copy_only=False)
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values) + 1)


def assess(counts: Counts) -> list[FeatureSummary]:
    """A summary of every feature, strongest first.

    Raises
    ------
    ValueError
        The rows have only one class.
    """
    rows, frauds = counts.rows.sum(axis=0), counts.frauds.sum(axis=0)
    positives = int(frauds[0].sum())
    negatives = int(rows[0].sum()) - positives
    if not positives or not negatives:
        raise ValueError(f"got {positives} frauds and {negatives} others, expected some of both")
    auc = _auc(rows, frauds)
    drift = drift_by_month(counts.rows)
    correlation = np.abs(rank_correlations(rows, counts.products))
    strength = np.abs(auc - 0.5)
    order = np.argsort(-strength, kind="stable")
    summaries: list[FeatureSummary] = []
    for rank, i in enumerate(order):
        stronger = order[:rank]
        nearest = stronger[np.argmax(correlation[i, stronger])] if rank else i
        like = float(correlation[i, nearest]) if rank else 0.0
        worst = int(np.argmax(drift[:, i]))
        staying = [j for j, s in zip(stronger, summaries, strict=True) if not s.drop]
        twin = max(staying, key=lambda j: correlation[i, j], default=None)
        reasons = []
        if np.count_nonzero(rows[i]) == 1:
            reasons.append("has one value")
        elif strength[i] < WEAK:
            reasons.append(f"alone it tells nothing (AUC {auc[i]:.3f})")
        elif strength[i] > LEAKING:
            reasons.append(
                f"alone it tells nearly all frauds (AUC {auc[i]:.3f}): does it know the label, or "
                "what came later?"
            )
        if drift[worst, i] > DRIFTED:
            reasons.append(f"shifted by {counts.months[worst]} (PSI {drift[worst, i]:.2f})")
        if twin is not None and correlation[i, twin] > ALIKE:
            reasons.append(f"follows {counts.features[twin]} ({correlation[i, twin]:.2f})")
        summaries.append(
            FeatureSummary(
                counts.features[i],
                float(1 - rows[i, 0] / rows[i].sum()),
                float(auc[i]),
                float(drift[worst, i]),
                counts.months[worst] if len(counts.months) > 1 else "",
                counts.features[nearest] if rank else "",
                like,
                "; ".join(reasons),
            )
        )
    return summaries


def _auc(rows: NDArray[np.int64], frauds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance that a fraud lies in a higher bin than another row, equal bins half; [f, b] → [f]."""
    others = rows - frauds
    below = np.cumsum(others, axis=1) - others / 2
    return (frauds * below).sum(axis=1) / frauds[0].sum() / others[0].sum()


def drift_by_month(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Population stability index of each month against the first: [m, f, b] → [m, f].

    Σ (p − q) ln(p / q) over the shares p, q of ten groups (Siddiqi 2006, Credit risk scorecards).
    """
    starts = np.r_[0, np.arange(1, _BINS + 1, _BINS // _GROUPS)]
    grouped = np.add.reduceat(rows, starts, axis=2)
    share = np.maximum(grouped / np.maximum(grouped.sum(axis=2, keepdims=True), 1), _SMALLEST_SHARE)
    return ((share - share[:1]) * np.log(share / share[:1])).sum(axis=2)


def rank_correlations(rows: NDArray[np.int64], products: NDArray[np.int64]) -> NDArray[np.float64]:
    """Pearson's correlation of the bin numbers, 0 where a feature has one bin; → [f, f]."""
    total = rows[0].sum()
    mean = (rows @ np.arange(rows.shape[1])) / total
    covariance = products / total - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.outer(spread, spread)
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 1e-9)
