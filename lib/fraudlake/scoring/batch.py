"""Scores a range of the feature table into `scores` and `flagged`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    from fraudlake.datasets import Dataset

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
    """Make `scores` and `flagged` where they are missing; `entities`: column → SQL type.

    An entity that the data set has got since is added to a `flagged` that stands.
    """
    lake.create(SCORES)
    lake.add_columns(FLAGGED, entities)
    lake.create(FLAGGED, entities)


def as_flags(rows: DataFrame, flagged: StructType, entities: Collection[str]) -> DataFrame:
    """Rows as `flagged` has them: its own columns and the data set's entities.

    An older table has columns of a feature set too: they stay, null in new rows.

    Parameters
    ----------
    flagged
        Schema of the table.
    """
    from pyspark.sql import functions as F

    own = {*FLAGGED.columns, *entities}
    return rows.select(
        *(
            F.col(column.name)
            if column.name in own
            else F.lit(None).cast(column.dataType).alias(column.name)
            for column in flagged
        )
    )


def score_range(
    lake: Lake,
    dataset: Dataset,
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
    dataset
        Of the lake: `flagged` names its entities.
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
        entities = dataset.entity_types()
        create_tables(lake, entities)
        reached = scored.where(F.col("score") >= F.col("threshold"))
        details = transactions.select(*dict.fromkeys(["tx_id", "amount", *entities]))
        flags = details.join(F.broadcast(reached), "tx_id")
        flags = as_flags(flags, lake.read(FLAGGED).schema, entities)
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
