"""Fields as Spark would count them, of a few values in Python."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime

from fraudlake.ingest import cards
from fraudlake.ingest.values.number import PLAIN
from fraudlake.profile.counts import NULLS, PERHAPS_NULLS, Field

NOW = datetime(2024, 6, 1, tzinfo=UTC)


def field(name, values):
    """A field with these texts, None where it is missing."""
    texts = [value if value is None else str(value).strip() for value in values]
    no_value = [t for t in texts if t and t.lower() in (*NULLS, *PERHAPS_NULLS)]
    kept = [t if t and t not in no_value else None for t in texts]
    there = [t for t in kept if t is not None]
    plain = [t for t in there if re.match(PLAIN, t)]
    return Field(
        name,
        records=len(texts),
        missing=texts.count(None),
        empty=texts.count(""),
        words=tuple(sorted(set(no_value))),
        null_words=len(no_value),
        whole=sum(bool(re.match(r"^[+-]?\d+$", t)) and abs(int(t)) < 2**63 for t in there),
        number=len(plain),
        fine=sum(bool(re.search(r"\.\d{2}\d*[1-9]\d*$", t)) for t in plain),
        negative=sum(float(t) < 0 for t in plain),
        zero_led=sum(bool(re.match(r"^[+-]?0\d+$", t)) for t in there),
        cards=sum(cards.found_in(float(t) if "." in t and t in plain else t) for t in there),
        distinct=len(set(there)),
        longest=max(map(len, there), default=0),
        least=min(there, default=""),
        most=max(there, default=""),
        lowest=min(map(float, plain), default=None),
        highest=max(map(float, plain), default=None),
        top=tuple(Counter(there).most_common(10)),
        sample=tuple(kept),
    )


def table(**columns):
    """Fields of columns, and what counts doubles in them."""
    fields = [field(name, values) for name, values in columns.items()]
    return fields, doubles_of(fields)


def doubles_of(fields):
    known = {one.name: one.sample for one in fields}

    def doubles(names):
        rows = list(zip(*(known[name] for name in names), strict=True))
        return len(rows) - len(set(rows))

    return doubles
