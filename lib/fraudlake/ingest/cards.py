"""Finds payment card numbers and hides all but their first six and last four digits.

A card number is 13 to 19 digits with a valid check digit (Luhn, ISO/IEC 7812-1): in text, single
spaces or hyphens allowed between any two of them, starting and ending where a group of digits does;
or a number, whatever its sign and its fraction. One in ten numbers of that length has a valid check
digit by chance: a data set says of its own long ids that they are tokens (`datasets.Column`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

_LONG_ENOUGH = r"\d(?:[ -]?\d){12}"
_LONGER_THAN_A_CARD = r"\d(?:[ -]?\d){19}"
_LENGTHS = range(19, 12, -1)
_SMALLEST, _LARGEST = 10**12, 10**19  # numbers of 13 to 19 digits
# A digit beyond the first six of a large number as some writers put it: 4.111111111111111E15.
_WITH_EXPONENT = r"(?<=(?<!\d)\d\.\d{5,17})\d(?=\d*[eE]\+?1[2-8](?!\d))"
# Types of columns whose values may be one: others are too small, or no number.
WHAT_MAY_BE_ONE = ("string", "bigint", "double", "decimal(18,2)")
EXPECTED = "no card number (`token: true` on the column, if these are numbers of your own)"
# Its 32 digits are no card's, though those of some groups together may pass as one's.
_UUID = r"^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
_ESCAPED_DIGIT = r"\\u003(\d)"
# More runs of digits than anybody writes into one text: replacing each card number among them would
# take a time that grows with the square of its length.
_MOST = 100


def mask(text: Column) -> Column:
    """The text with every card number in it cut to its first six and last four digits.

    A digit that is written as a JSON escape becomes a digit. A number that is written with an
    exponent of 12 to 18 is cut to its first six digits. A text with more than 100 runs of 13
    digits loses all of its digits. Where digits go on beside a number, in a row of 20 and more,
    nothing of any is shown: what is shown of two and what lies between could be read as a third.

    Parameters
    ----------
    text
        String column.

    Returns
    -------
    Column
        String: `4111 1111 1111 1111` becomes `411111******1111`, other text stays as it is.
    """
    from pyspark.sql import functions as F

    plain = F.regexp_replace(text, _ESCAPED_DIGIT, "$1")
    plain = F.regexp_replace(plain, _WITH_EXPONENT, "*")
    shown = F.when(plain.rlike(_LONGER_THAN_A_CARD), 0).otherwise(1)

    def hidden(number: Column) -> Column:
        digits = _digits(number)
        stars = F.repeat(F.lit("*"), F.length(digits) - 10 * shown)
        return F.concat(F.left(digits, 6 * shown), stars, F.right(digits, 4 * shown))

    runs = F.regexp_count(plain, F.lit(_LONG_ENOUGH))
    masked = F.aggregate(
        _numbers(plain, r"\d"), plain, lambda rest, number: F.replace(rest, number, hidden(number))
    )
    without_digits = F.regexp_replace(plain, r"\d", "*")
    return F.when(runs == 0, plain).when(runs > _MOST, without_digits).otherwise(masked)


def holds_card_number(text: Column) -> Column:
    """True where the text is, or holds as a word of its own, a card number; null where it is null.

    Digits inside a longer word do not count, nor those of a UUID: hexadecimal keys are full of
    them.
    """
    from pyspark.sql import functions as F

    held = F.size(_numbers(text, "[0-9A-Za-z]")) > 0
    return text.rlike(_LONG_ENOUGH) & ~text.rlike(_UUID) & held


def is_card_number(value: Column) -> Column:
    """True where a number is a card number, its sign and fraction left out; null where it is null.

    Parameters
    ----------
    value
        Of type bigint, double or decimal.
    """
    from pyspark.sql import functions as F

    size = F.abs(value.cast("double"))  # cheap, and nearly no number is so large
    digits = F.floor(F.abs(value.cast("decimal(38,2)"))).cast("decimal(20,0)").cast("string")
    return (
        (size >= float(_SMALLEST))
        & (size < float(_LARGEST))
        & F.call_function("luhn_check", digits)
    )


def found_in(value: object) -> bool:
    """`holds_card_number` of one text, or `is_card_number` of one number, without Spark.

    Examples
    --------
    >>> found_in("paid by 4111 1111 1111 1111"), found_in(-4111111111111111.5), found_in("f411")
    (True, True, False)
    >>> found_in("41111111-1111-1111-b44f-3164fffdcaf1")
    False
    """
    if isinstance(value, str):
        if re.match(_UUID, value):
            return False
        candidates = (
            re.sub("[ -]", "", match[1])
            for length in _LENGTHS
            for match in re.finditer(
                rf"(?<![0-9A-Za-z])(?=(\d(?:[ -]?\d){{{length - 1}}}(?![0-9A-Za-z])))",
                value,
                re.ASCII,
            )
        )
        return any(map(_has_check_digit, candidates))
    if not isinstance(value, int | float | Decimal):
        return False
    size: float | Decimal = -value if value < 0 else value
    return _SMALLEST <= size < _LARGEST and _has_check_digit(str(int(size)))


def hidden(text: str) -> str:
    """A text without Spark's help: every run of digits as long as a card number is hidden.

    Examples
    --------
    >>> hidden("got 4111 1111 1111 1111, expected less than 9999999999999999999999")
    'got 411111******1111, expected less than **********************'
    """

    def stars(match: re.Match) -> str:
        digits = re.sub("[ -]", "", match[0])
        shown = len(digits) <= max(_LENGTHS)
        return digits[:6] + "*" * (len(digits) - 10) + digits[-4:] if shown else "*" * len(digits)

    return re.sub(_LONG_ENOUGH + r"(?:[ -]?\d)*", stars, text, flags=re.ASCII)


def _has_check_digit(digits: str) -> bool:
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _numbers(text: Column, edge: str) -> Column:
    """Card numbers in a text, longest first; the characters beside one are not of the class `edge`.

    The search is zero-width (a lookahead), so that numbers which overlap are all seen:
    `4111111111111111 123` is no card number as a whole, but holds one.
    """
    from pyspark.sql import functions as F

    candidates = [
        F.regexp_extract_all(
            text, F.lit(rf"(?<!{edge})(?=(\d(?:[ -]?\d){{{length - 1}}}(?!{edge})))"), F.lit(1)
        )
        for length in _LENGTHS
    ]
    return F.filter(
        F.concat(*candidates), lambda number: F.call_function("luhn_check", _digits(number))
    )


def _digits(number: Column) -> Column:
    from pyspark.sql import functions as F

    return F.translate(number, " -", "")
