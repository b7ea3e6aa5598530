"""Times: ISO 8601, patterns, numbers since an origin; and the hours that a zone's clocks skip."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from fraudlake import patterns
from fraudlake.instants import EARLIEST, microseconds
from fraudlake.writing import MONTH, UNITS, Epoch, Times

if TYPE_CHECKING:
    from pyspark.sql import Column

    from fraudlake.patterns import Pattern

_CLOCK = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?"
DAY = r"^\d{4}-\d{2}-\d{2}$"
LOCAL = f"^{_CLOCK}$"
ZONED = f"^{_CLOCK} ?(Z|UTC|[+-]\\d{{2}}(:?\\d{{2}})?)$"
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?$"
_WIDE = "decimal(38,18)"
_ISO = "2018-04-01T12:30:00+02:00"
FIRST = microseconds(datetime(1, 1, 2, tzinfo=UTC))
MOST_MONTHS = 12 * 9999
LAST = microseconds(datetime(9999, 12, 30, tzinfo=UTC))


def wanted(how: Times) -> str:
    """What is expected of a text."""
    forms = [_ISO if form == "iso" else str(form) for form in how.forms()]
    return f"timestamp such as {_ISO}" if not forms else f"timestamp as {' or '.join(forms)}"


def skipped(zone: str) -> str:
    """What is expected of a time that the zone never had."""
    return (
        f"a time that {zone} had: its clocks skipped this one (`gap: shift` on the column takes it)"
    )


@cache
def fixed(zone: str) -> bool:
    """Whether the clocks of a zone stand as they stood in 1970: it has no hours to skip."""
    place, start = ZoneInfo(zone), datetime(1970, 1, 1, tzinfo=UTC)
    weeks = (start + timedelta(weeks=week) for week in range(68 * 52))
    return len({at.astimezone(place).utcoffset() for at in weeks}) == 1


def expression(
    text: Column,
    how: Times,
    zone: str,
    now: datetime,
    gap: str = "",
    earliest: datetime = EARLIEST,
) -> Column:
    """The instant that a text says, null where it says none.

    Parameters
    ----------
    zone
        The data set's, for times without an offset where the column has none of its own.
    now
        The arrival, which gives its year to a time without one.
    gap
        Instead of what the column says of the times that a zone's clocks skip.
    earliest
        Of several units the first is meant that gives a time from then until a day from now.
    """
    from pyspark.sql import functions as F

    zone, gap = how.timezone or zone, gap or how.gap
    forms = how.forms() or ("iso",)
    found = []
    for form in forms:
        if isinstance(form, Epoch):
            at = _counted(text, form, zone, gap)
            likely = at.between(F.lit(earliest), F.lit(now + timedelta(days=1)))
            found.append(F.when(likely, at) if forms[1:] else at)
        elif form == "iso":
            found.append(_iso(text, zone, gap))
        else:
            found += [_by_pattern(text, p, zone, gap, now) for p in patterns.compiled(form)]
    return found[0] if len(found) == 1 else F.coalesce(*found)


def _iso(text: Column, zone: str, gap: str) -> Column:
    from pyspark.sql import functions as F

    suffix = F.lit("Z" if zone == "UTC" else f" {zone}")
    day = F.concat(text, F.lit(" 00:00:00"), suffix)
    if gap == "shift" or fixed(zone):
        complete = (
            F.when(text.rlike(LOCAL), F.concat(text, suffix))
            .when(text.rlike(ZONED), text)
            .when(text.rlike(DAY), day)
        )
        return complete.try_cast("timestamp")
    clock = F.concat(text, F.lit("Z")).try_cast("timestamp")
    complete = F.when(text.rlike(ZONED), text).when(text.rlike(DAY), day)
    return F.when(text.rlike(LOCAL), _instant(clock, zone, gap)).otherwise(
        complete.try_cast("timestamp")
    )


def _instant(clock: Column, zone: str, gap: str) -> Column:
    """When a zone's clocks show this (a timestamp that reads so in UTC): the first time of two."""
    from pyspark.sql import functions as F

    found = clock if zone == "UTC" else F.to_utc_timestamp(clock, zone)
    if gap == "shift" or fixed(zone):
        return found
    return F.when(F.from_utc_timestamp(found, zone) == clock, found)


