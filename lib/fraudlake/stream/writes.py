"""Appends of a micro-batch to tables that others may write too: no row stands there twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fraudlake.lake import Lake
from fraudlake.lake.tables import QUARANTINE, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def append(
    lake: Lake,
    table: Table,
    frames: Mapping[str, DataFrame],
    batch_id: int,
    look: Callable[[DataFrame], DataFrame],
    untouched: int | None = None,
) -> None:
    """Append what does not stand in a table yet, one commit after the other.

    Where others commit between a look and the commit, Delta refuses it and the next look follows.

    Parameters
    ----------
    frames
        Rows by the names of their applications (`Lake.append_once`).
    look
        Leaves out of rows what stands in the table.
    untouched
        Version of the table in which none of them can stand, so that nobody has to look.
    """
    for commits, (application, rows) in enumerate(frames.items()):
        missing, after = rows, None if untouched is None else untouched + commits
        while after is None or not lake.append_once(table, missing, application, batch_id, after):
            # The version first: a commit between it and the look costs one look more, and no row.
            after = lake.version(table)
            missing = look(rows)


def not_standing(lake: Lake, table: Table, rows: DataFrame, within: str) -> DataFrame:
    """Rows whose key is not in the part of a table that meets an SQL condition."""
    from pyspark.sql import functions as F

    keys = list(table.key)
    standing = lake.read(table).where(within).select(*keys)
    return rows.join(F.broadcast(standing), keys, "left_anti")


def not_quarantined(lake: Lake, application: str, rows: DataFrame) -> DataFrame:
    """Bad records that no other stream has put into `quarantine`.

    A look reads all of it. Where this application is the only one that appends, there is none.
    """
    if lake.applications(QUARANTINE) <= {application}:
        return rows
    standing = lake.read(QUARANTINE).select(*QUARANTINE.key)
    return rows.join(standing, list(QUARANTINE.key), "left_anti")
