"""Rows that break a rule of their table: what Delta says of them, in words for the user."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from fraudlake.errors import DataError
from fraudlake.lake.tables import Table

_BROKEN = re.compile(r"CHECK constraint (\w+) .* violated by row with values:((?:\s+- .+)+)")
_NULL = re.compile(r"NOT NULL constraint violated for column: (\w+)")
_EXISTING = re.compile(r"(\d+) rows in .* violate the new CHECK constraint")


@contextmanager
def told(name: str, table: Table) -> Iterator[None]:
    """Say what is wrong with a row of the table, and by which rule.

    Parameters
    ----------
    name
        What the lake calls the table.

    Raises
    ------
    DataError
        In the place of Delta's error about a rule; other errors pass.
    """
    try:
        yield
    except Exception as error:
        if (problem := _problem(str(error), table)) is None:
            raise
        raise DataError(f"{name}: {problem}") from None


def _problem(text: str, table: Table) -> str | None:
    nothing = "nothing was written: see where that comes from, the input or the model"
    if broken := _BROKEN.search(text):
        rule = table.constraints.get(broken[1], broken[1])
        values = [line.strip("- ").replace(" : ", " ") for line in broken[2].strip().split("\n")]
        return f"got a row with {', '.join(values)}, expected {rule}; {nothing}"
    if without := _NULL.search(text):
        return f"got a row without {without[1]}, expected one in every row; {nothing}"
    if existing := _EXISTING.search(text):
        rule = " AND ".join(f"({rule})" for rule in table.constraints.values())
        return (
            f"got {existing[1]} rows of an earlier release, expected {rule} in every row: look for "
            f"those WHERE NOT ({rule}), mend or delete them, and run the job again"
        )
    return None
