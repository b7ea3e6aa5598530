"""What goes into `flagged`: what the model in service decided, each transaction once.

The model in service is the version that the alias `champion` names. Every other version, whether a
trial, a challenger or a back-test, leaves its scores in `scores` and flags nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.instants import time_range
from fraudlake.lake.tables import FLAGGED, SCORES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from fraudlake.lake import Lake

_DAY = timedelta(days=1)


def create_tables(lake: Lake, details: Mapping[str, str]) -> None:
    """Make `scores` and `flagged` where they are missing; `details`: `Dataset.flag_types`.

    One that the data set has got since is added to a `flagged` that stands.
    """
    lake.create(SCORES)
    lake.add_columns(FLAGGED, details)
    lake.create(FLAGGED, details)


def not_in_service(model_version: int, champion: int | None) -> str:
    """Why a version flags nothing, for the user."""
    return (
        f"model version {model_version} is not in service (champion: {champion or 'none'}): its "
        "scores are in `scores`, and it flags nothing"
    )


def as_flags(rows: DataFrame, flagged: StructType, details: Collection[str]) -> DataFrame:
    """Rows as `flagged` has them: its own columns and those of the data set.

    An older table has columns of a feature set too: they stay, null in new rows.

    Parameters
    ----------
    flagged
        Schema of the table.
    """
    from pyspark.sql import functions as F

    own = {*FLAGGED.columns, *details}
    return rows.select(
        *(
            F.col(column.name)
            if column.name in own
            else F.lit(None).cast(column.dataType).alias(column.name)
            for column in flagged
        )
    )


def undecided(
    lake: Lake,
    rows: DataFrame,
    start: datetime | None,
    end: datetime | None,
    model: str,
    model_version: int,
) -> DataFrame:
    """Rows about transactions that no model but this version of this one has decided.

    A day (UTC) on which another one flagged had that one in service: whatever it scored of that
    day it decided, flagged or not, and the day's alert budget is spent on it.

    Parameters
    ----------
    rows
        With `tx_id`; few, with event times in [start, end).
    """
    from pyspark.sql import functions as F

    other = (F.col("model") != model) | (F.col("model_version") != model_version)
    day, named = F.to_date("event_time").alias("day"), ("model", "model_version")
    days = time_range(start and start - _DAY, end and end + _DAY)
    flags = lake.read(FLAGGED).where(days).where(other)
    if flags.isEmpty():
        return rows
    served = flags.select(day, *named).distinct()
    scores = lake.read(SCORES).where(time_range(start, end)).where(other)
    scores = scores.select("tx_id", day, *named)
    about = scores.join(F.broadcast(rows.select("tx_id")), "tx_id", "left_semi")
    decided = about.join(F.broadcast(served), ["day", *named], "left_semi")
    return rows.join(F.broadcast(decided.select("tx_id")), "tx_id", "left_anti")
