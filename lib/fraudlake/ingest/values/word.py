"""Words: those that stand for yes, for no, for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake.words import both
from fraudlake.writing import Flags

if TYPE_CHECKING:
    from pyspark.sql import Column


def known(text: Column, nulls: Sequence[str] | None) -> Column:
    """The text, null where it is a word for nothing."""
    from pyspark.sql import functions as F

    return F.when(~text.isin(both(nulls)), text) if nulls else text


def stated(text: Column, unknown: Sequence[str] | None) -> Column:
    """The text, null where it says that a verdict is not there yet, in whatever letters."""
    from pyspark.sql import functions as F

    words = both(word.lower() for word in unknown or ())
    return F.when(~F.lower(text).isin(words), text) if words else text


def expression(text: Column, how: Flags, unknown: Sequence[str] = ()) -> Column:
    """True, false, or null where the text says neither."""
    from pyspark.sql import functions as F

    true, false = how.flags(unknown)
    word = F.lower(text)
    return F.when(word.isin(both(true)), True).when(word.isin(both(false)), False)


def wanted(how: Flags, unknown: Sequence[str] = ()) -> str:
    """What is expected of a text."""
    if how.true is None and how.false is None:
        return "boolean (0, 1, true or false)"
    true, false = (", ".join(words) for words in how.flags(unknown))
    return f"boolean (true: {true}; false: {false})"
