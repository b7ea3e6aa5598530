"""How raw records write a value: the keys of a data set's YAML that say it, per column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from fraudlake import currencies, patterns, words
from fraudlake.errors import ConfigError

# Microseconds; a month has none of its own.
UNITS = {
    "ns": Decimal("0.001"),
    "us": Decimal(1),
    "ms": Decimal(1000),
    "s": Decimal(10**6),
    "min": Decimal(60 * 10**6),
    "h": Decimal(3600 * 10**6),
    "d": Decimal(86400 * 10**6),
}
MONTH = "month"
_UNIT = re.compile(rf"([1-9]\d{{0,5}})?({'|'.join((*UNITS, MONTH))})")
_NUMBERS = ("bigint", "int", "double", "decimal(18,2)")
_MONEY = ("decimal(18,2)",)
# Key → the types of column that it is for.
_KINDS = {
    **dict.fromkeys(("pattern", "unit", "origin", "year", "timezone", "gap"), ("timestamp",)),
    **dict.fromkeys(("decimal", "thousands", "strip", "negative"), _NUMBERS),
    **dict.fromkeys(("scale", "digits", "round", "signed"), _MONEY),
    **dict.fromkeys(("true", "false"), ("boolean",)),
}
_TRUE, _FALSE = ("1", "true"), ("0", "false")


def zone(value: str) -> str:
    """The name of a time zone, as its owner writes it.

    Raises
    ------
    ValueError
        There is none of that name.
    """
    if value not in available_timezones():
        raise ValueError("the name of a time zone such as UTC or Europe/Paris")
    return ZoneInfo(value).key


def _source(value: Any) -> str | tuple[str, ...]:
    names = words.listed(value)
    if not names or not all(isinstance(name, str) for name in names):
        raise ValueError("the name of a field, or a list of names")
    return names[0] if len(names) == 1 else tuple(names)


Zone = Annotated[str, AfterValidator(zone)]
Words = Annotated[tuple[str, ...] | None, BeforeValidator(words.several)]
Fields = Annotated[str | tuple[str, ...], BeforeValidator(_source)]


class Epoch(BaseModel):
    """A time as a number: how many of a unit since an origin."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: str
    origin: str = "1970-01-01"

    @property
    def size(self) -> tuple[int, str]:
        """How many of which unit one is.

        >>> Epoch(unit="14d").size
        (14, 'd')
        """
        number, unit = cast(re.Match, _UNIT.fullmatch(self.unit)).groups()
        return int(number or 1), unit

    @property
    def calendar(self) -> bool:
        """Whether days of a zone's calendar are counted, not lengths of time."""
        return self.size[1] in ("d", MONTH)

    @property
    def at(self) -> datetime:
        """The origin; without an offset where it names none, but for 1970 that all count from."""
        found = datetime.fromisoformat(self.origin)
        everybodys = self == Epoch(unit=self.unit) and not self.calendar
        return found.replace(tzinfo=UTC) if everybodys else found

    def __str__(self) -> str:
        unit = f"{self.unit}s" if self.unit.endswith(MONTH) else self.unit
        return f"a number of {unit} since {self.origin}"


def _unit(value: Any) -> str | None:
    if value is not None and not _UNIT.fullmatch(str(value)):
        raise ValueError(f"one of {', '.join(UNITS)}, {MONTH}, or so many of one such as 14d")
    return value


def _origin(value: Any) -> str | None:
    if value is None:
        return None
    text = value.isoformat() if isinstance(value, date) else str(value)
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("a day (2013-09-01) or an instant (2013-09-01T00:00:00Z)") from None
    return text


def _forms(value: Any) -> tuple[str | Epoch, ...] | None:
    if value is None:
        return None
    found: list[str | Epoch] = []
    for item in words.listed(value):
        if isinstance(item, Epoch):
            found.append(item)
        elif isinstance(item, dict):
            if not {"unit"} <= item.keys() <= {"unit", "origin"}:
                raise ValueError("a number's form as {unit: d, origin: 1899-12-30}")
            given = {"unit": _unit(item["unit"]), "origin": _origin(item.get("origin"))}
            found.append(Epoch(**{key: text for key, text in given.items() if text is not None}))
        elif item in (*UNITS, MONTH):
            found.append(Epoch(unit=item))
        elif isinstance(item, str):
            if item != "iso":
                patterns.compiled(item)
            found.append(item)
        else:
            raise ValueError("a pattern, iso, a unit such as ms, or a list of these")
    if not found:
        raise ValueError("at least one pattern")
    return tuple(found)


