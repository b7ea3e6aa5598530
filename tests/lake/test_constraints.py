"""Rules of the tables: none lets NaN pass, older tables get them, and a broken one is told."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from fraudlake.errors import DataError
from fraudlake.lake.tables import FLAGGED, LABELS, TABLES

WHEN = datetime(2018, 8, 1, tzinfo=UTC)
SOUND = {"amount": Decimal(1), "score": 0.7, "threshold": 0.5}
TEXTS = {"reasons": [], "model": "m", "model_version": 1}


def rows(spark, table, **values):
    filled = {"tx_id": 1, **dict.fromkeys(("event_time", "flagged_at", "known_at"), WHEN)}
    filled |= SOUND | TEXTS | values
    schema = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
    return spark.createDataFrame([tuple(filled.get(name) for name in table.columns)], schema)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (table, column)
        for table in TABLES.values()
        for column, kind in table.columns.items()
        if kind == "double" and any(column in rule for rule in table.constraints.values())
    ],
    ids=lambda value: getattr(value, "name", value),
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_rule_lets_through_what_is_no_number(spark, table, column, value):
    """Spark takes NaN for larger than every number, and equal to itself."""
    whole = " AND ".join(f"({rule})" for rule in table.constraints.values())
    assert not rows(spark, table).where(whole).isEmpty()
    if (column, value) != ("threshold", -math.inf):
        assert rows(spark, table, **{column: value}).where(whole).isEmpty()


def test_a_broken_rule_is_told_in_words(spark, lake):
    lake.create(FLAGGED)
    lake.create(LABELS)
    nan = rows(spark, FLAGGED, score=math.nan)
    said = (
        r"^flagged: got a row with score NaN, expected score >= 0 AND score <= 1; nothing was "
        r"written: see where that comes from, the input or the model$"
    )
    with pytest.raises(DataError, match=said):
        lake.append_once(FLAGGED, nan, "app", 0)
    with pytest.raises(DataError, match=said):
        lake.insert_missing(FLAGGED, nan)
    below = rows(spark, FLAGGED, score=0.2)
    with pytest.raises(DataError, match=r"a row with score 0.2, threshold 0.5, expected score >="):
        lake.append_once(FLAGGED, below, "app", 0)
    with pytest.raises(DataError, match="labels: got a row without is_fraud, expected one"):
        lake.append_once(LABELS, rows(spark, LABELS, source="test"), "app", 0)
    assert lake.read(FLAGGED).isEmpty()


def test_an_older_table_gets_the_rule(spark, lake):
    lake.create(FLAGGED)
    drop = f"ALTER TABLE {lake.reference(FLAGGED)} DROP CONSTRAINT score_is_probability"
    spark.sql(drop)
    lake.create(FLAGGED)
    with pytest.raises(DataError, match="got a row with score NaN"):
        lake.append_once(FLAGGED, rows(spark, FLAGGED, score=math.nan), "app", 0)
    spark.sql(drop)
    lake.append_once(FLAGGED, rows(spark, FLAGGED, score=math.nan), "app", 0)
    with pytest.raises(DataError, match=r"^flagged: got 1 rows of an earlier release"):
        lake.create(FLAGGED)
