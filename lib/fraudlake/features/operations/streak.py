"""Runs of frauds and of genuine transactions, as far as labels are known."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels.events import Events, Floats, Ints, Windows, prefix, quotient

_SECOND = 1_000_000


class _Frauds:
    """How many of the events between two positions are known to be fraud at a time.

    That is a sum over label changes of these events, of those known by then: a wavelet matrix over
    the changes in the order of their events, each with the rank of the time at which it was known
    (Claude, Navarro and Ordóñez, The Wavelet Matrix, 2015), and at each level the running total of
    +1 and −1. A sum goes down the levels once, O(log c) for c changes.
    """

    def __init__(self, events: Events) -> None:
        order = np.argsort(events.change_event, kind="stable")
        self._event = events.change_event[order]
        self._known = np.unique(events.change_time)
        self.positions = np.unique(self._event)
        ranks = np.searchsorted(self._known, events.change_time[order])
        changes = events.change_value[order]
        self._levels: list[tuple[int, Ints, Ints]] = []
        # A time after all of them has one rank more than there are.
        for bit in reversed(range(len(self._known).bit_length())):
            ones = (ranks >> bit) & 1 == 1
            zeros = prefix(~ones)
            self._levels.append((bit, zeros, prefix(np.where(ones, 0, changes))))
            ranks = np.concatenate((ranks[~ones], ranks[ones]))
            changes = np.concatenate((changes[~ones], changes[ones]))

    def count(self, begin: Ints, end: Ints, time: Ints) -> Ints:
        """Frauds among the events at positions begin … end − 1."""
        low, high = np.searchsorted(self._event, begin), np.searchsorted(self._event, end)
        result = np.zeros(len(begin), np.int64)
        some = np.flatnonzero(low < high)
        low, high = low[some], high[some]
        rank = np.searchsorted(self._known, time[some], side="right")
        total = np.zeros(len(some), np.int64)
        for bit, zeros, sums in self._levels:
            # Where the rank has a 1, all those with a 0 here were known before.
            is_one = (rank >> bit) & 1 == 1
            total += np.where(is_one, sums[high] - sums[low], 0)
            low_0, high_0 = zeros[low], zeros[high]
            low = np.where(is_one, zeros[-1] + low - low_0, low_0)
            high = np.where(is_one, zeros[-1] + high - high_0, high_0)
        result[some] = total
        return result


def _last(windows: Windows, feature: Feature, fraud: bool) -> Ints:
    """Position of the last event in each window that is known to be fraud, or genuine; −1: none."""
    return windows.once(("last", fraud, feature.rule), "", lambda: _search(windows, fraud))


def _search(windows: Windows, fraud: bool) -> Ints:
    """From the end of a window in steps that double, then by halves: most are near the end."""
    events, high = windows.events, windows.high
    frauds = windows.once("frauds", "", lambda: _Frauds(events))
    time = events.time[windows.targets]
    # Frauds are sought among the events that labels ever spoke of.
    places = frauds.positions if fraud else np.arange(len(events.time))

    def some(position: Ints, of: Ints) -> NDArray[np.bool_]:
        """Whether there is one from a position on, in windows of these numbers."""
        count = frauds.count(position, high[of], time[of])
        return (count if fraud else high[of] - position - count) > 0

    asked = np.flatnonzero(some(windows.low, np.arange(len(high))))
    begin = np.searchsorted(places, windows.low[asked])
    end = np.searchsorted(places, high[asked])
    found, step, open_ = end.copy(), 1, np.arange(len(asked))
    while len(open_):
        found[open_] = np.maximum(begin[open_], end[open_] - step)
        there = some(places[found[open_]], asked[open_])
        end[open_[~there]] = found[open_[~there]]
        step, open_ = 2 * step, open_[~there]
    while len(open_ := np.flatnonzero(end - found > 1)):
        middle = (found[open_] + end[open_]) // 2
        there = some(places[middle], asked[open_])
        found[open_[there]], end[open_[~there]] = middle[there], middle[~there]
    result = np.full(len(high), -1)
    result[asked] = places[found]
    return result


def _streak(windows: Windows, feature: Feature) -> Ints:
    """How many at the end of the window are alike: above 0 for frauds, below for genuine ones."""
    low, high = windows.low, windows.high
    fraud, genuine = _last(windows, feature, fraud=True), _last(windows, feature, fraud=False)
    end = high - 1
    after = np.where(fraud == end, genuine, fraud)
    length = end - np.where(after < 0, low - 1, after)
    return np.where(low < high, np.where(fraud == end, length, -length), 0)


def _since_fraud(windows: Windows, feature: Feature) -> Floats:
    return _seconds(windows, _last(windows, feature, fraud=True), feature)


def _since_genuine(windows: Windows, feature: Feature) -> Floats:
    return _seconds(windows, _last(windows, feature, fraud=False), feature)


def _seconds(windows: Windows, position: Ints, feature: Feature) -> Floats:
    time, some = windows.events.time, position >= 0
    elapsed = time[windows.targets] - time[np.where(some, position, 0)]
    return quotient(elapsed, _SECOND, some, feature.empty_or_nan)


def _plain_streak(asked: Question) -> int:
    length = 0
    for fraud in reversed(asked.frauds):
        if fraud != asked.frauds[-1]:
            break
        length += 1
    return length if length and asked.frauds[-1] else -length


def _plain_since(asked: Question, fraud: bool) -> float | None:
    times = [e["event_time"] for e, is_fraud in zip(asked.events, asked.frauds, strict=True)
             if is_fraud == fraud]  # fmt: skip
    return (asked.row["event_time"] - times[-1]) / timedelta(seconds=1) if times else None


STREAK = Operation(
    name="streak",
    meaning="how many at the end are alike at this time: known to be fraud (above 0), or not "
    "(below 0)",
    says="the latest transactions of this {e} {w}: {v:streak}",
    input=Input.LABELS,
    compares=False,
    sql_type="bigint",
    bytes_an_event=0,
    sums=None,
    kernel=_streak,
    plain=_plain_streak,
    exact=True,
)
SINCE_FRAUD = Operation(
    name="since_fraud",
    meaning="seconds since the last that is known to be fraud at this time",
    says="the last known fraud of this {e} was {v:ago}",
    input=Input.LABELS,
    compares=False,
    sql_type="double",
    bytes_an_event=0,
    sums=None,
    kernel=_since_fraud,
    plain=lambda asked: _plain_since(asked, fraud=True),
    exact=True,
)
SINCE_GENUINE = Operation(
    name="since_genuine",
    meaning="seconds since the last that is not known to be fraud at this time",
    says="the last transaction of this {e} not known to be fraud was {v:ago}",
    input=Input.LABELS,
    compares=False,
    sql_type="double",
    bytes_an_event=0,
    sums=None,
    kernel=_since_genuine,
    plain=lambda asked: _plain_since(asked, fraud=False),
    exact=True,
)
