"""What a data set says of a value, applied: its text, its type, what was expected of it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fraudlake.columns import Column as Field
from fraudlake.columns import KnownAt, Label, several
from fraudlake.feeds import LARGEST_ID, Feed
from fraudlake.ingest.values import number, time, word

if TYPE_CHECKING:
    from pyspark.sql import Column

Written = Field | Label | KnownAt


def text(how: Written, fields: Column, dataset: Feed) -> Column:
    """The text of a value; of several fields the texts of all, null where one has none."""
    from pyspark.sql import functions as F

    nulls = dataset.nulls if how.nulls is None else how.nulls
    parts = [
        word.known(F.nullif(F.btrim(fields[field], F.lit(" \t")), F.lit("")), nulls)
        for field in several(how.source)
    ]
    spaced = [piece for part in parts for piece in (F.lit(" "), part)][1:]
    whole = F.concat(*spaced) if parts[1:] else parts[0]
    return word.stated(whole, how.unknown) if isinstance(how, Label) else whole


def typed(texts: Column, name: str, how: Written, dataset: Feed, now: datetime) -> Column:
    """The value as a type, null where it is none.

    Parameters
    ----------
    texts
        Struct of the texts of a record, by the names of columns.
    now
        The time of arrival.
    """
    if isinstance(how, Label):
        return word.expression(texts[name], how, how.unknown or ())
    if isinstance(how, KnownAt) or how.type == "timestamp":
        zone, earliest = dataset.timezone, dataset.earliest
        return time.expression(texts[name], how, zone, now, earliest=earliest)
    if how.type == "boolean":
        return word.expression(texts[name], how)
    if how.type in number.KINDS:
        return number.expression(_number(texts, name, how), how, how.type)
    return numbered(texts[name]) if name == "tx_id" else texts[name]


def numbered(text: Column) -> Column:
    """The number of an id that is text; `serve` makes the same of it in Python."""
    from pyspark.sql import functions as F

    return F.when(text.isNotNull(), F.xxhash64(text).bitwiseAND(F.lit(LARGEST_ID)))


def expected(texts: Column, name: str, how: Written, dataset: Feed, now: datetime) -> Column:
    """What was expected of a text that is no value of the type, in words."""
    from pyspark.sql import functions as F

    words = F.lit(wanted(how))
    if isinstance(how, Label):
        return words
    if isinstance(how, KnownAt) or how.type == "timestamp":
        zone = how.timezone or dataset.timezone
        if how.gap == "shift" or time.fixed(zone):
            return words
        shifted = time.expression(texts[name], how, zone, now, gap="shift")
        return F.when(shifted.isNotNull(), F.lit(time.skipped(zone))).otherwise(words)
    if how.type in number.KINDS:
        return number.fitting(_number(texts, name, how), texts[name], how, how.type)
    return words


def wanted(how: Written) -> str:
    """What is expected of a value, whatever it is."""
    if isinstance(how, Label):
        return word.wanted(how, how.unknown or ())
    if isinstance(how, KnownAt) or how.type == "timestamp":
        return time.wanted(how)
    if how.type == "boolean":
        return word.wanted(how)
    return number.wanted(how, how.type)


def _number(texts: Column, name: str, how: Field) -> Column:
    currency = texts[how.scale] if isinstance(how.scale, str) else None
    return number.text_of(texts[name], how, currency)