def _by_pattern(text: Column, p: Pattern, zone: str, gap: str, now: datetime) -> Column:
    from pyspark.sql import functions as F

    def instant(year: str, gap: str) -> Column:
        written = _rewritten(text, p, year)
        if p.zoned:
            return written.try_cast("timestamp")
        # A day without an hour is its first moment, whatever the clocks did then.
        clock = F.concat(written, F.lit("Z")).try_cast("timestamp")
        return _instant(clock, zone, gap if p.timed else "shift")

    if p.dated:
        return F.when(text.rlike(p.regex), instant("", gap))
    latest = F.lit(now + timedelta(days=1))
    found = F.when(F.lit(False), latest)
    for year in years(now):  # which one it is does not hang on what the clocks did in it
        found = found.when(instant(year, "shift") <= latest, instant(year, gap))
    return F.when(text.rlike(p.regex), found)


def years(now: datetime) -> list[str]:
    """Which year a time without one may be of: the latest that does not put it into the future."""
    return [f"{now.year + ahead}" for ahead in (1, 0, -1)]


def _rewritten(text: Column, p: Pattern, year: str) -> Column:
    """A text that matches, as ISO 8601: Spark's expression for `parts`."""
    from pyspark.sql import functions as F

    def looked_up(group: str, words: dict[str, str]) -> Column:
        known = F.create_map(*[F.lit(item) for pair in words.items() for item in pair])
        return F.try_element_at(known, F.lower(F.regexp_replace(text, p.regex, F.lit(group))))

    def filled(part: str | tuple[str, dict[str, str]]) -> Column:
        if isinstance(part, tuple):
            return looked_up(*part)
        return F.regexp_replace(text, p.regex, F.lit(part)) if "$" in part else F.lit(part)

    return F.concat(*map(filled, parts(p, year)))


def parts(p: Pattern, year: str) -> list[str | tuple[str, dict[str, str]]]:
    """ISO 8601 in pieces: text with the numbers of groups, or such text and where to look it up."""

    def group(name: str, usual: str = "") -> str:
        return f"${p.groups[name]}" if name in p.groups else usual

    found: list[str | tuple[str, dict[str, str]]] = []

    def add(part: str | tuple[str, dict[str, str]]) -> None:
        if found and isinstance(part, str) and isinstance(found[-1], str):
            found[-1] += part
        else:
            found.append(part)

    century = "20" if "short_year" in p.groups else ""
    add(f"{year or century + group('year') + group('short_year')}-")
    add(group("month") or (group("month_name"), patterns.MONTHS))
    add(f"-{group('day')} ")
    half = group("half_hour") + group("half")
    add((half, patterns.HOURS) if half else group("hour", "00"))
    add(f":{group('minute', '00')}:{group('second', '00')}")
    add(f".{group('fraction')}" if "fraction" in p.groups else "")
    add(f" {group('offset')}" if "offset" in p.groups else "")
    if "zone" in p.groups and "offset" not in p.groups:
        add((group("zone"), patterns.OFFSETS))
    return found


def _counted(text: Column, form: Epoch, zone: str, gap: str) -> Column:
    from pyspark.sql import functions as F

    number = F.when(text.rlike(NUMBER), text).try_cast(_WIDE)
    start, calendar = origin(form, zone)
    many, unit = form.size
    if unit == MONTH:
        whole = F.when(number == F.floor(number), number * many)
        months = F.when(whole.between(-MOST_MONTHS, MOST_MONTHS), whole.try_cast("int"))
        at = F.timestamp_micros(F.lit(start)) + F.make_ym_interval(F.lit(0), months)
        at = F.when(F.unix_micros(at).between(FIRST, LAST), at)
        return _instant(at, zone, "shift") if calendar else at
    micros = F.floor(number * F.lit(many * UNITS[unit])).try_cast("bigint")
    since = F.try_add(F.lit(start), micros)
    at = F.when(since.between(FIRST, LAST), F.timestamp_micros(since))
    if not calendar:
        return at
    return F.when(number == F.floor(number), _instant(at, zone, "shift")).otherwise(
        _instant(at, zone, gap)
    )


def origin(form: Epoch, zone: str) -> tuple[int, bool]:
    """Microseconds of the origin; and whether days are counted on the zone's calendar from it.

    Days and months from an origin without an offset are the calendar's, as Excel and a period of
    Java have them; hours and less are lengths of time.
    """
    start = form.at
    if start.tzinfo is None and not form.calendar:
        start = start.replace(tzinfo=ZoneInfo(zone))
    return microseconds(start), start.tzinfo is None
