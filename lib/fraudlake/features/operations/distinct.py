"""How many different values a window holds."""

from __future__ import annotations

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels.events import Ints, Windows


def _distinct(windows: Windows, feature: Feature) -> Ints:
    """Exactly; null is none.

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


def _plain(asked: Question) -> int:
    return len({event[asked.feature.column] for event in asked.events} - {None})


DISTINCT = Operation(
    name="distinct",
    meaning="number of different values of {c}, exact",
    says="{v:# different value} of {c} for this {e} {w}",
    input=Input.VALUE,
    compares=False,
    sql_type="bigint",
    bytes_an_event=24,
    sums=None,
    kernel=_distinct,
    plain=_plain,
    exact=True,
)
