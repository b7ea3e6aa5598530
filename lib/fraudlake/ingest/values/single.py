"""One value at a time, without Spark: what `time`, `number` and `word` do by expressions."""

from __future__ import annotations

import math
import re
from calendar import monthrange
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from zoneinfo import ZoneInfo

from fraudlake import patterns
from fraudlake.ingest.values import number, time
from fraudlake.instants import EARLIEST, microseconds
from fraudlake.patterns import Pattern
from fraudlake.words import both
from fraudlake.writing import MONTH, UNITS, Epoch, Flags, Numbers, Times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGNS = {"": "", "+": "", "-": "-", "()": "-"}


def word_of(text: str, how: Flags) -> bool | None:
    """True, false, or None where the text says neither."""
    for value, words in zip((True, False), how.flags(), strict=True):
        if text.lower() in both(words):
            return value
    return None


def number_of(text: str, how: Numbers, currency: str | None) -> Decimal | None:
    """The number in a text, None where it is not written as declared.

    Examples
    --------
    >>> number_of("(1.234,50 EUR)", Numbers(decimal=",", thousands=".", strip=("EUR",),
    ...           negative=("brackets",)), None)
    Decimal('-1234.50')
    """
    if how.decorated:
        match = re.match(number.decorated(how), text, re.ASCII)
        sign = match and _SIGNS.get("".join(match[group] for group in (1, 2, 5, 6)))
        if match is None or sign is None:
            return None
        digits = match[3].translate(dict.fromkeys(map(ord, number.SEPARATORS)))
        text = f"{sign}{digits}.{match[4] or ''}"
    places = how.places().get(currency.upper()) if currency else how.scale or 0
    if places is None or not re.match(number.PLAIN, text, re.ASCII):
        return None
    with localcontext(prec=80):
        return Decimal(text).scaleb(-int(places))


def rounded(value: Decimal, how: Numbers) -> Decimal:
    """Money to two decimals, as the data set says."""
    if not how.round:
        return value
    with localcontext(prec=80):
        wide = value.quantize(Decimal("1e-18"), ROUND_HALF_UP)
        return wide.quantize(
            Decimal("0.01"), ROUND_HALF_EVEN if how.round == "half_even" else ROUND_HALF_UP
        )


def time_of(
    text: str, how: Times, zone: str, now: datetime, earliest: datetime = EARLIEST
) -> datetime | None:
    """The instant that a text says, None where it says none.

    Of several units the first is meant that gives a time from `earliest` until a day from now.

    Raises
    ------
    ValueError
        The zone's clocks never showed it, and it is not to be shifted.

    Examples
    --------
    >>> time_of("31.12.2024 23:30", Times(pattern="dd.MM.yyyy HH:mm"), "Europe/Paris",
    ...      datetime(2025, 1, 1, tzinfo=UTC)).isoformat()
    '2024-12-31T22:30:00+00:00'
    """
    zone = how.timezone or zone
    forms = how.forms() or ("iso",)
    never = False
    for form in forms:
        try:
            if isinstance(form, Epoch):
                at = _read_number(text, form, zone, how.gap)
                if forms[1:] and at and not earliest <= at <= now + timedelta(days=1):
                    at = None
            elif form == "iso":
                at = _read_iso(text, zone, how.gap)
            else:
                tried = (
                    _read_pattern(text, p, zone, how.gap, now) for p in patterns.compiled(form)
                )
                at = next((found for found in tried if found), None)
        except _SkippedError:
            at, never = None, True
        except OverflowError:
            at = None
        if at:
            return at
    if never:
        raise ValueError(time.skipped(zone))
    return None


class _SkippedError(Exception):
    pass


def _on_clock(clock: datetime, zone: str, gap: str) -> datetime:
    place = ZoneInfo(zone)
    found = clock.replace(tzinfo=place).astimezone(UTC)
    if gap == "refuse" and found.astimezone(place).replace(tzinfo=None) != clock:
        raise _SkippedError
    return found


def _parsed(text: str) -> datetime | None:
    try:
        text = re.sub(r" ?(UTC|Z)$", "Z", text).replace(" +", "+").replace(" -", "-")
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _read_iso(text: str, zone: str, gap: str) -> datetime | None:
    if not any(re.match(form, text, re.ASCII) for form in (time.LOCAL, time.ZONED, time.DAY)):
        return None
    at = _parsed(text)
    if at is None or at.tzinfo:
        return at and at.astimezone(UTC)
    return _on_clock(at, zone, "shift" if re.match(time.DAY, text, re.ASCII) else gap)


def _read_pattern(text: str, p: Pattern, zone: str, gap: str, now: datetime) -> datetime | None:
    match = re.match(p.regex, text, re.ASCII)
    for year in [""] if p.dated else time.years(now):
        at = match and _of_parts(match, p, year)
        if not at or at.tzinfo:
            found = at and at.astimezone(UTC)
        elif p.dated or _on_clock(at, zone, "shift") <= now + timedelta(days=1):
            found = _on_clock(at, zone, gap if p.timed else "shift")
        else:
            found = None
        if found:
            return found
    return None


def _of_parts(match: re.Match, p: Pattern, year: str) -> datetime | None:
    """What an expression says of a match, on the zone's clock where it names no offset."""

    def filled(part: str | tuple[str, dict[str, str]]) -> str:
        if isinstance(part, tuple):
            return part[1].get(filled(part[0]).lower(), "none")
        return re.sub(r"\$(\d+)", lambda group: match[int(group[1])], part)

    day, clock, *offset = "".join(map(filled, time.parts(p, year))).split()
    day = "-".join(number.zfill(2) for number in day.split("-"))
    clock = ":".join(
        f"0{number}" if number[1:2] in (".", "") else number for number in clock.split(":")
    )
    return _parsed(" ".join((day, clock, *offset)))


def _read_number(text: str, form: Epoch, zone: str, gap: str) -> datetime | None:
    if not re.match(time.NUMBER, text, re.ASCII):
        return None
    with localcontext(prec=80):
        number = Decimal(text)
        whole = number == math.floor(number)
        start, calendar = time.origin(form, zone)
        many, unit = form.size
        if unit != MONTH:
            since = start + math.floor(number * many * UNITS[unit])
        elif whole and abs(number * many) <= time.MOST_MONTHS:
            since = _months_after(start, int(number * many))
        else:
            return None
    if not time.FIRST <= since <= time.LAST:
        return None
    at = _EPOCH + timedelta(microseconds=since)
    if not calendar:
        return at
    return _on_clock(at.replace(tzinfo=None), zone, "shift" if whole else gap)


def _months_after(start: int, months: int) -> int:
    """The same day and time so many months later, or the last day of a month that has no such."""
    at = _EPOCH + timedelta(microseconds=start)
    years, month = divmod(at.month - 1 + months, 12)
    if not MINYEAR <= at.year + years <= MAXYEAR:
        return time.LAST + 1
    day = min(at.day, monthrange(at.year + years, month + 1)[1])
    return microseconds(at.replace(year=at.year + years, month=month + 1, day=day))
