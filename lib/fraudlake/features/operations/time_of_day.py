"""How unusual the transaction's hour is."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels import portable
from fraudlake.features.kernels.events import Floats, Ints, Windows, prefix

_DAY = 86_400_000_000
_FINE = 2**36  # cosines and sines as integers: this many to one, for 2²⁶ events in a window


def _time_of_day(windows: Windows, feature: Feature) -> Floats:
    """κ (1 − cos(angle to the usual hour)), 0 or more.

    Times of day, UTC, are angles; the usual hour is the direction of the sum of the window's unit
    vectors. So many nats lie between the von Mises density at the usual hour and at the
    transaction's (Bahnsen, Aouada, Stojanovic and Ottersten, Feature engineering strategies for
    credit card fraud detection, Expert Systems with Applications 51, 2016, ask whether it lies in
    an interval of that distribution). The sum's length is taken over n + 1, as if one more
    event lay spread over the whole day: few events make no certainty.
    """
    cosine, sine, east, north = windows.once("hours", "", lambda: _hours(windows.events.time))
    low, high = windows.low, windows.high
    x = (east[high] - east[low]).astype(np.float64)
    y = (north[high] - north[low]).astype(np.float64)
    length = np.sqrt(x * x + y * y)
    along = cosine[windows.targets] * x + sine[windows.targets] * y
    toward = np.divide(along, length * _FINE, out=np.ones(len(along)), where=length > 0)
    kappa = concentration(length / ((high - low + 1.0) * _FINE))
    return np.where(high > low, kappa * np.maximum(1 - toward, 0.0), feature.empty_or_nan)


def _hours(time: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Cosine and sine of each time of day, as integers of 2⁻³⁶, and the prefix sums of both."""
    cosine, sine = (
        np.rint(part * _FINE).astype(np.int64)
        for part in portable.cosine_sine((time % _DAY) / _DAY)
    )
    return cosine, sine, prefix(cosine), prefix(sine)


def concentration(length: Floats) -> Floats:
    """κ of the von Mises distribution whose mean vector has a length 0 ≤ R < 1.

    Best and Fisher's approximation to its maximum likelihood estimate (Fisher, Statistical Analysis
    of Circular Data, 1993, page 88).

    Examples
    --------
    >>> concentration(np.array([0.0, 0.5, 0.8, 0.9])).round(3).tolist()
    [0.0, 1.151, 2.862, 5.291]
    """
    r = length
    cube = r * r * r
    small = 2 * r + cube + 5 * (cube * r * r) / 6
    middle = -0.4 + 1.39 * r + 0.43 / (1 - r)
    large = 1 / (cube - 4 * r * r + 3 * np.maximum(r, 0.5))
    return np.where(r < 0.53, small, np.where(r < 0.85, middle, large))


def _plain(asked: Question) -> float | None:
    """κ of a mean vector over one event more, times 1 − cos(angle to the mean direction)."""
    times = [event["event_time"] for event in asked.events]
    if not times:
        return None
    x = math.fsum(math.cos(_angle(t)) for t in times)
    y = math.fsum(math.sin(_angle(t)) for t in times)
    r = math.hypot(x, y) / (len(times) + 1)
    if r < 0.53:
        kappa = 2 * r + r**3 + 5 / 6 * r**5
    elif r < 0.85:
        kappa = -0.4 + 1.39 * r + 0.43 / (1 - r)
    else:
        kappa = 1 / (r**3 - 4 * r**2 + 3 * r)
    return kappa * (1 - math.cos(_angle(asked.row["event_time"]) - math.atan2(y, x)))


def _angle(at: datetime) -> float:
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return 2 * math.pi * ((at - midnight) / timedelta(days=1))


TIME_OF_DAY = Operation(
    name="time_of_day",
    meaning="nats by which the hour of this one is less likely than the usual hour, UTC",
    says="this hour is {v:exp} × less likely than this {e}'s usual hour {w}",
    input=Input.TIME,
    compares=True,
    sql_type="double",
    bytes_an_event=32,
    sums=None,
    kernel=_time_of_day,
    plain=_plain,
    exact=False,
)
