"""Label changes in a stream's state: as operations that add take them, and as events have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.feature import Feature
from fraudlake.features.kernels.events import Events, Ints, prefix
from fraudlake.features.state.points import (
    Arrays,
    Keys,
    Points,
    merged_keys,
    merged_sums,
    starts,
)


@dataclass(frozen=True)
class Changes:
    """Label changes of events, in any order: what a statement adds to the fraud count.

    Attributes
    ----------
    number, time, tx_id
        Position of the event's key, its time, its transaction.
    known, change
        When the change was known; +1 or −1.
    """

    number: Ints
    time: Ints
    tx_id: Ints
    known: Ints
    change: Ints

    @classmethod
    def joined(cls, parts: Sequence[Changes]) -> Changes:
        """All of several."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def at(self, which: NDArray) -> Changes:
        """Some of them."""
        return Changes(*(getattr(self, field.name)[which] for field in fields(self)))


def label_arrays(keys: Keys, changes: Changes, features: Sequence[Feature]) -> Arrays:
    """What a run keeps of label changes, as the operations over labels need it."""
    arrays: Arrays = {}
    over_labels = [feature for feature in features if feature.over_labels]
    for feature in over_labels:
        if feature.sums is not None:
            arrays |= _fraud_arrays(keys, changes, feature)
    if any(feature.sums is None for feature in over_labels):
        arrays |= change_arrays(keys, changes)
    return arrays


def change_arrays(keys: Keys, changes: Changes) -> Arrays:
    """Changes in the order of their events; what one adds and another takes back is left out."""
    order = np.lexsort((changes.known, changes.tx_id, changes.time, changes.number))
    if not len(order):
        return {}
    changes = changes.at(order)
    same = (changes.number, changes.time, changes.tx_id, changes.known)
    first = np.flatnonzero(
        np.logical_or.reduce([np.diff(values, prepend=values[0] - 1) != 0 for values in same])
    )
    total = np.add.reduceat(changes.change, first)
    first, total = first[total != 0], total[total != 0]
    if not len(first):
        return {}
    firsts = changes.at(first)
    held, number = np.unique(firsts.number, return_inverse=True)
    arrays = Points.of(keys[held], number, firsts.time, {}).arrays("labels")
    return arrays | {
        "labels/tx_id": firsts.tx_id, "labels/known": firsts.known, "labels/change": total
    }  # fmt: skip


def _fraud_arrays(keys: Keys, changes: Changes, feature: Feature) -> Arrays:
    """Changes of the fraud count as points: one where a change begins to count, one where it ends.

    A change known at k of an event at e counts at every t in [max(k, e + d), e + d + w).
    """
    enters = changes.time + feature.delay
    start, end = np.maximum(changes.known, enters), enters + feature.window
    counts = start < end
    if not counts.any():
        return {}
    number, change = changes.number[counts], changes.change[counts]
    of = np.concatenate((number, number))
    at = np.concatenate((start[counts], end[counts]))
    sign = np.concatenate((change, -change))
    order = np.lexsort((at, of))
    points = Points.of(keys, of[order], at[order], {"": [prefix(sign[order])]})
    return points.arrays(frauds_name(feature.delay, feature.window))


def frauds_name(delay: int, window: int) -> str:
    """Under which name a run has the fraud count of windows of one delay and length."""
    return f"frauds/{delay}/{window}"


def labelled(events: Events, tx_id: Ints, changes: Changes) -> Events:
    """Events in order, with their label changes; those of other events are left out."""
    size = len(events.time)
    is_change = np.arange(size + len(changes.time)) >= size
    number = np.concatenate((events.entity, changes.number))
    time = np.concatenate((events.time, changes.time))
    tx_id = np.concatenate((tx_id, changes.tx_id))
    order = np.lexsort((is_change, tx_id, time, number))
    # A change comes right after its event: as many events lie before it.
    position = (np.cumsum(~is_change[order]) - 1)[is_change[order]]
    changes = changes.at(order[is_change[order]] - size)
    here = np.clip(position, 0, None)
    in_batch = (position >= 0) & (events.entity[here] == changes.number)
    in_batch &= (events.time[here] == changes.time) & (tx_id[:size][here] == changes.tx_id)
    return replace(
        events,
        change_event=position[in_batch],
        change_time=changes.known[in_batch],
        change_value=changes.change[in_batch],
    )


def merged_frauds(name: str, parts: Sequence[Points], oldest: int) -> Arrays:
    """The fraud counts of several runs as one; changes before a time are put together at it."""
    keys, number = merged_keys(parts)
    time = np.maximum(np.concatenate([part.time for part in parts]), oldest)
    order = np.lexsort((time, number))
    total = np.diff(merged_sums(parts, order)[""][0])
    number, time = number[order], time[order]
    first = starts(number, time)
    total = np.add.reduceat(total, first)
    changed = first[total != 0]
    if not len(changed):
        return {}
    held, number = np.unique(number[changed], return_inverse=True)
    points = Points.of(keys[held], number, time[changed], {"": [prefix(total[total != 0])]})
    return points.arrays(name)
