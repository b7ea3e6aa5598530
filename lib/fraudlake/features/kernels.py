"""Windows over the events of many entities at once, in NumPy: no loop over events or entities.

Events lie sorted by (entity, time, transaction). A window is a pair of positions found by binary
search; a sum over it is the difference of two prefix sums of 64-bit integers. Integers make the sum
exact, so it is the same in any order and on any partitioning; they wrap around on overflow, and the
difference is right all the same wherever the window's own sum fits into 64 bits.

Spark and Delta are not known here: `compute` feeds the kernels from partitions, tests from arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.definition import Feature

Ints = NDArray[np.int64]
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Events:
    """Events sorted by (entity, time, transaction): arrays of one length n.

    Attributes
    ----------
    entity
        Number of each event's entity, not falling.
    time
        Microseconds since 1970 UTC.
    values
        Column → integers to sum (money in minor units).
    scale
        Column → how many of its integers make one unit (100 for cents).
    missing
        Column → True where it has no value, for columns with missing values.
    change_event, change_time, change_value
        Changes of the fraud count (length m, any order): position of the event, time at which the
        change was known, +1 or −1.
    """

    entity: Ints
    time: Ints
    values: Mapping[str, Ints] = field(default_factory=dict)
    scale: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    change_event: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    change_time: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    change_value: Ints = field(default_factory=lambda: np.empty(0, np.int64))


class Timeline:
    """Points sorted by (entity, time), ready for binary search.

    Entity and time are packed into one integer, entity · span + time, so that one search answers
    for all entities. Entities are taken in blocks so small that the integer fits into 64 bits.
    """

    def __init__(self, entity: Ints, time: Ints) -> None:
        self._size = len(entity)
        if self._size:
            self._low = int(time.min())
            self._span = int(time.max()) - self._low + 1
            self._block = max(1, _LARGEST // self._span)
            self._keys = entity % self._block * self._span + (time - self._low)
            self._blocks = entity // self._block

    def until(self, entity: Ints, time: Ints) -> Ints:
        """How many points come no later than (entity, time); the queries sorted by entity."""
        if not self._size:
            return np.zeros(len(entity), np.int64)
        offset = np.clip(time - self._low, -1, self._span - 1)
        keys = entity % self._block * self._span + offset
        blocks = entity // self._block
        found = np.empty(len(entity), np.int64)
        for block in np.unique(blocks):
            first, end = np.searchsorted(self._blocks, (block, block + 1))
            rows = slice(*np.searchsorted(blocks, (block, block + 1)))
            found[rows] = first + np.searchsorted(self._keys[first:end], keys[rows], side="right")
        return found


def windows(
    events: Events, targets: Ints, features: Sequence[Feature]
) -> dict[str, NDArray[np.int64] | NDArray[np.float64]]:
    """Values of window features at some of the events.

    Parameters
    ----------
    targets
        Positions of the events asked for, rising.
    features
        Window features of this entity.

    Returns
    -------
    dict
        Feature name → array of the length of `targets`: int64 for counts, float64 for the others.
    """
    timeline = Timeline(events.entity, events.time)
    entity, time = events.entity[targets], events.time[targets]
    bounds: dict[tuple[int, int, bool], tuple[Ints, Ints]] = {}
    sums: dict[str, tuple[Ints, Ints | None]] = {}
    result: dict[str, NDArray] = {}
    for feature in features:
        key = (feature.window, feature.delay, feature.current)
        if key not in bounds:
            end = time - feature.delay
            low = timeline.until(entity, end - feature.window)
            # Without a delay the window ends with the row itself: later ties do not count.
            high = timeline.until(entity, end) if feature.delay else targets + int(feature.current)
            bounds[key] = low, high
        low, high = bounds[key]
        count = high - low
        if feature.operation == "count":
            result[feature.name] = count
        elif feature.over_labels:
            frauds = _active_changes(events, feature, entity, time)
            result[feature.name] = _quotient(frauds, count, count, feature.empty)
        else:
            column = feature.column
            if column not in sums:
                sums[column] = _prefix_sums(events, column)
            total, present = sums[column]
            total = total[high] - total[low]
            count = count if present is None else present[high] - present[low]
            divisor = events.scale[column] * (count if feature.operation == "mean" else 1)
            result[feature.name] = _quotient(total, divisor, count, feature.empty)
    return result


def _prefix_sums(events: Events, column: str) -> tuple[Ints, Ints | None]:
    """Sums over the first 0 … n events, and how many of them have a value (None: all)."""
    missing = events.missing.get(column)
    if missing is None:
        return _prefix(events.values[column]), None
    return _prefix(np.where(missing, 0, events.values[column])), _prefix(~missing)


def _prefix(values: NDArray) -> Ints:
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))


def _quotient(total: Ints, divisor: Ints | int, count: Ints, empty: float) -> NDArray[np.float64]:
    """One division of exact integers; `empty` where nothing was counted."""
    result = np.full(len(total), empty)
    divisor = np.broadcast_to(divisor, count.shape).astype(np.float64)
    return np.divide(total.astype(np.float64), divisor, out=result, where=count > 0)


def _active_changes(events: Events, feature: Feature, entity: Ints, time: Ints) -> Ints:
    """Known frauds in the window at each target.

    A change known at k of an event at e counts at every t in [max(k, e + d), e + d + w): what has
    started by t less what has ended by t. A change that is known only after the event has left the
    window never counts.
    """
    enters = events.time[events.change_event] + feature.delay
    start, end = np.maximum(events.change_time, enters), enters + feature.window
    counts = start < end
    of, value = events.entity[events.change_event][counts], events.change_value[counts]
    return _sum_until(of, start[counts], value, entity, time) - _sum_until(
        of, end[counts], value, entity, time
    )


def _sum_until(of: Ints, at: Ints, value: Ints, entity: Ints, time: Ints) -> Ints:
    order = np.lexsort((at, of))
    return _prefix(value[order])[Timeline(of[order], at[order]).until(entity, time)]
