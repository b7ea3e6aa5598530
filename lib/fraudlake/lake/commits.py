"""Commits of a table: what was done, and the notes that ours carry in their metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake.session import configured

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

METADATA = "spark.databricks.delta.commitInfo.userMetadata"
_UPKEEP = frozenset(
    (
        *("OPTIMIZE", "VACUUM START", "VACUUM END", "CLUSTER BY"),
        *("SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD CONSTRAINT", "DROP CONSTRAINT"),
        *("ADD COLUMNS", "CREATE TABLE"),
    )
)


@dataclass(frozen=True)
class Commit:
    """One commit of a table.

    Attributes
    ----------
    operation
        What Delta calls it: `WRITE`, `OPTIMIZE`, …
    notes
        What the job that made it wrote into its metadata; empty for what others wrote.
    """

    version: int
    operation: str
    notes: dict[str, Any]

    @property
    def changes_rows(self) -> bool:
        """False for upkeep: it leaves every row as it was."""
        return self.operation not in _UPKEEP


def history(spark: SparkSession, reference: str, after: int = -1) -> list[Commit]:
    """Commits of a table, by its name in SQL, after a version; newest first."""
    rows = spark.sql(f"DESCRIBE HISTORY {reference}").where(f"version > {after}")
    rows = rows.select("version", "operation", "userMetadata")
    return [Commit(number, done, _parsed(notes)) for number, done, notes in rows.collect()]


@contextmanager
def noted(spark: SparkSession, notes: Mapping[str, Any]) -> Iterator[None]:
    """Add notes to the metadata of the commits made until the block ends."""
    content = _parsed(spark.conf.get(METADATA, None)) | dict(notes)
    with configured(spark, {METADATA: json.dumps(content, sort_keys=True)}):
        yield


def _parsed(metadata: str | None) -> dict[str, Any]:
    try:
        content = json.loads(metadata or "")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
