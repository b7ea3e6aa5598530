"""The median of a column, exactly, and the transaction's own value over it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels import sums
from fraudlake.features.kernels.events import Floats, Ints, Windows, prefix, quotient

_EXACT = 2**52  # the sum of two such integers is a double to the last bit


def _median(windows: Windows, feature: Feature) -> Floats:
    """The sum of the two middle values, which are one where they are odd, over 2."""
    lower, upper, some = _middle(windows, feature)
    scale = np.full(len(some), windows.events.scale[feature.column])
    return _quotient((lower, upper), (scale, scale), some, feature.empty_or_nan)


def _median_ratio(windows: Windows, feature: Feature) -> Floats:
    """Nothing where the median is 0."""
    lower, upper, some = _middle(windows, feature)
    own, known = sums.own(windows, feature.column)
    where = some & known & (lower != -upper)
    return _quotient((own, own), (lower, upper), where, feature.empty_or_nan)


def _quotient(
    above: tuple[Ints, Ints], below: tuple[Ints, Ints], where: NDArray[np.bool_], empty: float
) -> Floats:
    """A sum of two over a sum of two, rounded once whatever their size; `empty` elsewhere."""
    one, other = (a.astype(np.float64) + b.astype(np.float64) for a, b in (above, below))
    result = quotient(one, other, where, empty)
    # Doubles hold such integers no more; Python's division of two integers rounds once.
    large = np.logical_or.reduce([np.abs(part) > _EXACT for part in (*above, *below)])
    for row in np.flatnonzero(large & where):
        a, b, c, d = (int(part[row]) for part in (*above, *below))
        result[row] = (a + b) / (c + d)
    return result + 0.0  # no −0, which 0 over a negative number would be


def _middle(windows: Windows, feature: Feature) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """The two middle values of each window, in minor units; and which windows have any."""
    key = "middle", feature.rule
    return windows.once(key, feature.column, lambda: _two_middle(windows, feature.column))


def _two_middle(windows: Windows, column: str) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    ranks, values, before = windows.once("ranks", column, lambda: _ranks(windows, column))
    low, high = before[windows.low], before[windows.high]
    count = high - low
    some = count > 0
    low, high, count = low[some], high[some], count[some]
    ends = np.concatenate((low, low)), np.concatenate((high, high))
    rank = _selected(ranks, len(values), *ends, np.concatenate(((count - 1) // 2, count // 2)))
    both = np.zeros((2, len(some)), np.int64)
    both[:, some] = values[rank].reshape(2, -1)
    return both[0], both[1], some


def _ranks(windows: Windows, column: str) -> tuple[Ints, Ints, Ints]:
    """Of the events that have a value: its rank; the values by rank; events up to each position."""
    events = windows.events
    there = ~events.missing.get(column, np.zeros(len(events.time), bool))
    values, ranks = np.unique(events.values[column][there], return_inverse=True)
    return ranks, values, prefix(there)


def _selected(ranks: Ints, size: int, low: Ints, high: Ints, nth: Ints) -> Ints:
    """The nth smallest rank, from 0, at positions low … high − 1.

    A wavelet matrix, one level at a time (Claude, Navarro and Ordóñez, The Wavelet Matrix, 2015):
    from the highest bit of the ranks to the lowest, those with a 0 move before those with a 1, in
    order. How many of a window's have a 0 says which bit the answer has, and where its candidates
    went.
    """
    result = np.zeros(len(nth), np.int64)
    for bit in reversed(range(int(size - 1).bit_length() if size else 0)):
        ones = (ranks >> bit) & 1 == 1
        zeros = prefix(~ones)
        low_0, high_0 = zeros[low], zeros[high]
        is_one = nth >= high_0 - low_0
        nth = np.where(is_one, nth - (high_0 - low_0), nth)
        low = np.where(is_one, zeros[-1] + low - low_0, low_0)
        high = np.where(is_one, zeros[-1] + high - high_0, high_0)
        result |= is_one.astype(np.int64) << bit
        ranks = np.concatenate((ranks[~ones], ranks[ones]))
    return result


def _plain_median(asked: Question) -> Fraction | None:
    values = sorted(asked.values)
    if not values:
        return None
    return (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2


def _plain_median_ratio(asked: Question) -> Fraction | None:
    median = _plain_median(asked)
    return asked.own / median if asked.own is not None and median else None


MEDIAN = Operation(
    name="median",
    meaning="median of {c}, the mean of the two middle ones where there is no middle one",
    says="the median {c} of this {e} {w} is {v}",
    input=Input.NUMBER,
    compares=False,
    sql_type="double",
    bytes_an_event=40,
    sums=None,
    kernel=_median,
    plain=_plain_median,
    exact=True,
)
MEDIAN_RATIO = Operation(
    name="median_ratio",
    meaning="the {c} of this one over the median {c}",
    says="{c} is {v} × this {e}'s median {w}",
    input=Input.NUMBER,
    compares=True,
    sql_type="double",
    bytes_an_event=40,
    sums=None,
    kernel=_median_ratio,
    plain=_plain_median_ratio,
    exact=True,
)
