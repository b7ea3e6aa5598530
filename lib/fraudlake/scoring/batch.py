"""Scores a range of the feature table into `scores` and `flagged`."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FEATURES, FLAGGED, SCORES, TRANSACTIONS
from fraudlake.models.scorer import check_definition
from fraudlake.scoring.flags import as_flags, create_tables, not_in_service, undecided

if TYPE_CHECKING:
    import pyarrow as pa

    from fraudlake.datasets import Dataset

log = logging.getLogger("fraudlake")

MODEL = "fraudlake"  # in a registry beside the lake


def provenance(
    model: str, model_version: int, definition: str, threshold: float
) -> dict[str, pa.Scalar]:
    """What `scores` and `flagged` say alike of every row: model, version, times."""
    import pyarrow as pa

    now = pa.scalar(datetime.now(UTC), pa.timestamp("us", "UTC"))
    return {
        "model": pa.scalar(model),
        "model_version": pa.scalar(model_version, pa.int32()),
        "definition": pa.scalar(definition),
        "threshold": pa.scalar(threshold),
        "scored_at": now,
        "flagged_at": now,
    }


def score_range(
    lake: Lake,
    dataset: Dataset,
    files: dict[str, bytes],
    model_version: int,
    alerts: float,
    start: datetime | None,
    end: datetime | None,
    champion: int | None,
    model: str = MODEL,
) -> dict[str, Any]:
    """Score the features of [start, end) and flag what reaches the alert budget's threshold.

    Re-run rule: a transaction that has a score of this model version, or a flag, keeps it. One that
    another version has decided (`flags.undecided`) gets no flag.

    Parameters
    ----------
    dataset
        Of the lake: `flagged` names its entities, and ids that are text.
    files
        The model's bundle.
    alerts
        Alert budget, alerts a day; the threshold is the one that met it on the days the model kept
        aside.
    champion
        The version in service: no other flags.
    model
        Name of the registered model.

    Returns
    -------
    dict
        `rows` read, `scores` added, `flagged` (rows at or above the threshold), `flags` added,
        `threshold`, and `remarks`: sentences for the user, such as why nothing was flagged.

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
    threshold, flags = scorer.threshold(alerts), 0
    remarks = [said] if (said := scorer.shortfall(alerts)) else []

    in_service, details = model_version == champion, dataset.flag_types()
    columns = provenance(model, model_version, scorer.definition, threshold)
    reasons_from = threshold if in_service else None
    scored = score_rows(features, files, reasons_from, ["tx_id", "event_time"], columns)
    create_tables(lake, details)
    with cached(scored) as scored:
        reached = scored.where(F.col("score") >= F.col("threshold"))
        rows, flagged = scored.agg(
            F.count("*"), F.count_if(F.col("score") >= F.col("threshold"))
        ).collect()[0]
        scores = lake.insert_missing(SCORES, scored, within)
        if not in_service:
            remarks.append(not_in_service(model_version, champion))
        elif flagged:
            new = undecided(lake, reached, start, end, model, model_version)
            if new is not reached and (before := flagged - new.count()):
                remarks.append(
                    f"{before} of {flagged} were decided by the version in service at their time: "
                    "no flag"
                )
            transactions = lake.read(TRANSACTIONS).where(within)
            rows_flagged = transactions.select(*dict.fromkeys(["tx_id", "amount", *details]))
            rows_flagged = rows_flagged.join(F.broadcast(new), "tx_id")
            schema = lake.read(FLAGGED).schema
            flags = lake.insert_missing(FLAGGED, as_flags(rows_flagged, schema, details), within)
    for remark in remarks:
        log.warning("score: %s", remark)
    return {
        "rows": rows,
        "scores": scores,
        "flagged": flagged,
        "flags": flags,
        "threshold": threshold,
        "remarks": remarks,
    }
