"""Sums over windows: differences of prefix sums of integers, so exact in any order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.kernels import wide
from fraudlake.features.kernels.events import Events, Floats, Ints, PrefixSum, Windows, prefix


def total(windows: Windows, column: str) -> Ints:
    """Σ v, right wherever it fits into 64 bits."""
    return windows.between(TOTAL, column)[0]


def wide_total(windows: Windows, column: str) -> wide.Wide:
    """Σ v of any size."""
    return wide.normal(windows.between(DIGITS, column))


def spread(windows: Windows, column: str) -> Floats:
    """Of the sample, n Σ v² − (Σ v)² = n Σ (v − mean)², exactly, then the nearest float64."""
    many = wide.scaled(wide.normal(windows.between(SQUARES, column)), present(windows, column))
    return wide.to_float(wide.less(many, wide.square(wide_total(windows, column))))


def present(windows: Windows, column: str) -> Ints:
    """How many events in each window have a value."""
    if column not in windows.events.missing:
        return windows.high - windows.low
    return windows.between(PRESENT, column)[0]


def own(windows: Windows, column: str) -> tuple[Ints, NDArray[np.bool_]]:
    """The targets' own values, and which of them have one."""
    events, targets = windows.events, windows.targets
    known = np.ones(len(targets), bool)
    if column in events.missing:
        known = ~events.missing[column][targets]
    return events.values[column][targets], known


def filled(events: Events, column: str) -> Ints:
    """Values, 0 where there is none."""
    missing, values = events.missing.get(column), events.values[column]
    return values if missing is None else np.where(missing, 0, values)


def _totals(events: Events, column: str) -> list[Ints]:
    return [prefix(filled(events, column))]


def _presences(events: Events, column: str) -> list[Ints]:
    return [prefix(~events.missing[column])]


def _digits(events: Events, column: str) -> wide.Wide:
    return wide.prefix(wide.split(filled(events, column)))


def _squares(events: Events, column: str) -> wide.Wide:
    return wide.prefix(wide.square(wide.split(filled(events, column))))


TOTAL = PrefixSum("sum", _totals)
PRESENT = PrefixSum("present", _presences)
DIGITS = PrefixSum("digits", _digits)
SQUARES = PrefixSum("squares", _squares)
