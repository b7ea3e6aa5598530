"""Instants and lengths of time: read, written, and as conditions in SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
# What lies before it by the longest length of time is still a time.
_FIRST_YEAR, _CENTURY = 1900, timedelta(days=36500)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: Any) -> timedelta:
    """A length of time: a whole number and a unit (s, m, h, d); a bare whole number is days.

    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    match = _DURATION.match(text if not text.isdigit() else text + "d")
    if not isinstance(value, bool) and match:
        with suppress(OverflowError):
            length = timedelta(**{_UNITS[match[2]]: int(match[1])})
            if length <= _CENTURY:
                return length
    raise ValueError("a length of time such as 30s, 15m, 12h or 7d, of at most 36500d")


def format_duration(value: timedelta) -> str:
    """The shortest text `parse_duration` reads back.

    >>> format_duration(timedelta(hours=48))
    '2d'
    """
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse_instant(value: Any) -> datetime:
    """A day or an instant, UTC unless it names an offset.

    >>> parse_instant("2018-08-08").isoformat()
    '2018-08-08T00:00:00+00:00'
    """
    with suppress(ValueError, OverflowError):
        instant = datetime.fromisoformat(str(value).strip())
        zoned = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
        if zoned.year >= _FIRST_YEAR:
            return zoned
    raise ValueError("a day (2018-08-08) or an instant (2018-08-08T12:30:00), from 1900 on")


def format_instant(value: datetime) -> str:
    """ISO text of an instant in UTC, a bare day where the time is midnight."""
    text = value.astimezone(UTC).isoformat().replace("+00:00", "")
    return text.removesuffix("T00:00:00")


# Payments before it are a mistake in how times are read, unless a data set says otherwise.
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
]
Instant = Annotated[
    datetime, BeforeValidator(parse_instant), PlainSerializer(format_instant, return_type=str)
]


def microseconds(value: datetime) -> int:
    """Microseconds since 1970 UTC, of an instant that is UTC unless it names an offset.

    >>> microseconds(datetime(1970, 1, 2))
    86400000000
    """
    instant = value.replace(tzinfo=UTC) if value.tzinfo is None else value
    return (instant - _EPOCH) // timedelta(microseconds=1)


def range_problems(given: Mapping[str, Any], start: str, end: str) -> list[str]:
    """Why two arguments are no range [start, end): one sentence, or none.

    Parameters
    ----------
    given
        Argument → value; a bound that is missing or None bounds nothing.
    start, end
        Names of the arguments; `from_` stands for `from`, which Python keeps for itself.

    Examples
    --------
    >>> day = parse_instant("2018-08-08")
    >>> range_problems({"from_": day, "to": day}, "from_", "to")
    ['to: got 2018-08-08, expected an instant after from (2018-08-08)']
    """
    first, last = given.get(start), given.get(end)
    if first is None or last is None or first < last:
        return []
    begin = f"{start.rstrip('_')} ({format_instant(first)})"
    return [f"{end}: got {format_instant(last)}, expected an instant after {begin}"]


def time_range(start: datetime | None, end: datetime | None, column: str = "event_time") -> str:
    """SQL condition start ≤ column < end; `true` where neither bound is given.

    >>> time_range(datetime(2018, 8, 1), None)
    "event_time >= TIMESTAMP '2018-08-01T00:00:00+00:00'"
    """
    parts = []
    for sign, bound in ((">=", start), ("<", end)):
        if bound is not None:
            instant = bound.replace(tzinfo=UTC) if bound.tzinfo is None else bound
            parts.append(f"{column} {sign} TIMESTAMP '{instant.isoformat()}'")
    return " AND ".join(parts) or "true"


def closed_range(first: int, last: int | None) -> str:
    """SQL condition first ≤ event_time ≤ last, microseconds; None: no bound."""
    after = f"event_time >= timestamp_micros({first})"
    return after if last is None else f"{after} AND event_time <= timestamp_micros({last})"


def left_open_range(column: str, after: int, until: int) -> str:
    """SQL condition after < column ≤ until, both in microseconds since 1970 UTC.

    >>> left_open_range("event_time", 0, 5)
    'event_time > timestamp_micros(0) AND event_time <= timestamp_micros(5)'
    """
    return f"{column} > timestamp_micros({after}) AND {column} <= timestamp_micros({until})"
