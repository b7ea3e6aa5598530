"""Windows of new events over what is remembered of their entities, flat in its size.

What is remembered lies in runs: sorted files with prefix sums, one a micro-batch until a merge
makes fewer of them. Operations that add take differences of prefix sums in every run; for the
others the events in reach are gathered, with what labels said of them, and go through the kernels
of the batch build. Spark is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.feature import Feature, reach_of
from fraudlake.features.kernels.events import (
    Events,
    Ints,
    PrefixSum,
    Timeline,
    Values,
    Windows,
)
from fraudlake.features.kernels.sums import PRESENT
from fraudlake.features.state.label_changes import (
    Changes,
    change_arrays,
    frauds_name,
    label_arrays,
    labelled,
    merged_frauds,
)
from fraudlake.features.state.points import (
    Arrays,
    Keys,
    Points,
    added,
    merged_keys,
    merged_sums,
    positions,
)
from fraudlake.features.windows import windows

_NOTHING = np.empty(0, np.int64)
_NO_POINTS = Points(_NOTHING, 0, 1, _NOTHING, {})


@dataclass(frozen=True)
class Batch:
    """Events of one partition, sorted by (key, time, transaction).

    Attributes
    ----------
    keys
        Keys, rising; `events.entity` holds positions in it, and `events.missing` has every column
        of `events.values`. Where a key stands twice, events of one do not count for the other.
    tx_id
        Transactions.
    raw
        Column → its values as they came, for operations that do not add.
    """

    keys: Keys
    events: Events
    tx_id: Ints
    raw: Mapping[str, NDArray]


class Run:
    """One file of what is remembered of an entity's keys in one partition."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self.events = self._points("events")
        self.tx_id: Ints = arrays.get("tx_id", _NOTHING)

    def _points(self, name: str) -> Points:
        return (
            Points.from_arrays(name, self.arrays) if f"{name}/bounds" in self.arrays else _NO_POINTS
        )

    @cached_property
    def labels(self) -> Points:
        """Label changes by the time of their events, for operations that need these themselves."""
        return self._points("labels")

    @cached_property
    def frauds(self) -> dict[str, Points]:
        """Changes of the fraud count by when they count, for each (delay, window) of a rate."""
        names = {n.removesuffix("/bounds") for n in self.arrays if n.startswith("frauds/")}
        return {name: self._points(name) for name in names if f"{name}/bounds" in self.arrays}

    def until(self, place: Ints, time: Ints, tx_id: Ints, itself: bool) -> Ints:
        """How many events come before (key, time, transaction), that very event included or not."""
        no_later = np.less_equal if itself else np.less
        low, high = self.events.until(place, time - 1), self.events.until(place, time)
        while (open_ := low < high).any():
            middle = (low + high) // 2
            before = np.zeros(len(low), bool)
            before[open_] = no_later(self.tx_id[middle[open_]], tx_id[open_])
            low = np.where(open_ & before, middle + 1, low)
            high = np.where(open_ & ~before, middle, high)
        return low


def run_of(batch: Batch, features: Sequence[Feature]) -> Run:
    """The run that a batch becomes."""
    events = batch.events
    prefixes: dict[str, list[Ints]] = {}
    for feature in features:
        for prefix_sum in feature.sums or ():
            name = f"{prefix_sum.name}/{feature.column}"
            if name not in prefixes:
                prefixes[name] = prefix_sum.make(events, feature.column)
    points = Points.of(batch.keys, events.entity, events.time, prefixes)
    arrays = points.arrays("events") | {"tx_id": batch.tx_id}
    arrays |= {f"raw/{name}": values for name, values in batch.raw.items()}
    at = events.change_event
    changes = Changes(
        events.entity[at], events.time[at], batch.tx_id[at], events.change_time, events.change_value
    )
    return Run(arrays | label_arrays(batch.keys, changes, features))