class Times(BaseModel):
    """How a time is written; ISO 8601 where nothing is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pattern: Annotated[tuple[str | Epoch, ...] | None, BeforeValidator(_forms)] = Field(
        None,
        description="how the time is written, in the letters of Java's DateTimeFormatter; a list "
        "is tried in order, and may hold `iso`, a unit, and {unit: d, origin: 1899-12-30}",
    )
    unit: Annotated[str | None, BeforeValidator(_unit)] = Field(
        None,
        description="the time is a number of these: ns, us, ms, s, min, h, d, month; or of "
        "so many, 14d",
    )
    origin: Annotated[str | None, BeforeValidator(_origin)] = Field(
        None, description="day or instant that `unit` counts from; 1970 where it is left out"
    )
    year: Literal["arrival"] | None = Field(
        None, description="arrival: the pattern has no year; it is the one of the arrival"
    )
    timezone: Zone | None = Field(None, description="of this column; else the data set's")
    gap: Literal["refuse", "shift"] = Field(
        "refuse",
        description="a time that the zone's clocks passed over: refused, or read by the clock "
        "before the change",
    )

    def forms(self) -> tuple[str | Epoch, ...]:
        """The forms that are tried in order; none is ISO 8601 alone."""
        if self.unit:
            given = {"unit": self.unit} | ({"origin": self.origin} if self.origin else {})
            return (Epoch(**given),)
        return self.pattern or ()

    def time_problems(self) -> list[str]:
        """What is wrong with the keys together."""
        problems = []
        if self.unit and self.pattern:
            problems.append("got unit and pattern, expected one of them; a pattern may list a unit")
        if self.origin and not self.unit:
            problems.append("got origin without unit, expected the unit that is counted")
        texts = [form for form in self.pattern or () if isinstance(form, str) and form != "iso"]
        found = [p for text in texts for p in patterns.compiled(text)]
        without = [p.text for p in found if not p.dated]
        if without and not self.year:
            problems.append(f"got pattern {without[0]} without a year, expected year: arrival too")
        if self.year and not without:
            problems.append("got year: arrival, expected a pattern without a year")
        return problems


def _scale(value: Any) -> int | str | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 8
    if value is not None and not whole and not (isinstance(value, str) and value.isidentifier()):
        raise ValueError("a number of digits (0 to 8), or the column that holds the currency")
    return value


def _digits(value: Any) -> tuple[tuple[str, int], ...] | None:
    if value is None:
        return None
    found = {str(code).upper(): n for code, n in dict(value).items()}
    if not all(type(n) is int and 0 <= n <= 8 for n in found.values()):
        raise ValueError("codes of currencies with 0 to 8 digits, {ISK: 2}")
    return tuple(sorted(found.items()))


def _stripped(value: Any) -> tuple[str, ...] | None:
    found = words.several(value)
    for word in found or ():
        if not word or any(sign.isdigit() or sign in "+-()" for sign in word):
            raise ValueError("signs and words such as $ or EUR, without digits and +-()")
    return found


def _negative(value: Any) -> tuple[str, ...] | None:
    if value is not None and not set(words.listed(value)) <= {"brackets", "trailing"}:
        raise ValueError("brackets (12.50), trailing 12.50-, or both")
    return None if value is None else tuple(words.listed(value))


class Numbers(BaseModel):
    """How a number is written, money above all; a plain decimal number where nothing is said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decimal: Literal[".", ","] = Field(".", description="the sign before the fraction")
    thousands: Literal[",", ".", " ", "'"] | None = Field(
        None, description="the sign between groups of digits; a space is any kind of space"
    )
    strip: Annotated[tuple[str, ...] | None, BeforeValidator(_stripped)] = Field(
        None, description="signs and words that may stand beside the number: $, EUR"
    )
    negative: Annotated[tuple[str, ...] | None, BeforeValidator(_negative)] = Field(
        None, description="also negative: `brackets`, (12.50), and `trailing`, 12.50-"
    )
    scale: Annotated[int | str | None, BeforeValidator(_scale)] = Field(
        None,
        description="the number counts minor units: so many digits are behind the point; or the "
        "column with the currency, whose digits ISO 4217 says",
    )
    digits: Annotated[tuple[tuple[str, int], ...] | None, BeforeValidator(_digits)] = Field(
        None,
        description="of currencies in which the feed has other minor units than ISO 4217, or that "
        "are not in it: {ISK: 2, BTC: 8}",
    )
    round: Literal["half_even", "half_up"] | None = Field(
        None, description="more than two decimals are rounded; else they are refused"
    )
    signed: bool = Field(False, description="on amount: may be negative, as a refund is")

    def number_problems(self) -> list[str]:
        """What is wrong with the keys together."""
        if self.digits and not isinstance(self.scale, str):
            return ["got digits, expected them beside `scale`, the column that holds the currency"]
        if self.thousands == self.decimal:
            return [f"got {self.decimal!r} as thousands and as decimal, expected two signs"]
        return []

    def places(self) -> dict[str, int]:
        """Code of a currency, however it is written → digits behind the point."""
        own = {way: n for code, n in self.digits or () for way in currencies.written(code)}
        return currency_digits() | own

    @property
    def decorated(self) -> bool:
        """Whether the text of a number is more than the number."""
        return bool(self.decimal != "." or self.thousands or self.strip or self.negative)


