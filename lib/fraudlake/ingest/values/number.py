"""Numbers: their signs and separators, minor units of money, rounding; nothing else is changed."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from fraudlake.writing import Numbers

if TYPE_CHECKING:
    from pyspark.sql import Column

PLAIN = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
# How the double of Java writes a whole number from 10^7 on; below 2^53 it has all of its digits.
_OF_DOUBLE = r"^-?\d\.\d+E\d{1,2}$"
_EXACT = 2**53
_WIDE = "decimal(38,18)"
# Money that went through a binary float (285.79999999999995): a few units in its last place, which
# below 10^12 are less than a third decimal.
FLOAT_NOISE = 1e-15
FLOAT_EXACT = 1e12
_MONEY = "decimal(18,2)"
_LARGEST = {
    "int": "2147483647",
    "bigint": "9223372036854775807",
    "double": "1.7976931348623157E308",
    _MONEY: "9999999999999999.99",
}
KINDS = frozenset(_LARGEST)
DIGITS_LOST = "with all of its digits, which this form of it has lost: export the field as text"
_SPACES = " \t\u00a0\u202f"
_LONGEST = 64  # longer texts are no numbers, and expressions with several stars are slow on them


def wanted(how: Numbers, kind: str) -> str:
    """What is expected of a text."""
    words = kind
    if how.decorated:
        words += f" such as 1{how.thousands or ''}234{how.decimal}56"
        words += f", beside it {' or '.join(how.strip)}" if how.strip else ""
        signs = {"brackets": "(12.50)", "trailing": "12.50-"}
        words += f", or {' or '.join(signs[n] for n in how.negative)}" if how.negative else ""
    if how.scale is not None:
        words += ", a number of minor units"
    if isinstance(how.scale, str):
        words += f" of the currency in {how.scale}, a code of ISO 4217"
    return words


@cache
def decorated(how: Numbers) -> str:
    """Groups: bracket, sign, digits in groups, fraction, sign behind, bracket."""
    beside = "|".join([f"[{_SPACES}]", *(f"(?i:{re.escape(word)})" for word in how.strip or ())])
    beside = f"(?:{beside})*"
    opened, closed = (r"(\(?)", r"(\)?)") if "brackets" in (how.negative or ()) else ("()", "()")
    behind = "(-?)" if "trailing" in (how.negative or ()) else "()"
    whole = r"\d+"
    if how.thousands:
        between = {" ": f"[{_SPACES}]", "'": "['\u2019]"}.get(
            how.thousands, re.escape(how.thousands)
        )
        whole = rf"\d{{1,3}}(?:{between}\d{{2,3}})*{between}\d{{3}}|\d+"  # 1,23,456 in India
    fraction = rf"(?:{re.escape(how.decimal)}(\d*))?"
    number = f"({whole}){fraction}"
    return (
        f"^(?=.{{1,{_LONGEST}}}$){beside}{opened}{beside}([+-]?){beside}{number}"
        f"{beside}{behind}{beside}{closed}{beside}$"
    )


SEPARATORS = f"{_SPACES},.'\u2019"


def text_of(text: Column, how: Numbers, currency: Column | None) -> Column:
    """The number in a text as plain text (`-1234.50`), null where it is not written as declared."""
    from pyspark.sql import functions as F

    if how.decorated:
        regex = decorated(how)
        sign = F.regexp_replace(text, regex, F.lit("$1$2$5$6"))
        sign = F.when(sign.isin("", "+"), "").when(sign.isin("-", "()"), "-")
        digits = F.translate(F.regexp_replace(text, regex, F.lit("$3;$4")), ";" + SEPARATORS, ".")
        text = F.when(text.rlike(regex), F.concat(sign, digits))
    if how.scale is None:
        return text
    places = F.lit(str(how.scale))
    if currency is not None:
        known = [F.lit(item) for pair in how.places().items() for item in map(str, pair)]
        places = F.try_element_at(F.create_map(*known), F.upper(currency))
    written = F.when(text.rlike("[eE]"), text.try_cast(_WIDE).cast("string")).otherwise(text)
    return F.concat(written, F.lit("E-"), places)


def expression(number: Column, how: Numbers, kind: str) -> Column:
    """The value of a plain number's text as a type, null where it is none of it.

    It is never rounded to fit, unless the data set says so.
    """
    from pyspark.sql import functions as F

    if kind in ("int", "bigint"):
        wide = number.try_cast(_WIDE)
        whole = (wide == F.floor(wide)) & ~_lost(number)
        return F.coalesce(number.try_cast(kind), F.when(whole, wide.try_cast(kind)))
    if kind == "double":
        found = F.when(number.rlike(PLAIN), number.try_cast(kind))
        return F.when(F.abs(found) < float("inf"), found)
    if how.round:
        rounded = F.bround if how.round == "half_even" else F.round
        return F.when(number.rlike(PLAIN), rounded(number.try_cast(_WIDE), 2)).try_cast(kind)
    money, binary = number.try_cast(kind), number.try_cast("double")
    noise = F.abs(binary - money.cast("double")) <= FLOAT_NOISE * F.abs(binary)
    whole = F.when(F.abs(binary) < FLOAT_EXACT, noise).otherwise(money == number.try_cast(_WIDE))
    return F.when(whole, money)


def _lost(number: Column) -> Column:
    """Whether a whole number with an exponent may lack digits: 2.29116E+15, as Excel shows it."""
    from pyspark.sql import functions as F

    exact = number.rlike(_OF_DOUBLE) & (F.abs(number.try_cast("double")) < _EXACT)
    return number.rlike("[eE]") & ~exact


def fitting(number: Column, text: Column, how: Numbers, kind: str) -> Column:
    """What was expected of a text that is no value of the type, in words."""
    from pyspark.sql import functions as F

    size = F.when(number.rlike(PLAIN), number.try_cast("double"))
    too_large = F.abs(size) > float(_LARGEST[kind])
    words = F.when(text.rlike(_NOT_FINITE), F.lit(f"{kind}, a finite number")).when(
        too_large, F.lit(f"{kind}, at most {_LARGEST[kind]} in size")
    )
    if kind == _MONEY:
        words = words.when(size.isNotNull(), F.lit(f"{kind}, at most 2 decimals"))
    if kind in ("int", "bigint"):
        lost = size.isNotNull() & _lost(number)
        words = words.when(lost, F.lit(f"{kind} {DIGITS_LOST}"))
    return words.otherwise(F.lit(wanted(how, kind)))