@dataclass
class _RunWindows(Windows):
    """Windows over several runs: positions and sums are those of all runs added up."""

    keys: Keys
    runs: Sequence[Run]
    parts: Sequence[tuple[Run, Ints, Ints]]

    def between(self, prefix_sum: PrefixSum, column: str) -> list[Ints]:
        found = []
        for run, low, high in self.parts:
            digits = run.events.sums.get(f"{prefix_sum.name}/{column}")
            if digits is not None:
                found.append([digit[high] - digit[low] for digit in digits])
            elif prefix_sum == PRESENT:
                found.append([high - low])
        return added(found)

    def frauds(self, delay: int, window: int) -> Ints:
        found = np.zeros(len(self.targets), np.int64)
        for run in self.runs:
            points = run.frauds.get(frauds_name(delay, window))
            if points is not None:
                place = points.places(self.keys)[self.events.entity]
                # The points of a key add up to 0: every change ends.
                found += points.sums[""][0][points.until(place, self.events.time)]
        return found


def answer(
    batch: Batch, own: Run, runs: Sequence[Run], features: Sequence[Feature]
) -> dict[str, Values]:
    """Values of window features at every event of a batch, which count for each other.

    Parameters
    ----------
    own
        The run that the batch becomes, by `run_of`.
    runs
        What is remembered, in any order. An event of the batch that is in them already counts once.

    Returns
    -------
    dict
        As `windows.windows` gives them.
    """
    adding = [f for f in features if f.sums is not None]
    others = [f for f in features if f.sums is None]
    result = {**_adding(batch, own, runs, adding), **_gathering(batch, runs, others)}
    return {feature.name: result[feature.name] for feature in features}


def _adding(
    batch: Batch, own: Run, runs: Sequence[Run], features: Sequence[Feature]
) -> dict[str, Values]:
    events = batch.events
    places = [(run, run.events.places(batch.keys)) for run in runs]
    placed = [(run, place[events.entity]) for run, place in places if place.max(initial=-1) >= 0]
    placed.append((own, events.entity))
    targets = np.arange(len(events.time))
    found: dict[tuple[int, int, bool, bool], _RunWindows] = {}
    result: dict[str, Values] = {}
    for feature in features:
        if feature.rule not in found:
            parts = [
                (run, *_bounds(run, place, batch, feature, run is own)) for run, place in placed
            ]
            low = np.sum([part[1] for part in parts], axis=0)
            high = np.sum([part[2] for part in parts], axis=0)
            timeline = Timeline(_NOTHING, _NOTHING)
            found[feature.rule] = _RunWindows(
                events, targets, timeline, low, high, {}, batch.keys, (*runs, own), parts
            )
        result[feature.name] = feature.over(found[feature.rule])
    return result


def _bounds(
    run: Run, place: Ints, batch: Batch, feature: Feature, is_own: bool
) -> tuple[Ints, Ints]:
    """Positions in a run between which the events of each target's window lie."""
    end = batch.events.time - feature.delay
    low = run.events.until(place, end - feature.window)
    if feature.delay:
        return low, run.events.until(place, end)
    if not feature.ties:
        return low, np.maximum(low, run.events.until(place, end - 1))
    # Not itself: it is in the batch, whether it is remembered or not.
    return low, run.until(place, end, batch.tx_id, itself=is_own and feature.current)


