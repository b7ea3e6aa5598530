"""Operations that add: counts, sums, means, deviations, decay and rates.

A sum over a window is the difference of two prefix sums of integers: exact, so the same in any
order and on any partitioning. One fixed formula in floating point comes at the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.definition.feature import Feature
from fraudlake.features.kernels import portable, wide
from fraudlake.features.kernels.events import (
    Events,
    Floats,
    Ints,
    Timeline,
    Windows,
    prefix,
    quotient,
)

_FINE = 2**30  # weights of a decay as integers: this many to one


def count(windows: Windows, feature: Feature) -> Ints:  # noqa: ARG001  # the form of an operation
    """Events in the window."""
    return windows.high - windows.low


def total(windows: Windows, feature: Feature) -> Floats:
    """Sum of a column."""
    counted, scale = _present(windows, feature.column), windows.events.scale[feature.column]
    return quotient(_sum(windows, feature.column), scale, counted > 0, feature)


def mean(windows: Windows, feature: Feature) -> Floats:
    """Sum of a column over its values."""
    counted, scale = _present(windows, feature.column), windows.events.scale[feature.column]
    return quotient(_sum(windows, feature.column), counted * scale, counted > 0, feature)


def std(windows: Windows, feature: Feature) -> Floats:
    """Standard deviation of a sample: √(Σ (v − mean)² ÷ (n − 1)), of two values or more."""
    counted, scale = _present(windows, feature.column), windows.events.scale[feature.column]
    spread = wide.to_float(_spread(windows, feature.column))
    return quotient(np.sqrt(_over_pairs(spread, counted)), scale, counted > 1, feature)


def ratio(windows: Windows, feature: Feature) -> Floats:
    """The transaction's value over the window's mean; empty where that is 0."""
    own, known = _own(windows, feature.column)
    divisor = _sum(windows, feature.column)
    above = own.astype(np.float64) * _present(windows, feature.column)
    return quotient(above, divisor, known & (divisor != 0), feature)


def zscore(windows: Windows, feature: Feature) -> Floats:
    """(v − mean) ÷ standard deviation of the window's sample; empty where that is 0."""
    own, known = _own(windows, feature.column)
    counted = _present(windows, feature.column)
    spread = wide.to_float(_spread(windows, feature.column))
    many = wide.scaled(wide.split(own), counted)
    above = wide.to_float(wide.less(many, _wide_sum(windows, feature.column)))
    some = known & (counted > 1) & (spread > 0)
    deviation = np.sqrt(_over_pairs(spread, counted))
    return quotient(above / np.maximum(counted, 1), deviation, some, feature)


def decay(windows: Windows, feature: Feature) -> Floats:
    """Σ v · 2^(−age ÷ half-life), the age counted from the window's new end.

    Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, Forward Decay, 2009): an event's weight
    depends on its own time and a landmark alone. Landmarks are the multiples of the half-life since
    1970; within such a cell an event weighs 2^(its place in the cell), an integer of 2⁻³⁰, so
    a cell's sum is exact. Cells are added from the oldest to the newest, halving on the way.
    """
    events, column, half = windows.events, feature.column, feature.half_life
    sums = windows.once(f"decay {half}", column, lambda: _weighted(windows, column, half))
    entity, end = events.entity[windows.targets], events.time[windows.targets] - feature.delay
    cell = end // half
    result = np.zeros(len(end))
    begin = windows.low
    for older in range(feature.window // half + 1, 0, -1):
        until = windows.timeline.until(entity, (cell - older + 1) * half - 1)
        until = np.clip(until, begin, windows.high)
        result = (result + wide.to_float(wide.between(sums, begin, until))) / 2
        begin = until
    result += wide.to_float(wide.between(sums, begin, windows.high))
    newest = portable.power_of_two((end - cell * half) / half) * _FINE
    return quotient(result, newest * events.scale[column], _present(windows, column) > 0, feature)


def rate(windows: Windows, feature: Feature) -> Floats:
    """Known frauds in the window at each target, over its events.

    A change known at k of an event at e counts at every t in [max(k, e + d), e + d + w): it is
    added at the first such target and taken away at the first one after. A change that is known
    only after the event has left the window never counts.
    """
    events, targets = windows.events, windows.targets
    order = np.argsort(events.change_event)
    event, change = events.change_event[order], events.change_value[order]
    of, enters = events.entity[event], events.time[event] + feature.delay
    start, end = np.maximum(events.change_time[order], enters), enters + feature.window
    asked = windows.once(
        "targets", "", lambda: Timeline(events.entity[targets], events.time[targets])
    )
    step = np.zeros(len(targets) + 1, np.int64)
    counts = start < end
    for sign, at in ((1, start), (-1, end)):
        np.add.at(step, asked.until(of, at - 1)[counts], sign * change[counts])
    counted = windows.high - windows.low
    return quotient(np.cumsum(step[:-1]), counted, counted > 0, feature)


def _weighted(windows: Windows, column: str, half_life: int) -> wide.Wide:
    """Prefix sums of the values times 2^(place in the cell)."""
    place = (windows.events.time % half_life) / half_life
    weight = np.rint(portable.power_of_two(place) * _FINE).astype(np.int64)
    return wide.prefix(wide.scaled(wide.split(_filled(windows.events, column)), weight))


def _sum(windows: Windows, column: str) -> Ints:
    """Σ v, right wherever it fits into 64 bits."""
    return windows.between("sum", column, lambda: _sums(windows.events, column))[0]


def _wide_sum(windows: Windows, column: str) -> wide.Wide:
    """Σ v of any size."""
    return wide.normal(windows.between("digits", column, lambda: _digits(windows.events, column)))


def _spread(windows: Windows, column: str) -> wide.Wide:
    """Of the sample, n Σ v² − (Σ v)² = n Σ (v − mean)², exactly."""
    squares = windows.between("squares", column, lambda: _squares(windows.events, column))
    many = wide.scaled(wide.normal(squares), _present(windows, column))
    return wide.less(many, wide.square(_wide_sum(windows, column)))


def _over_pairs(spread: Floats, counted: Ints) -> Floats:
    return spread / np.maximum(counted * (counted - 1.0), 1.0)


def _present(windows: Windows, column: str) -> Ints:
    """How many events in each window have a value."""
    if column not in windows.events.missing:
        return windows.high - windows.low
    return windows.between("present", column, lambda: _presences(windows.events, column))[0]


def _own(windows: Windows, column: str) -> tuple[Ints, NDArray[np.bool_]]:
    """The targets' own values, and which of them have one."""
    events, targets = windows.events, windows.targets
    known = np.ones(len(targets), bool)
    if column in events.missing:
        known = ~events.missing[column][targets]
    return events.values[column][targets], known


def prefixes(what: str, events: Events, column: str) -> list[Ints]:
    """Prefix sums over all events, digit by digit: `sum`, `digits`, `squares` or `present`."""
    made = {"sum": _sums, "digits": _digits, "squares": _squares, "present": _presences}
    return made[what](events, column)


def _sums(events: Events, column: str) -> list[Ints]:
    return [prefix(_filled(events, column))]


def _presences(events: Events, column: str) -> list[Ints]:
    return [prefix(~events.missing[column])]


def _digits(events: Events, column: str) -> wide.Wide:
    return wide.prefix(wide.split(_filled(events, column)))


def _squares(events: Events, column: str) -> wide.Wide:
    return wide.prefix(wide.square(wide.split(_filled(events, column))))


def _filled(events: Events, column: str) -> Ints:
    missing, values = events.missing.get(column), events.values[column]
    return values if missing is None else np.where(missing, 0, values)
