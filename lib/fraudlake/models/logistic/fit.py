"""Logistic regression on many tasks at once, by Newton's method.

A step is one pass: each task gives the gradient and the Hessian of its rows, and the driver adds
them up in the order of the partitions. Spark's own estimator adds as they come, so that the last
bits of its weights change from run to run where there are more than two.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fraudlake.models.encoding import to_matrix
from fraudlake.models.kind import Fitted
from fraudlake.models.mlp.scorer import standardise, to_safetensors

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from fraudlake.models.logistic.contender import LogisticContender

log = logging.getLogger("fraudlake")

_STEPS = 50  # a handful does
_TOLERANCE = 1e-12  # what a step may still win, of the mean log loss


def fit(
    rows: DataFrame,
    features: Sequence[str],
    contender: LogisticContender,
    seed: int,  # noqa: ARG001  # nothing is drawn
    scratch: str,  # noqa: ARG001
) -> Fitted:
    """Two fits (`kind.Fit`)."""
    early, _ = _fit(rows.where("NOT held_out"), features, contender)
    final, loss = _fit(rows, features, contender)
    return Fitted(early, final, {"train_loss": loss})


def _fit(
    rows: DataFrame, features: Sequence[str], contender: LogisticContender
) -> tuple[bytes, float]:
    """Weights as those of a network without hidden layers, and the mean log loss at the optimum."""
    width = len(features)

    def total(of: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        return _total(rows, features, of)

    sums = total(_counts)
    counts, (frauds, n) = np.maximum(sums[:width], 1), sums[-2:]
    mean = sums[width : 2 * width] / counts
    std = np.sqrt(total(lambda x, _: np.nansum((x - mean) ** 2, axis=0)) / counts)

    penalty = np.diag([0.0, *[contender.penalty] * width])
    # Fraud is rare: the first step need not learn that.
    line = np.array([np.log(frauds / (n - frauds)), *[0.0] * width])
    step, loss = np.zeros_like(line), np.inf
    for _ in range(_STEPS):
        there = line + step
        sums = total(partial(_derivatives, mean=mean, std=std, line=there))
        found = sums[0] + there @ penalty @ there / 2
        if found > loss:
            step = step / 2
            continue
        line, loss = there, found
        gradient = sums[1 : width + 2] + penalty @ line
        hessian = sums[width + 2 :].reshape(width + 1, width + 1) + penalty
        step = -np.linalg.solve(hessian, gradient)
        if -gradient @ step <= _TOLERANCE * n:
            break
    else:
        log.warning("train: logistic: the optimum was not reached in %d steps", _STEPS)
    line = line + step
    layer = {"linear.0.weight": line[None, 1:], "linear.0.bias": line[:1]}
    return to_safetensors(layer, mean, std), float(sums[0] / n)


def _counts(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of each feature: values, their sum; frauds, rows."""
    there = ~np.isnan(x)
    return np.concatenate([there.sum(axis=0), np.nansum(x, axis=0), [y.sum(), len(y)]])


def _derivatives(
    x: np.ndarray, y: np.ndarray, mean: np.ndarray, std: np.ndarray, line: np.ndarray
) -> np.ndarray:
    """Log loss of (intercept, weights), its gradient and its Hessian, one after the other."""
    from scipy.special import expit

    z = np.column_stack([np.ones(len(x)), standardise(x, mean, std)])
    margin = z @ line
    p = expit(margin)
    loss = np.logaddexp(0, margin) - y * margin
    hessian = z.T @ (z * (p * (1 - p))[:, None])
    return np.concatenate([[loss.sum()], z.T @ (p - y), hessian.ravel()])


def _total(
    rows: DataFrame,
    features: Sequence[str],
    of: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Sum over all rows: of a matrix and its labels to a vector, added up in a fixed order."""

    def sums(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        found = [
            of(to_matrix(batch, features, {}), to_matrix(batch, ["label"], {})[:, 0])
            for batch in batches
            if batch.num_rows
        ]
        context = TaskContext.get()
        if found and context:
            part = pa.array([context.partitionId()], pa.int32())
            whole = pa.array([np.sum(found, axis=0)])
            yield pa.RecordBatch.from_arrays([part, whole], ["part", "sums"])

    parts = rows.select("label", *features).mapInArrow(sums, "part int, sums array<double>")
    ordered = sorted(parts.collect(), key=lambda row: row.part)
    return np.sum([row.sums for row in ordered], axis=0)