def _gathering(batch: Batch, runs: Sequence[Run], features: Sequence[Feature]) -> dict[str, Values]:
    if not features:
        return {}
    events, size = batch.events, len(batch.tx_id)
    first = np.searchsorted(events.entity, np.arange(len(batch.keys)))
    last = np.searchsorted(events.entity, np.arange(len(batch.keys)), side="right") - 1
    oldest, newest = events.time[first] - reach_of(features), events.time[last]
    entity, time, tx_id = [events.entity], [events.time], [batch.tx_id]
    raw = {name: [values] for name, values in batch.raw.items()}
    for run in runs:
        place = run.events.places(batch.keys)
        number, at = positions(run.events.until(place, oldest), run.events.until(place, newest))
        entity.append(number)
        time.append(run.events.time_at(at))
        tx_id.append(run.tx_id[at])
        for name, values in batch.raw.items():
            raw[name].append(run.arrays.get(f"raw/{name}", values[:0])[at])
    # Stable: where a transaction of the batch is remembered, that one comes after its window's end.
    order = np.lexsort((np.concatenate(tx_id), np.concatenate(time), np.concatenate(entity)))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    columns = {name: np.concatenate(values)[order] for name, values in raw.items()}
    everything = Events(
        np.concatenate(entity)[order],
        np.concatenate(time)[order],
        scale=events.scale,
        **_typed(columns),
    )
    if any(feature.over_labels for feature in features):
        changes = _changes_in_reach(batch, runs, oldest, newest)
        everything = labelled(everything, np.concatenate(tx_id)[order], changes)
    return windows(everything, rank[:size], features)


def _changes_in_reach(batch: Batch, runs: Sequence[Run], oldest: Ints, newest: Ints) -> Changes:
    """Label changes of the batch's events, and of those remembered between times of each key."""
    events, at = batch.events, batch.events.change_event
    parts = [
        Changes(
            events.entity[at],
            events.time[at],
            batch.tx_id[at],
            events.change_time,
            events.change_value,
        )
    ]
    for run in runs:
        place = run.labels.places(batch.keys)
        number, at = positions(run.labels.until(place, oldest), run.labels.until(place, newest))
        if len(at):
            names = ("labels/tx_id", "labels/known", "labels/change")
            parts.append(
                Changes(number, run.labels.time_at(at), *(run.arrays[name][at] for name in names))
            )
    return Changes.joined(parts)


def _typed(columns: Mapping[str, NDArray]) -> dict[str, Any]:
    """Raw columns (`values/…`, `missing/…`, `codes/…`, `degrees/…`) as `Events` takes them."""
    typed: dict[str, dict[str, NDArray]] = {"values": {}, "missing": {}, "codes": {}, "degrees": {}}
    for name, values in columns.items():
        kind, column = name.split("/", 1)
        if kind in ("values", "degrees"):
            typed[kind][column] = values
        elif kind == "missing":
            typed["missing"][column] = values.astype(bool)
        elif kind == "codes":
            codes = np.unique(values, return_inverse=True)[1]
            typed["codes"][column] = np.where(columns[f"absent/{column}"].astype(bool), -1, codes)
    return typed


def merge(runs: Sequence[Run], oldest: int) -> Run:
    """Several runs as one, without events before a time.

    Changes of the fraud count before that time are put together at it: what still counts, counts.
    """
    parts = [run.events for run in runs if len(run.events.packed)]
    holders = [run for run in runs if len(run.events.packed)]
    arrays: Arrays = {}
    if parts:
        keys, number = merged_keys(parts)
        time = np.concatenate([part.time for part in parts])
        tx_id = np.concatenate([run.tx_id for run in holders])
        order = np.lexsort((tx_id, time, number))
        order = order[time[order] >= oldest]
        held, number = np.unique(number[order], return_inverse=True)
        arrays = Points.of(keys[held], number, time[order], merged_sums(parts, order)).arrays(
            "events"
        )
        arrays["tx_id"] = tx_id[order]
        for name in [n for n in holders[0].arrays if n.startswith("raw/")]:
            arrays[name] = np.concatenate([run.arrays[name] for run in holders])[order]
    if said := [run for run in runs if len(run.labels.packed)]:
        keys, number = merged_keys([run.labels for run in said])
        time = np.concatenate([run.labels.time for run in said])
        names = ("labels/tx_id", "labels/known", "labels/change")
        more = (np.concatenate([run.arrays[name] for run in said]) for name in names)
        changes = Changes(number, time, *more)
        arrays |= change_arrays(keys, changes.at(time >= oldest))
    for name in sorted({name for run in runs for name in run.frauds}):
        arrays |= merged_frauds(
            name, [run.frauds[name] for run in runs if name in run.frauds], oldest
        )
    return Run(arrays)
