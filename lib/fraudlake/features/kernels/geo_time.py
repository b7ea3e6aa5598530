"""Operations on place and time of day: speed between places, distance from the usual hour."""

from __future__ import annotations

import numpy as np

from fraudlake.features.definition.feature import Feature
from fraudlake.features.kernels import portable
from fraudlake.features.kernels.events import Floats, Ints, Windows, empty, prefix

_SECOND = 1_000_000
_HOUR = 3_600 * _SECOND
_DAY = 24 * _HOUR
_EARTH_KM = 6371.0088  # mean radius, IUGG
_FINE = 2**36  # cosines and sines as integers: this many to one, for 2²⁶ events in a window


def speed(windows: Windows, feature: Feature) -> Floats:
    """km/h from the last place in the window to the transaction's own; 1 s at least in between.

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
    result = np.full(len(some), empty(feature))
    result[some & there[windows.targets]] = km * _HOUR / elapsed
    return result


def _kilometres(lat_1: Floats, lon_1: Floats, lat_2: Floats, lon_2: Floats) -> Floats:
    half_north = portable.cosine_sine((lat_2 - lat_1) / 720)[1]
    half_east = portable.cosine_sine((lon_2 - lon_1) / 720)[1]
    widths = portable.cosine_sine(lat_1 / 360)[0] * portable.cosine_sine(lat_2 / 360)[0]
    square = half_north * half_north + widths * (half_east * half_east)
    return 2 * _EARTH_KM * portable.arcsine(np.sqrt(np.minimum(square, 1.0)))


def time_of_day(windows: Windows, feature: Feature) -> Floats:
    """How unusual the hour is: κ (1 − cos(angle to the usual hour)), 0 or more.

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
    return np.where(high > low, kappa * np.maximum(1 - toward, 0.0), empty(feature))


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
