"""Events of many entities in order, and windows over them as pairs of positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.definition.feature import Feature

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Values = Ints | Floats
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
        Column → True where it has no value, for those of `values` with missing ones.
    change_event, change_time, change_value
        Changes of the fraud count (length m, any order): position of the event, time at which the
        change was known, +1 or −1.
    codes
        Column → integers that are equal where the values are, −1 where there is none.
    degrees
        Column → latitude or longitude, NaN where there is none.
    """

    entity: Ints
    time: Ints
    values: Mapping[str, Ints] = field(default_factory=dict)
    scale: Mapping[str, int] = field(default_factory=dict)
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    change_event: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    change_time: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    change_value: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    codes: Mapping[str, Ints] = field(default_factory=dict)
    degrees: Mapping[str, Floats] = field(default_factory=dict)


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
        for block in range(blocks[0], blocks[-1] + 1) if len(blocks) else ():
            first, end = np.searchsorted(self._blocks, (block, block + 1))
            rows = slice(*np.searchsorted(blocks, (block, block + 1)))
            found[rows] = first + np.searchsorted(self._keys[first:end], keys[rows], side="right")
        return found


@dataclass
class Windows:
    """The windows of one length, delay and boundary rule at all targets.

    Attributes
    ----------
    events, targets
        As `windows` has them.
    timeline
        Of the events.
    low, high
        Each target's window holds the events at positions low … high − 1; both never fall.
    kept
        What operations computed from all events, for the next ones to use.
    """

    events: Events
    targets: Ints
    timeline: Timeline
    low: Ints
    high: Ints
    kept: dict[tuple[str, str], Any]

    def once(self, what: str, column: str, make: Callable[[], Any]) -> Any:
        """What `make` computes from all events: made once, then kept."""
        if (what, column) not in self.kept:
            self.kept[what, column] = make()
        return self.kept[what, column]

    def between(self, what: str, column: str, make: Callable[[], list[Ints]]) -> list[Ints]:
        """Sums over each window, from prefix sums of one or more digits that `make` gives."""
        sums = self.once(what, column, make)
        return [digit[self.high] - digit[self.low] for digit in sums]

    def nth_last(
        self, name: str, there: NDArray[np.bool_], nth: int
    ) -> tuple[NDArray[np.bool_], Ints]:
        """Which windows hold `nth` events that are there, and where those have their n-th last."""
        positions, before = self.once("nth", name, lambda: (np.flatnonzero(there), prefix(there)))
        rank = before[self.high] - nth
        some = rank >= before[self.low]
        return some, positions[rank[some]]


def prefix(values: NDArray) -> Ints:
    """Sums over the first 0 … n values, as 64-bit integers.

    They wrap around on overflow; the difference of two is right all the same wherever it fits.
    """
    return np.concatenate(([0], np.cumsum(values, dtype=np.int64)))


def empty(feature: Feature) -> float:
    """The feature's value where there is nothing to compute; NaN for null."""
    return np.nan if feature.empty is None else feature.empty


def quotient(above: Values, below: Values | int, where: NDArray, feature: Feature) -> Floats:
    """One division; the feature's empty value elsewhere."""
    result = np.full(len(where), empty(feature))
    below = np.broadcast_to(below, where.shape).astype(np.float64)
    return np.divide(above.astype(np.float64), below, out=result, where=where)
