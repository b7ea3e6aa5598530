"""The smallest and the largest value in a window."""

from __future__ import annotations

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation
from fraudlake.features.kernels.events import Floats, Windows, quotient


def _min(windows: Windows, feature: Feature) -> Floats:
    return _extreme(windows, feature, np.minimum, np.iinfo(np.int64).max)


def _max(windows: Windows, feature: Feature) -> Floats:
    return _extreme(windows, feature, np.maximum, np.iinfo(np.int64).min)


def _extreme(windows: Windows, feature: Feature, pick: np.ufunc, neutral: int) -> Floats:
    """A sparse table, one level at a time: the extreme of 2^k events from each position on.

    A window of n events is two overlapping stretches of the largest 2^k ≤ n (Bender and
    Farach-Colton, The LCA Problem Revisited, 2000).
    """
    events, column = windows.events, feature.column
    level = events.values[column]
    if column in events.missing:
        level = np.where(events.missing[column], neutral, level)
    depth = np.frexp((windows.high - windows.low).astype(np.float64))[1] - 1
    result = np.full(len(depth), neutral)
    for k in range(int(depth.max(initial=-1)) + 1):
        step = 1 << k
        rows = np.flatnonzero(depth == k)
        result[rows] = pick(level[windows.low[rows]], level[windows.high[rows] - step])
        level = pick(level[:-step], level[step:])
    return quotient(result, events.scale[column], result != neutral, feature.empty_or_nan)


MIN = Operation(
    name="min",
    meaning="smallest {c}",
    says="the smallest {c} of this {e} {w} is {v}",
    input=Input.NUMBER,
    compares=False,
    sql_type="double",
    bytes_an_event=16,
    sums=None,
    kernel=_min,
    plain=lambda asked: min(asked.values, default=None),
    exact=True,
)
MAX = Operation(
    name="max",
    meaning="largest {c}",
    says="the largest {c} of this {e} {w} is {v}",
    input=Input.NUMBER,
    compares=False,
    sql_type="double",
    bytes_an_event=16,
    sums=None,
    kernel=_max,
    plain=lambda asked: max(asked.values, default=None),
    exact=True,
)
