"""Finds payment card numbers in text and hides all but their first six and last four digits.

A card number is 13 to 19 digits, single spaces or hyphens allowed between any two of them, with a
valid check digit (Luhn, ISO/IEC 7812-1). It starts and ends where a group of digits does. One in
ten numbers of that length has a valid check digit by chance, so only text is searched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column

_LONG_ENOUGH = r"\d(?:[ -]?\d){12}"
_LONGER_THAN_A_CARD = r"\d(?:[ -]?\d){19}"
_LENGTHS = range(19, 12, -1)
_ESCAPED_DIGIT = r"\\u003(\d)"
# More runs of digits than anybody writes into one text: replacing each card number among them would
# take a time that grows with the square of its length.
_MOST = 100


def mask(text: Column) -> Column:
    """The text with every card number in it cut to its first six and last four digits.

    A digit that is written as a JSON escape becomes a digit. A text with more than 100 runs of 13
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

    Digits inside a longer word do not count: hexadecimal keys are full of them.
    """
    from pyspark.sql import functions as F

    return text.rlike(_LONG_ENOUGH) & (F.size(_numbers(text, "[0-9A-Za-z]")) > 0)


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
