"""Scores a range of the feature table into `scores` and `flagged`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FEATURES, FLAGGED, SCORES, TRANSACTIONS
from fraudlake.models.scorer import check_definition

if TYPE_CHECKING:
    import pyarrow as pa

MODEL = "fraudlake"


def provenance(model_version: int, definition: str, threshold: float) -> dict[str, pa.Scalar]:
    """What `scores` and `flagged` say alike of every row: model, version, times."""
    import pyarrow as pa

    now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
    return {
        "model": pa.scalar(MODEL),
        "model_version": pa.scalar(model_version, pa.int32()),
        "definition": pa.scalar(definition),
        "threshold": pa.scalar(threshold),
        "scored_at": now,
        "flagged_at": now,
    }


def create_tables(lake: Lake, entities: Mapping[str, str]) -> None:
    """Make `scores` and `flagged` where they are missing; `entities`: column → SQL type."""
    lake.create(SCORES)
    lake.create(FLAGGED, entities)


def score_range(
    lake: Lake,
    files: dict[str, bytes],
    model_version: int,
    alerts: float,
    start: datetime | None,
    end: datetime | None,
) -> dict[str, Any]:
    """Score the features of [start, end) and flag what reaches the alert budget's threshold.

    Re-run rule: a transaction that has a score of this model version, or a flag, keeps it.

    Parameters
    ----------
    files
        The model's bundle.
    alerts
        Alert budget, alerts a day; the threshold is the one that met it on the days the model kept
        aside.

    Returns
    -------
    dict
        `rows` read, `scores` added, `flagged` (rows at or above the threshold), `flags` added,
        `threshold`.

    Raises
    ------
    DataError
        No features in the range, or another definition than the model's.
    """
    from pyspark.sql import functions as F

    from fraudlake.models import bundle
    from fraudlake.scoring.apply import score_rows

    within = time_range(start, end)
    features = lake.read(FEATURES).where(within)
    definitions = [row[0] for row in features.select("definition").distinct().collect()]
    if not definitions:
        raise DataError(f"features: got no rows with {within}, expected some; run the features job")
    scorer = bundle.load(files)
    for found in definitions:
        check_definition(model_version, scorer.definition, found)
    threshold = scorer.threshold(alerts)

    columns = provenance(model_version, scorer.definition, threshold)
    scored = score_rows(features, files, threshold, ["tx_id", "event_time"], columns)
    with cached(scored) as scored:
        transactions = lake.read(TRANSACTIONS).where(within)
        base = {*TRANSACTIONS.columns, *FEATURES.columns}
        entities = {n: t for n, t in transactions.dtypes if n in features.columns and n not in base}
        create_tables(lake, entities)
        reached = scored.where(F.col("score") >= F.col("threshold"))
        details = transactions.select("tx_id", "amount", *entities)
        flags = details.join(F.broadcast(reached), "tx_id")
        rows, flagged = scored.agg(
            F.count("*"), F.count_if(F.col("score") >= F.col("threshold"))
        ).collect()[0]
        return {
            "rows": rows,
            "scores": lake.insert_missing(SCORES, scored, within),
            "flagged": flagged,
            "flags": lake.insert_missing(FLAGGED, flags, within),
            "threshold": threshold,
        }
