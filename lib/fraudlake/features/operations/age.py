"""How long ago the first and the last event of a window were."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels.events import Floats, Ints, Windows, quotient

_SECOND = 1_000_000


def _age(windows: Windows, feature: Feature) -> Floats:
    return _seconds(windows, windows.low, feature)


def _since(windows: Windows, feature: Feature) -> Floats:
    return _seconds(windows, windows.high - 1, feature)


def _seconds(windows: Windows, position: Ints, feature: Feature) -> Floats:
    time, some = windows.events.time, windows.high > windows.low
    elapsed = time[windows.targets] - time[np.where(some, position, 0)]
    return quotient(elapsed, _SECOND, some, feature.empty_or_nan)


def _plain(asked: Question, place: int) -> float | None:
    if not asked.events:
        return None
    elapsed: timedelta = asked.row["event_time"] - asked.events[place]["event_time"]
    return elapsed / timedelta(seconds=1)


AGE = Operation(
    name="age",
    meaning="seconds since the first",
    says="the first transaction of this {e} {w} was {v:ago}",
    input=Input.TIME,
    compares=False,
    sql_type="double",
    bytes_an_event=0,
    sums=None,
    kernel=_age,
    plain=lambda asked: _plain(asked, 0),
    exact=True,
)
SINCE = Operation(
    name="since",
    meaning="seconds since the last",
    says="the last transaction of this {e} was {v:ago}",
    input=Input.TIME,
    compares=True,
    sql_type="double",
    bytes_an_event=0,
    sums=None,
    kernel=_since,
    plain=lambda asked: _plain(asked, -1),
    exact=True,
)
