"""Windows over the events of many entities at once, in NumPy: no loop over events or entities.

Events lie sorted by (entity, time, transaction). A window is a pair of positions found by binary
search; an operation's kernel computes values from the events between them. No value depends on what
else is in the arrays: other entities, events older than the window, where rows were cut. n events
and m targets cost O((n + m) log n) at most, on one entity or on many.

Spark and Delta are not known here: `batch` and `state` feed the kernels from partitions, tests from
arrays.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from fraudlake.features.feature import Feature
from fraudlake.features.kernels.events import Events, Ints, Timeline, Values, Windows


def windows(events: Events, targets: Ints, features: Sequence[Feature]) -> dict[str, Values]:
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
        Feature name → array of the length of `targets`: int64 for counts, float64 for the others;
        NaN where the feature's value is null.
    """
    timeline = Timeline(events.entity, events.time)
    entity, time = events.entity[targets], events.time[targets]
    ends: dict[tuple[int, bool, bool], Ints] = {}
    by_rule: dict[tuple[int, int, bool, bool], Windows] = {}
    memo: dict[Hashable, Any] = {}
    result = {}
    for feature in features:
        boundary = feature.rule[1:]
        end = time - feature.delay
        if boundary not in ends:
            if feature.delay:
                ends[boundary] = timeline.until(entity, end)
            elif feature.ties:
                # The window ends with the row itself: later ones of its instant do not count.
                ends[boundary] = targets + int(feature.current)
            else:
                ends[boundary] = timeline.until(entity, end - 1)
        if feature.rule not in by_rule:
            low = timeline.until(entity, end - feature.window)
            by_rule[feature.rule] = Windows(events, targets, timeline, low, ends[boundary], memo)
        result[feature.name] = feature.over(by_rule[feature.rule])
    return result
