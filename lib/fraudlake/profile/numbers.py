"""How numbers are written: signs of currencies, decimal commas, groups, brackets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from fraudlake.ingest.values import single
from fraudlake.writing import Numbers, currency_digits

_SIGNS: tuple[dict[str, Any], ...] = (
    {},
    {"thousands": ","},
    {"decimal": ","},
    {"decimal": ",", "thousands": "."},
    {"decimal": ",", "thousands": " "},
    {"thousands": " "},
    {"thousands": "'"},
)
_BESIDE = re.compile(
    r"^[-+(\s]*([^\d\s.,()+-]*)[-+\s]*[\d.,' \u00a0\u202f]+\s*([^\d\s.,()+-]*)[-)\s]*$"
)
_ONLY_GROUPS = re.compile(r"^\D*\d{1,3}([.,])\d{3}\D*$")
_COINS = ("kr", "rs", "zł", "kč", "ft", "fr", "r$", "us$")
_MOST_WORDS = 5
_NEARLY_ALL = 0.99


class Form(NamedTuple):
    """How numbers are written: what a column says of it, and what is to be asked."""

    keys: dict[str, Any]
    question: str = ""

    def value(self, text: str) -> float | None:
        """The number in a text, None where there is none."""
        number = single.number_of(text, Numbers.model_validate(self.keys), None)
        return None if number is None else float(number)


def found(texts: Sequence[str]) -> Form | None:
    """The form that reads texts as numbers, None where they are none.

    Examples
    --------
    >>> found(["1.234,50 EUR", "12,00 EUR"]).keys
    {'strip': ['EUR'], 'decimal': ',', 'thousands': '.'}
    """
    tried = list(dict.fromkeys(texts))[:2000]
    if not tried:
        return None
    beside = [match for text in tried if (match := _BESIDE.match(text))]
    if len(beside) < _NEARLY_ALL * len(tried):
        return _exponents(tried)
    words = Counter(word for match in beside for word in match.groups() if word)
    if len(words) > _MOST_WORDS or not all(map(_of_money, words)):
        return None
    keys: dict[str, Any] = {"strip": sorted(words)} if words else {}
    negative = [("brackets", r"\(.*\)"), ("trailing", r".*\d\D*-")]
    if signs := [name for name, way in negative if any(re.fullmatch(way, t) for t in tried)]:
        keys["negative"] = signs
    for more in _SIGNS:
        form = Form(keys | more)
        if _reads(form, tried):
            return form._replace(question=_question(form, tried))
    return None


def _reads(form: Form, texts: Sequence[str]) -> bool:
    return sum(form.value(text) is not None for text in texts) >= _NEARLY_ALL * len(texts)


def _of_money(word: str) -> bool:
    letters = any(map(str.isalpha, word))
    return not letters or word.upper() in currency_digits() or word.lower() in _COINS


def _exponents(texts: Sequence[str]) -> Form | None:
    plain = Form({})
    return plain if _reads(plain, texts) else None


def _question(form: Form, texts: Sequence[str]) -> str:
    marked = [match for text in texts if (match := _ONLY_GROUPS.match(text))]
    if not marked or form.keys.get("thousands") not in (",", "."):
        return ""
    other = [t for t in texts if not _ONLY_GROUPS.match(t) and re.search(r"[.,]\d", t)]
    return "" if other else f"is {marked[0][1]} between thousands, or before a fraction?"
