"""The speed from the last place to the transaction's own."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question, is_missing
from fraudlake.features.kernels import portable
from fraudlake.features.kernels.events import Floats, Windows

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND
_EARTH_KM = 6371.0088  # mean radius, IUGG


def _speed(windows: Windows, feature: Feature) -> Floats:
    """km/h; 1 s at least in between.

    Great circles by the haversine formula (Sinnott, Virtues of the Haversine, 1984) on a sphere of
    the Earth's mean radius.
    """
    events = windows.events
    latitude, longitude = events.degrees[feature.column], events.degrees[feature.other]
    there = ~(np.isnan(latitude) | np.isnan(longitude))
    some, before = windows.nth_last(f"{feature.column},{feature.other}", there, 1)
    here = windows.targets[some]
    before, here = before[there[here]], here[there[here]]
    km = _kilometres(latitude[before], longitude[before], latitude[here], longitude[here])
    elapsed = np.maximum(events.time[here] - events.time[before], _SECOND)
    result = np.full(len(some), feature.empty_or_nan)
    result[some & there[windows.targets]] = km * _HOUR / elapsed
    return result


def _kilometres(lat_1: Floats, lon_1: Floats, lat_2: Floats, lon_2: Floats) -> Floats:
    half_north = portable.cosine_sine((lat_2 - lat_1) / 720)[1]
    half_east = portable.cosine_sine((lon_2 - lon_1) / 720)[1]
    widths = portable.cosine_sine(lat_1 / 360)[0] * portable.cosine_sine(lat_2 / 360)[0]
    square = half_north * half_north + widths * (half_east * half_east)
    return 2 * _EARTH_KM * portable.arcsine(np.sqrt(np.minimum(square, 1.0)))


def _plain(asked: Question) -> float | None:
    """The angle between the two places by the haversine."""
    row, columns = asked.row, (asked.feature.column, asked.feature.other)
    placed = [e for e in asked.events if not any(is_missing(e[c]) for c in columns)]
    if not placed or any(is_missing(row[c]) for c in columns):
        return None
    (lat_1, lon_1), (lat_2, lon_2) = (
        [math.radians(e[c]) for c in columns] for e in (placed[-1], row)
    )
    haversine = math.sin((lat_2 - lat_1) / 2) ** 2
    haversine += math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    kilometres = 2 * 6371.0088 * math.asin(math.sqrt(min(haversine, 1)))
    elapsed = max(row["event_time"] - placed[-1]["event_time"], timedelta(seconds=1))
    return kilometres / (elapsed / timedelta(hours=1))


SPEED = Operation(
    name="speed",
    meaning="km/h from the last place ({c}, {o}) to that of this one",
    says="this {e} came here at {v} km/h from its last place",
    input=Input.PLACE,
    compares=True,
    sql_type="double",
    bytes_an_event=32,
    sums=None,
    kernel=_speed,
    plain=_plain,
    exact=False,
)
