"""Compares what is in `scores` and `flagged` with a batch recomputation, bit for bit."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FLAGGED, SCORES
from fraudlake.scoring.apply import score_rows
from fraudlake.scoring.batch import MODEL
from fraudlake.scoring.flags import undecided

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def compare(
    lake: Lake,
    features: DataFrame,
    files: dict[str, bytes],
    model_version: int,
    threshold: float,
    start: datetime | None,
    end: datetime | None,
    champion: int | None,
    model: str = MODEL,
) -> dict[str, int]:
    """Score features afresh and hold the result against the tables.

    Parameters
    ----------
    features
        Of [start, end): the feature table's, or those of `as_of.features_as_of_scoring`.
    champion
        The version in service. Of another one that flagged nothing in the range no flags are
        expected.
    model
        Name of the registered model.

    Returns
    -------
    dict
        `rows` (transactions with features in the range), `equal` (score of the same 64 bits),
        `different`, `missing` (no score in the table), `unknown` (a score without features),
        `flags` (transactions at or above the threshold that no other version has decided, see
        `flags.undecided`), `flags_equal` (flagged with the same score), `flags_missing`,
        `flags_unknown` (flagged by this version, though below).
    """
    from pyspark.sql import functions as F

    within = time_range(start, end)
    fresh = score_rows(features, files, None, ["tx_id"]).withColumnRenamed("score", "expected")

    def found(table_rows: DataFrame) -> DataFrame:
        own = (F.col("model") == model) & (F.col("model_version") == model_version)
        rows = table_rows.where(within).where(own)
        return rows.select("tx_id", "score")

    def counts(expected: DataFrame, rows: DataFrame, prefix: str) -> dict[str, int]:
        both = expected.join(rows, "tx_id", "full")
        is_equal = F.col("expected") == F.col("score")
        return (
            both.agg(
                F.count("expected").alias(f"{prefix}rows"),
                F.count_if(is_equal).alias(f"{prefix}equal"),
                F.count_if(~is_equal).alias(f"{prefix}different"),
                F.count_if(F.col("score").isNull()).alias(f"{prefix}missing"),
                F.count_if(F.col("expected").isNull()).alias(f"{prefix}unknown"),
            )
            .collect()[0]
            .asDict()
        )

    with cached(fresh) as fresh:
        scores = counts(fresh, found(lake.read(SCORES)), "")
        flagged = found(lake.read(FLAGGED))
        reached = fresh.where(F.col("expected") >= threshold)
        if model_version != champion and flagged.isEmpty():
            reached = reached.where("false")
        missing = reached.join(flagged, "tx_id", "left_anti")
        missing = undecided(lake, missing, start, end, model, model_version)
        reached = reached.join(flagged, "tx_id", "left_semi").unionByName(missing)
        flags = counts(reached, flagged, "flags_")
    return scores | {"flags": flags.pop("flags_rows")} | flags
