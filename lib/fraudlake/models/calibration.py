"""From margins to probabilities: a straight line in log-odds, fitted by Platt's method."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_STEPS = 100
_GRADIENT = 1e-10


@dataclass(frozen=True)
class Calibration:
    """score = sigmoid(slope · margin + intercept); `slope` > 0, so the order of rows stays.

    `reason` says why a fit was not possible and the identity stands instead; empty after a fit.
    """

    slope: float = 1.0
    intercept: float = 0.0
    reason: str = ""


def fit(margins: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Calibration:
    """Fit the line on rows that trained nothing.

    Maximises the likelihood of Platt's smoothed targets, (N₊ + 1)/(N₊ + 2) for frauds and
    1/(N₋ + 2) for the rest, so that few frauds cannot drive the slope to infinity.

    Parameters
    ----------
    margins
        The model's log-odds before calibration, [n].
    labels
        1 for fraud, 0 for not, [n].
    weights
        How many rows each entry stands for, [n]; 1 each if left out.

    Returns
    -------
    Calibration
        With a positive slope always: the identity with a `reason` where one class is missing,
        the margins are all equal or not finite, or higher margins go with fewer frauds.

    References
    ----------
    Platt (1999), Probabilistic outputs for support vector machines. Lin, Lin, Weng (2007), A note
    on Platt's probabilistic outputs: the Newton steps with halving.

    Examples
    --------
    >>> line = fit([-2, -1, 0, 1, 2], [0, 0, 1, 0, 1])
    >>> line.slope > 0
    True
    >>> fit([-1, 1], [0, 0]).reason
    'got 0 frauds among 2 rows, expected both classes'
    """
    x = np.asarray(margins, dtype=np.float64)
    y = np.asarray(labels, dtype=np.float64)
    w = np.ones_like(x) if weights is None else np.asarray(weights, dtype=np.float64)
    frauds, rest = float(w @ y), float(w @ (1 - y))
    if frauds <= 0 or rest <= 0:
        total = frauds + rest
        return Calibration(
            reason=f"got {frauds:g} frauds among {total:g} rows, expected both classes"
        )
    if not np.isfinite(x).all() or np.ptp(x[w > 0]) == 0:
        return Calibration(reason="got margins that are all equal or not finite, expected a spread")
    # In units of the spread about the mean the Hessian is well conditioned at any scale.
    center = float(w @ x / w.sum())
    scale = float(np.sqrt(w @ (x - center) ** 2 / w.sum()))
    target = np.where(y > 0.5, (frauds + 1) / (frauds + 2), 1 / (rest + 2))
    line = _newton((x - center) / scale, target, w, np.log((frauds + 1) / (rest + 1)))
    slope, intercept = float(line[0] / scale), float(line[1] - line[0] * center / scale)
    if not (np.isfinite([slope, intercept]).all() and slope > 0):
        return Calibration(
            reason=f"got slope {slope:.3g}, expected a positive one: higher margins must go with "
            "more frauds"
        )
    return Calibration(slope, intercept)


def _loss(line: np.ndarray, x: np.ndarray, target: np.ndarray, w: np.ndarray) -> float:
    z = line[0] * x + line[1]
    return float(w @ (np.logaddexp(0, z) - target * z))


def _newton(x: np.ndarray, target: np.ndarray, w: np.ndarray, start: float) -> np.ndarray:
    """Minimise the cross-entropy of sigmoid(a·x + b) over (a, b), starting at (0, start)."""
    from scipy.special import expit

    line = np.array([0.0, start])
    loss = _loss(line, x, target, w)
    for _ in range(_STEPS):
        p = expit(line[0] * x + line[1])
        miss, curve = w * (p - target), w * p * (1 - p)
        gradient = np.array([miss @ x, miss.sum()])
        if np.abs(gradient).max() <= _GRADIENT * w.sum():
            break
        cross = curve @ x
        hessian = np.array([[curve @ x**2, cross], [cross, curve.sum()]])
        step = np.linalg.solve(hessian + 1e-12 * w.sum() * np.eye(2), gradient)
        size = 1.0
        while size > 1e-10:
            trial = line - size * step
            new = _loss(trial, x, target, w)
            if new <= loss - 1e-4 * size * float(gradient @ step):
                break
            size /= 2
        else:
            break
        line, loss = trial, new
    return line
