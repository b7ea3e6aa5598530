"""Operations on the order of events and values: extremes, distinct values, first and last."""

from __future__ import annotations

import numpy as np

from fraudlake.features.definition.feature import Feature
from fraudlake.features.kernels.events import Floats, Ints, Windows, quotient

_SECOND = 1_000_000


def minimum(windows: Windows, feature: Feature) -> Floats:
    """Smallest value in the window."""
    return _extreme(windows, feature, np.minimum, np.iinfo(np.int64).max)


def maximum(windows: Windows, feature: Feature) -> Floats:
    """Largest value in the window."""
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
    return quotient(result, events.scale[column], result != neutral, feature)


def distinct(windows: Windows, feature: Feature) -> Ints:
    """How many different values the window holds, exactly; null is none.

    Each value is counted by its last event in the window: from the first target whose window holds
    the event until the value comes again or the event leaves. Both ends of a window never fall from
    one target to the next, so that is one stretch of targets: +1 where it begins, −1 where it ends,
    and a running total.
    """
    code = windows.events.codes[feature.column]
    upcoming = windows.once("upcoming", feature.column, lambda: _upcoming(code))
    position = np.flatnonzero(code >= 0)
    begin = np.searchsorted(windows.high, position, side="right")
    leaves = np.searchsorted(windows.low, position, side="right")
    again = np.searchsorted(windows.high, upcoming[position], side="right")
    end = np.minimum(leaves, again)
    counts = begin < end
    size = len(windows.targets) + 1
    change = np.bincount(begin[counts], minlength=size) - np.bincount(end[counts], minlength=size)
    return np.cumsum(change)[:-1]


def _upcoming(code: Ints) -> Ints:
    """Position of the next event with the same value; past the end where there is none.

    It may be another entity's: by then all windows of this one are over.
    """
    order = np.argsort(code, kind="stable")
    same = np.diff(code[order]) == 0
    result = np.full(len(code), len(code))
    result[order[:-1][same]] = order[1:][same]
    return result


def age(windows: Windows, feature: Feature) -> Floats:
    """Seconds from the first event in the window to the transaction."""
    return _seconds(windows, windows.low, feature)


def since(windows: Windows, feature: Feature) -> Floats:
    """Seconds from the last event in the window to the transaction."""
    return _seconds(windows, windows.high - 1, feature)


def _seconds(windows: Windows, position: Ints, feature: Feature) -> Floats:
    time, some = windows.events.time, windows.high > windows.low
    elapsed = time[windows.targets] - time[np.where(some, position, 0)]
    return quotient(elapsed, _SECOND, some, feature)


def last(windows: Windows, feature: Feature) -> Floats:
    """The n-th last value in the window."""
    events, column = windows.events, feature.column
    there = ~events.missing.get(column, np.zeros(len(events.time), bool))
    some, position = windows.nth_last(column, there, feature.nth)
    result = np.zeros(len(some), np.int64)
    result[some] = events.values[column][position]
    return quotient(result, events.scale[column], some, feature)