class Nulls(BaseModel):
    """Words that stand for nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    nulls: Words = Field(
        None, description="words that stand for a missing value, as they are written"
    )


class Flags(Nulls):
    """How yes and no are written: 1 and 0, true and false where nothing is said."""

    true: Words = Field(None, description="words for yes, in place of 1 and true")
    false: Words = Field(None, description="words for no, in place of 0 and false")

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {words.one(key) if isinstance(key, bool) else key: v for key, v in value.items()}

    def flags(self, unknown: Sequence[str] = ()) -> tuple[list[str], list[str]]:
        """Words in lower case that are true, and those that are false."""
        taken = {word.lower() for words in (self.true, self.false, unknown) for word in words or ()}
        usual = ([word for word in words if word not in taken] for words in (_TRUE, _FALSE))
        true, false = (
            given if words is None else [word.lower() for word in words]
            for words, given in zip((self.true, self.false), usual, strict=True)
        )
        return true, false

    def flag_problems(self, unknown: Sequence[str] = ()) -> list[str]:
        """What is wrong with the words together."""
        sides = (*self.flags(unknown), [word.lower() for word in unknown])
        words = [word for side in sides for word in dict.fromkeys(side)]
        return [
            f"got {word} twice, expected a word once in true, false and unknown"
            for word in dict.fromkeys(words)
            if words.count(word) > 1
        ]


class Writing(Times, Numbers, Flags):
    """All of it, for a column."""

    @property
    def written(self) -> bool:
        """Whether a raw record writes it other than as a value of its type."""
        words = self.true is not None or self.false is not None
        return bool(self.forms() or self.decorated or words or self.scale is not None)

    def problems(self, kind: str) -> list[str]:
        """What is wrong with the keys on a column of a type."""
        misplaced = [
            f"got {key} on a {kind}, expected it on {' or '.join(kinds)} alone"
            for key, kinds in _KINDS.items()
            if kind not in kinds and getattr(self, key) != type(self).model_fields[key].default
        ]
        return misplaced or self.time_problems() + self.number_problems() + self.flag_problems()


def raised(problems: list[str]) -> None:
    """Raise a ConfigError of what is wrong, if anything is."""
    if problems:
        raise ConfigError(problems)


@cache
def currency_digits() -> dict[str, int]:
    """`currencies.digits`, its numbers also without leading zeros: a field may hold a number."""
    found = currencies.digits()
    return found | {code.lstrip("0"): n for code, n in found.items() if code.isdigit()}
