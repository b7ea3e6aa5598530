"""A sum of which each event's part halves with its age."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels import portable, sums, wide
from fraudlake.features.kernels.events import Floats, Windows, quotient

_FINE = 2**30  # weights as integers: this many to one


def _decay(windows: Windows, feature: Feature) -> Floats:
    """Σ v · 2^(−age ÷ half-life), the age counted from the window's new end.

    Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, Forward Decay, 2009): an event's weight
    depends on its own time and a landmark alone. Landmarks are the multiples of the half-life since
    1970; within such a cell an event weighs 2^(its place in the cell), an integer of 2⁻³⁰, so
    a cell's sum is exact. Cells are added from the oldest to the newest, halving on the way. The
    result is within 2⁻³⁰ of the sum of the parts' sizes, however they cancel out.
    """
    events, column, half = windows.events, feature.column, feature.half_life
    weighted = windows.once(f"decay {half}", column, lambda: _weighted(windows, column, half))
    entity, end = events.entity[windows.targets], events.time[windows.targets] - feature.delay
    cell = end // half
    result = np.zeros(len(end))
    begin = windows.low
    for older in range(feature.window // half + 1, 0, -1):
        until = windows.timeline.until(entity, (cell - older + 1) * half - 1)
        until = np.clip(until, begin, windows.high)
        result = (result + wide.to_float(wide.between(weighted, begin, until))) / 2
        begin = until
    result += wide.to_float(wide.between(weighted, begin, windows.high))
    newest = portable.power_of_two((end - cell * half) / half) * _FINE
    some = sums.present(windows, column) > 0
    return quotient(result, newest * events.scale[column], some, feature.empty_or_nan)


def _weighted(windows: Windows, column: str, half_life: int) -> wide.Wide:
    """Prefix sums of the values times 2^(place in the cell)."""
    phase = (windows.events.time % half_life) / half_life
    weight = np.rint(portable.power_of_two(phase) * _FINE).astype(np.int64)
    return wide.prefix(wide.scaled(wide.split(sums.filled(windows.events, column)), weight))


def _plain(asked: Question) -> float | None:
    feature = asked.feature
    end = asked.row["event_time"] - timedelta(microseconds=feature.delay)
    half_life = timedelta(microseconds=feature.half_life)
    inside = [e for e in asked.events if e[feature.column] is not None]
    parts = [float(e[feature.column]) * 2 ** -((end - e["event_time"]) / half_life) for e in inside]
    return math.fsum(parts) if inside else None


DECAY = Operation(
    name="decay",
    meaning="sum of {c}, each halved for every {h} of its age",
    says="total {c} of this {e} {w}, halved for every {h} of age, is {v}",
    input=Input.NUMBER,
    parameter="half_life",
    compares=False,
    sql_type="double",
    bytes_an_event=24,
    searches=lambda feature: feature.window // feature.half_life + 1,
    sums=None,
    kernel=_decay,
    plain=_plain,
    exact=False,
)
