"""What a field is by itself: the words of its name, its values as times, numbers, yes and no."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import pairwise
from typing import Any

from fraudlake.profile import numbers, times
from fraudlake.profile.counts import NULLS, PERHAPS_NULLS, Field
from fraudlake.reserved import COLUMNS, ENTITIES

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
# Words that stand at the beginning of a longer one: customerid, transactiondate.
_BEGIN = (
    "customer", "client", "account", "merchant", "terminal", "device", "transaction", "trans",
    "payment", "amount", "fraud", "card", "user", "name", "dest", "orig",
)  # fmt: skip
_ID = re.compile(r"^[0-9A-Fa-f]{16,64}$|^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$")
_CODE = re.compile(r"^[A-Za-z]{0,8}[-_.:/]?\d{1,18}[A-Za-z]?$|^[A-Za-z]{2,4}_\w+$")
TRUE = {"1", "1.0", "true", "yes", "y", "t", "fraud", "fraudulent", "chargeback", "bad", "positive"}
FALSE = {
    "0", "0.0", "-1", "-1.0", "false", "no", "n", "f", "genuine", "legit", "legitimate", "good",
    "normal", "nonfraud", "non-fraud", "not fraud", "negative", "ok",
}  # fmt: skip
_PLAIN = {"1", "1.0", "true", "0", "0.0", "false"}
_MOST_WORDS = 6


@dataclass(frozen=True)
class Seen:
    """A field with what its values can be."""

    field: Field
    now: datetime

    @property
    def name(self) -> str:
        """As the raw records have it."""
        return self.field.name

    @cached_property
    def words(self) -> set[str]:
        """Words of the name; of a path those of its last step."""
        own = self.name if " " in self.name else re.split(r"[.\[\]]+", self.name.rstrip("[]0"))[-1]
        found = {word.lower() for word in _WORDS.findall(own)}
        found |= {begin for word in found for begin in _BEGIN if word.startswith(begin)}
        return found | {"id" for word in found if word.endswith("id") and len(word) > 3}

    @property
    def depth(self) -> int:
        """How many steps the path has beyond the first."""
        return self.name.count(".") + self.name.count("[")

    @cached_property
    def time(self) -> times.Form | None:
        """How it is written as a time."""
        texts = [t for t in self.field.texts if len(t) >= 5 and any(map(str.isdigit, t))]
        return (
            times.found(texts, self.now) if texts and len(texts) == len(self.field.texts) else None
        )

    @cached_property
    def number(self) -> numbers.Form | None:
        """How it is written as a number."""
        return numbers.found(self.field.texts)

    @cached_property
    def values(self) -> list[float]:
        """The sample as numbers."""
        form = self.number
        read = (form.value(text) for text in self.field.texts) if form else ()
        return [value for value in read if value is not None]

    @property
    def whole(self) -> bool:
        """Whether all values are whole numbers, as numbers are written."""
        return 0 < self.field.present == self.field.whole and not self.field.zero_led

    @property
    def plain(self) -> bool:
        """Whether all values are numbers."""
        return 0 < self.field.present == self.field.number and not self.field.zero_led

    @property
    def long(self) -> bool:
        """Whether its numbers have more digits than a double keeps: ids, no quantities."""
        ends = self.field.lowest or 0.0, self.field.highest or 0.0
        return max(map(abs, ends)) >= 2**53

    @property
    def cut(self) -> bool:
        """Whether a spreadsheet has cut its long numbers: 4.1E+15."""
        return any(re.match(r"^\d\.\d+E\+1\d$", text) for text in self.field.texts)

    @property
    def order(self) -> float:
        """Share of neighbours that do not fall."""
        return sum(a <= b for a, b in pairwise(self.values)) / max(len(self.values) - 1, 1)

    @property
    def sequential(self) -> bool:
        """Whether each is one step further than the last: an index, letters before it or not."""
        ends = [re.search(r"\d{1,18}$", text) for text in self.field.texts if self.codes]
        values = self.values or [int(end[0]) for end in ends if end]
        steps = [b - a for a, b in pairwise(values)]
        return len(steps) > 1 and sum(s == 1 for s in steps) >= 0.8 * len(steps)

    @property
    def codes(self) -> bool:
        """Whether the values are ids or codes, not words: c17, DEV0042, hex, whole numbers."""
        texts = self.field.texts[:1000]
        return bool(texts) and sum(bool(_CODE.match(t) or _ID.match(t)) for t in texts) > 0.9 * len(
            texts
        )

    @property
    def lettered(self) -> bool:
        """Whether the values have letters."""
        return all(any(map(str.isalpha, text)) for text in self.field.texts[:1000])

    @property
    def hexadecimal(self) -> bool:
        """Whether the values are UUIDs or hashes."""
        texts = self.field.texts[:1000]
        return bool(texts) and all(map(_ID.match, texts)) and not self.plain

    @property
    def card_numbers(self) -> bool:
        """Whether most values are card numbers: more than pass as such by chance."""
        return self.field.cards >= 0.5 * self.field.present > 0

    @property
    def few(self) -> tuple[str, ...]:
        """All values, where they are few words; words that look like null apart."""
        known = tuple(text for text, _ in self.field.top)
        return known if len(known) <= _MOST_WORDS and self.field.distinct <= _MOST_WORDS else ()

    @property
    def flag(self) -> bool:
        """Whether the values are yes and no."""
        return bool(self.few) and all(word.lower() in TRUE | FALSE for word in self.few)

    def flag_keys(self) -> dict[str, list[str]]:
        """Words for yes and no, where they are not the usual ones."""
        found = {}
        for key, words in (("true", TRUE), ("false", FALSE)):
            said = [word for word in self.few if word.lower() in words]
            if not {word.lower() for word in said} <= _PLAIN:
                found[key] = said
        return found

    def nulls(self, everywhere: Collection[str]) -> list[str] | None:
        """Its own words for null, None where those of the data set do; only where values differ."""
        own = [word for word in self.field.words if word.lower() in PERHAPS_NULLS]
        return [*everywhere, *own] if own and (self.plain or self.time or self.number) else None

    def said(self) -> str:
        """What the values are, in a few words."""
        time, number = self.time, self.number
        by_chance = time and time.number and self.order < 0.9 and "time" not in self.words
        share = self.field.number / max(self.field.present, 1)
        kinds = (
            ("card numbers", self.card_numbers),
            (f"times{_listed(time.keys if time else {}, 'ISO 8601')}", time and not by_chance),
            ("yes and no", self.flag),
            ("whole numbers", self.whole),
            (f"numbers{_listed(number.keys if number else {})}", self.plain or number),
            ("UUIDs or hashes", self.hexadecimal),
            ("codes", self.codes and not share),
            ("text", not share),
            (f"text, {share:.0%} numbers", True),
        )
        return next(words for words, true in kinds if true)

    def typed(self) -> dict[str, Any]:
        """Type of a column and how it is written."""
        if self.whole and not self.card_numbers:
            return {"type": "bigint"} | self._token()
        if self.plain and not (self.card_numbers or self.long or self.cut):
            return {"type": "double"} | self._token()
        if self.flag and len(self.few) == 2:
            return {"type": "boolean"} | self.flag_keys()
        if self.time and self.time.share == 1 and not self.time.number and not self.field.zero_led:
            return {"type": "timestamp"} | self.time.keys
        if self.number and self.number.keys and not self.field.zero_led:
            return {"type": "double"} | self.number.keys
        return self.as_id()

    def as_id(self) -> dict[str, Any]:
        """Type of a column that is told apart, not counted with."""
        if self.card_numbers:
            return {"type": "string", "hash": True}
        return {"type": "bigint" if self.whole else "string"} | self._token()

    def _token(self) -> dict[str, bool]:
        return {"token": True} if self.field.cards else {}


def _listed(keys: Mapping[str, Any], usual: str = "") -> str:
    words = ", ".join(f"{key} {value}" for key, value in keys.items()) or usual
    return f" ({words})" if words else ""


def everywhere(fields: Iterable[Field]) -> list[str]:
    """Words for null that stand somewhere and are no value anywhere."""
    return sorted({word for field in fields for word in field.words if word.lower() in NULLS})


def joined(parts: Sequence[Seen]) -> list[str]:
    """The texts of several fields, joined by a space, of records that have all of them."""
    rows = zip(*(part.field.sample for part in parts), strict=True)
    return [" ".join(map(str, row)) for row in rows if None not in row]


def column_name(path: str, taken: Collection[str]) -> str:
    """A name for the column of a field that nothing else has.

    Examples
    --------
    >>> column_name("data.items[0].Unit price", []), column_name("2", ["field_2"])
    ('unit_price', 'field_2_2')
    """
    steps = [step for step in re.split(r"[.\[\]]+", path) if step and not step.isdigit()]
    last = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", (steps or [path])[-1])
    last = re.sub(r"\W+", "_", last, flags=re.ASCII).strip("_").lower()
    name = last if last[:1].isalpha() else f"field_{last}".rstrip("_")
    used = {one.lower() for one in taken} | {"tx_id", "event_time", "amount"}
    if COLUMNS.problems([name]) or ENTITIES.problems([name]):
        name += "_field"
    number, free = 2, name
    while free in used:
        free, number = f"{name}_{number}", number + 1
    return free
