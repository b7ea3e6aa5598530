"""What kinds of time texts are: ISO 8601, patterns, numbers of a unit, and which of them fit all.

They are tried as `serve` reads them, so a form that fits here is one that a data set can name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from fraudlake import patterns
from fraudlake.ingest.values import single
from fraudlake.writing import Times

_DAYS = (
    "dd/MM/yyyy", "MM/dd/yyyy", "dd.MM.yyyy", "MM.dd.yyyy", "dd-MM-yyyy", "MM-dd-yyyy",
    "yyyy/MM/dd", "yyyy-MM-dd", "yyyy.MM.dd", "yyyyMMdd", "dd/MM/yy", "MM/dd/yy", "dd.MM.yy",
    "d/M/yyyy", "M/d/yyyy", "d.M.yyyy", "d-M-yyyy", "M-d-yyyy", "yyyy/M/d", "yyyy-M-d",
    "yyyy M d", "d/M/yy", "M/d/yy", "dd MMM yyyy", "d MMM yyyy", "dd-MMM-yyyy", "dd-MMM-yy",
    "MMM d, yyyy", "MMMM d, yyyy", "EEE, dd MMM yyyy",
)  # fmt: skip
_CLOCKS = (
    "", " HH:mm:ss", " HH:mm", " HH:mm:ss.SSSSSS", " HH:mm:ss,SSS", " hh:mm:ss a", " hh:mm a",
    " H:mm:ss", " H:mm", " H:m:s", " h:mm:ss a", " h:mm a", " HHmmss", " HH:mm:ss z",
    " HH:mm:ss Z", "'T'HH:mm", "'T'HH:mm:ss",
)  # fmt: skip
_OTHERS = (
    "yyyyMMddHHmmss", "yyyyMMddHHmm", "yyyyMMdd'T'HHmmssX", "yyyyMMdd'T'HHmmss",
    "yyyy-MM-dd'T'HH:mm:ssXXX'['VV']'", "yyyy-MM-dd'T'HH:mm:ssX'['VV']'",
    "EEE MMM dd HH:mm:ss z yyyy", "dd/MMM/yyyy:HH:mm:ss Z", "dd.MM.yyyy, HH:mm:ss",
)  # fmt: skip
_NO_YEAR = "MMddHHmmss"
_UNITS = ("s", "ms", "us", "ns")
_EXCEL = {"unit": "d", "origin": "1899-12-30"}
CLOCK = re.compile(r"^\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?( ?[AaPp]\.?[Mm]\.?)?$")
_NUMBER = re.compile(r"^\d+(\.\d+)?(E\d+)?$")
_FIRST, _OLDEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC)
_EXCEL_DAYS = range(40000, 60000)
_TRIED = 300
_MOST_FORMS = 16
_NEARLY_ALL = 0.99


class Form(NamedTuple):
    """How times are written.

    Attributes
    ----------
    keys
        What a column of the data set says of it: `pattern`, `unit`, `origin`, `year`.
    share
        Of the texts that it reads.
    zoned, timed
        Whether every text says its offset from UTC, and an hour.
    other
        Another pattern that reads all of them too, day and month exchanged.
    """

    keys: dict[str, Any]
    share: float
    zoned: bool
    timed: bool
    other: str = ""

    @property
    def number(self) -> bool:
        """Whether the times are numbers alone."""
        return "unit" in self.keys


def found(texts: Sequence[str], now: datetime) -> Form | None:
    """The form of times that reads texts, None where they are none.

    Examples
    --------
    >>> found(["31/12/2023 23:59", "01/02/2024 10:00"], datetime(2024, 6, 1, tzinfo=UTC)).keys
    {'pattern': 'dd/MM/yyyy HH:mm'}
    """
    tried = list(dict.fromkeys(texts))
    tried = tried[:: max(1, len(tried) // _TRIED)]
    if not tried:
        return None
    reads: dict[str, set[int]] = {}
    for name, times in _candidates(tried):
        at = {n for n, text in enumerate(tried) if _likely(text, name, times, now)}
        if at:
            reads[name] = at
    chosen: list[str] = []
    left = set(range(len(tried)))
    while left and len(chosen) < _MOST_FORMS:
        best = max(reads, key=lambda name: len(reads[name] & left), default="")
        if not best or not reads[best] & left:
            break
        chosen.append(best)
        left -= reads[best]
    share = 1 - len(left) / len(tried)
    if not chosen or share < _NEARLY_ALL or (chosen[1:] and all(map(_NUMBER.match, tried))):
        return None
    twins = [name for name in reads if name not in chosen and reads[name] >= reads[chosen[0]]]
    other = next((n for n in twins if sorted(n) == sorted(chosen[0]) and n not in _UNITS), "")
    if other and _order(texts, other, now) > _order(texts, chosen[0], now):
        chosen[0], other = other, chosen[0]
    return Form(_keys(chosen), share, *_says(chosen, tried), other)


def order(texts: Sequence[str], form: Form, now: datetime) -> float:
    """Share of neighbours that are not earlier than the one before."""
    how = _how(**form.keys)
    times = [at for text in texts if (at := read(text, how, now))]
    return sum(a <= b for a, b in pairwise(times)) / max(len(times) - 1, 1)


def read(text: str, how: Times, now: datetime) -> datetime | None:
    """The instant of a text, in UTC where it says no offset."""
    try:
        return single.time_of(text, how, "UTC", now)
    except (ValueError, ArithmeticError):
        return None


def _how(**keys: Any) -> Times:
    return Times.model_validate(keys)


def _order(texts: Sequence[str], name: str, now: datetime) -> float:
    return order(texts[:_TRIED], Form({"pattern": name}, 1, zoned=False, timed=False), now)


def _candidates(texts: Sequence[str]) -> Iterator[tuple[str, Times]]:
    """Forms worth trying, the usual ones first."""
    yield "iso", _how()
    if numbers := [text for text in texts if _NUMBER.match(text)]:
        for unit in _UNITS:
            yield unit, _how(unit=unit)
        if len(numbers) < len(texts) or all("." in text for text in numbers):
            yield "excel", _how(**_EXCEL)
        if len(numbers) == len(texts) and all(len(text) == len(_NO_YEAR) for text in texts):
            yield _NO_YEAR, _how(pattern=_NO_YEAR, year="arrival")
    for pattern, expressions in _patterns().items():
        if any(re.match(regex, text, re.ASCII) for text in texts for regex in expressions):
            yield pattern, _how(pattern=pattern)


@cache
def _patterns() -> dict[str, tuple[str, ...]]:
    every = [day + clock for clock in _CLOCKS for day in _DAYS] + list(_OTHERS)
    return {text: tuple(p.regex for p in patterns.compiled(text)) for text in every}


def _likely(text: str, name: str, how: Times, now: datetime) -> bool:
    if name == "excel":
        return bool(_NUMBER.match(text)) and int(float(text)) in _EXCEL_DAYS
    at = read(text, how, now)
    first = _FIRST if name in _UNITS else _OLDEST
    return at is not None and first <= at <= now + timedelta(days=1)


def _keys(chosen: Sequence[str]) -> dict[str, Any]:
    forms: list[Any] = [_EXCEL if name == "excel" else name for name in chosen]
    if chosen == ["iso"]:
        return {}
    if forms[1:]:
        return {"pattern": forms}
    if chosen[0] in _UNITS:
        return {"unit": chosen[0]}
    if chosen[0] == "excel":
        return _EXCEL
    return {"pattern": chosen[0]} | ({"year": "arrival"} if chosen[0] == _NO_YEAR else {})


def _says(chosen: Sequence[str], texts: Sequence[str]) -> tuple[bool, bool]:
    zoned, timed = True, True
    for name in chosen:
        if name == "iso":
            clocks = [text[10:] for text in texts if re.match(r"\d{4}-\d\d-\d\d", text)]
            zoned &= all(re.search(r"Z|UTC|[+-]\d\d", clock) for clock in clocks)
            timed &= any(clocks)
        elif name not in _UNITS:
            found = patterns.compiled(name) if name != "excel" else ()
            zoned &= bool(found) and all(p.zoned for p in found)
            timed &= name == "excel" or any(p.timed for p in found)
    return zoned, timed
