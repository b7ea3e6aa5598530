"""Patterns of times (`dd.MM.yyyy HH:mm`) as regular expressions that Java and Python read alike.

The letters are those of Java's DateTimeFormatter as Spark takes them. Spark itself is not asked to
parse: `serve`, which has none, reads the same text by the same expression.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_NAMES = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
MONTHS = {
    name[:length].lower(): f"{number:02}"
    for number, name in enumerate(
        [
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ],
        1,
    )
    for length in (3, len(name))
}
HOURS = {
    f"{written}{half}": f"{hour % 12 + 12 * (half == 'p'):02}"
    for hour in range(1, 13)
    for written in (f"{hour}", f"{hour:02}")
    for half in "ap"
}
# RFC 5322, section 4.3, and three that nobody else uses. Others are shared (IST, CST of China).
OFFSETS = {
    **dict.fromkeys(("z", "ut", "utc", "gmt", "wet"), "+00:00"),
    "est": "-05:00",
    "edt": "-04:00",
    "cst": "-06:00",
    "cdt": "-05:00",
    "mst": "-07:00",
    "mdt": "-06:00",
    "pst": "-08:00",
    "pdt": "-07:00",
    "cet": "+01:00",
    "cest": "+02:00",
}
_OFFSET = r"(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"
_LETTERS = {  # run of letters → what it reads, and the expression for it
    **{year * 4: ("year", r"(\d{4})") for year in "yu"},
    **{year * 2: ("short_year", r"(\d{2})") for year in "yu"},
    **dict.fromkeys("yu", ("year", r"(\d{4})")),
    "M": ("month", r"(\d{1,2})"),
    "MM": ("month", r"(\d{2})"),
    **{month * 3: ("month_name", r"([A-Za-z]{3})") for month in "ML"},
    **{month * 4: ("month_name", r"([A-Za-z]{3,9})") for month in "ML"},
    "d": ("day", r"(\d{1,2})"),
    "dd": ("day", r"(\d{2})"),
    "H": ("hour", r"(\d{1,2})"),
    "HH": ("hour", r"(\d{2})"),
    "h": ("half_hour", r"(\d{1,2})"),
    "hh": ("half_hour", r"(\d{2})"),
    "m": ("minute", r"(\d{1,2})"),
    "mm": ("minute", r"(\d{2})"),
    "s": ("second", r"(\d{1,2})"),
    "ss": ("second", r"(\d{2})"),
    **{"S" * length: ("fraction", rf"(\d{{1,{length}}})") for length in range(1, 10)},
    "a": ("half", r"([AaPp])\.?[Mm]\.?"),
    **{"E" * length: ("weekday", r"(?:[A-Za-z]{3,9})") for length in range(1, 5)},
    **{letter * n: ("offset", _OFFSET) for letter in "XxZ" for n in range(1, 6)},
    "z": ("zone", r"([A-Za-z]{1,4})"),
    "VV": ("region", r"(?:[A-Za-z][A-Za-z0-9_+/-]{1,40})"),
}
_SHOWN = "y M MM MMM MMMM d dd H HH h hh a m mm s ss S E X Z z VV"
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|(.)", re.DOTALL)


@dataclass(frozen=True)
class Pattern:
    """One way to write a time.

    Attributes
    ----------
    text
        The pattern as it was given.
    regex
        Matches such a text, from its first character to its last.
    groups
        What is read (year, month, half, offset, …) → number of its group.
    """

    text: str
    regex: str
    groups: dict[str, int]

    @property
    def dated(self) -> bool:
        """Whether the text says its year."""
        return bool({"year", "short_year"} & self.groups.keys())

    @property
    def timed(self) -> bool:
        """Whether the text says an hour."""
        return bool({"hour", "half_hour"} & self.groups.keys())

    @property
    def zoned(self) -> bool:
        """Whether the text itself says its offset."""
        return bool({"offset", "zone"} & self.groups.keys())


@cache
def compiled(text: str) -> tuple[Pattern, ...]:
    """The patterns that a text stands for: several where parts are optional, the longest first.

    Raises
    ------
    ValueError
        A letter is not known, or there is no date.

    Examples
    --------
    >>> [list(p.groups) for p in compiled("dd/MM/yyyy[ HH:mm]")]
    [['day', 'month', 'year', 'hour', 'minute'], ['day', 'month', 'year']]
    """
    return tuple(_compiled(text, plain) for plain in _expanded(text))


def _expanded(text: str) -> list[str]:
    """Without brackets: the text with and without each optional part."""
    unquoted = re.sub(r"'[^']*'", lambda quoted: "_" * len(quoted[0]), text)
    found = re.search(r"\[[^][]*\]", unquoted)
    if found is None:
        return [text]
    start, end = found.span()
    inner = text[start + 1 : end - 1]
    both = [text[:start] + part + text[end:] for part in (inner, "")]
    return list(dict.fromkeys(plain for part in both for plain in _expanded(part)))


def _compiled(text: str, plain: str) -> Pattern:
    regex: list[str] = []
    groups: dict[str, int] = {}
    for token in _TOKEN.finditer(plain):
        if token[2] is None:
            quoted = token[1].replace("''", "'") if token[1] else token[1]
            regex.append(re.escape(token[3] or quoted or "'"))
            continue
        if token[0] not in _LETTERS:
            raise ValueError(f"a pattern of {_SHOWN}, other letters in '…'; {token[0]} is none")
        name, expression = _LETTERS[token[0]]
        if name in groups:
            raise ValueError(f"a pattern with each part once; {token[0]} reads a second {name}")
        if "(" in expression.replace("(?:", ""):
            groups[name] = len(groups) + 1
        regex.append(expression)
    have = groups.keys()
    if not ({"month", "month_name"} & have and "day" in have):
        raise ValueError("a pattern with a month and a day")
    if ("half_hour" in have) != ("half" in have):
        raise ValueError("a pattern with hours to 12 (h) and their half of the day (a), or with H")
    if "VV" in re.sub("'[^']*'", "", plain) and "offset" not in have:
        raise ValueError("a pattern with an offset (X) beside the name of a zone (VV)")
    return Pattern(text, f"^{''.join(regex)}$", groups)
