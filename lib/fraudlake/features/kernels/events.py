"""Events of many entities in order, and windows over them as pairs of positions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class PrefixSum:
    """Sums over the first 0 … n events, of which those over a window are the differences.

    Attributes
    ----------
    name
        What is summed; the files of a stream's state have it by this name.
    make
        Events, column → the sums, n + 1 integers for each digit.
    """

    name: str
    make: Callable[[Events, str], list[Ints]]


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
        position = np.empty(len(entity), np.int64)
        for block in range(blocks[0], blocks[-1] + 1) if len(blocks) else ():
            first, end = np.searchsorted(self._blocks, (block, block + 1))
            rows = slice(*np.searchsorted(blocks, (block, block + 1)))
            position[rows] = first + np.searchsorted(
                self._keys[first:end], keys[rows], side="right"
            )
        return position


@dataclass
class Windows:
    """The windows of one length, delay and boundary rule at all targets.

    Attributes
    ----------
    events, targets
        As `windows.windows` has them.
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
    kept: dict[Hashable, Any]

    def once(self, what: Hashable, column: str, make: Callable[[], Any]) -> Any:
        """What `make` computes from all events: made once, then kept.

        Where it depends on the windows too, `what` has their rule (`Feature.rule`) in it.
        """
        if (what, column) not in self.kept:
            self.kept[what, column] = make()
        return self.kept[what, column]

    def between(self, prefix_sum: PrefixSum, column: str) -> list[Ints]:
        """Sums over each window, digit by digit."""
        sums = self.once(prefix_sum.name, column, lambda: prefix_sum.make(self.events, column))
        return [digit[self.high] - digit[self.low] for digit in sums]

    def frauds(self, delay: int, window: int) -> Ints:
        """How many events in each window are known to be fraud at its target.

        A change known at k of an event at e counts at every t in [max(k, e + d), e + d + w): it is
        added at the first such target and taken away at the first one after. A change that is known
        only after the event has left the window never counts.
        """
        events, targets = self.events, self.targets
        order = np.argsort(events.change_event)
        event, change = events.change_event[order], events.change_value[order]
        of, enters = events.entity[event], events.time[event] + delay
        start, end = np.maximum(events.change_time[order], enters), enters + window
        asked = self.once(
            "targets", "", lambda: Timeline(events.entity[targets], events.time[targets])
        )
        step = np.zeros(len(targets) + 1, np.int64)
        counts = start < end
        for sign, at in ((1, start), (-1, end)):
            np.add.at(step, asked.until(of, at - 1)[counts], sign * change[counts])
        return np.cumsum(step[:-1])

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


def quotient(above: Values, below: Values | int, where: NDArray, empty: float) -> Floats:
    """One division; `empty` elsewhere."""
    result = np.full(len(where), empty)
    below = np.broadcast_to(below, where.shape).astype(np.float64)
    return np.divide(above.astype(np.float64), below, out=result, where=where)
