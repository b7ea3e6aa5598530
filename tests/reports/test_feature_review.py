"""The review says what a plain computation on the rows says."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fraudlake import job
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS, METRICS
from fraudlake.reports.feature_review import assess, count
from fraudlake.reports.plots import features_under_review

ROWS = 4000


@pytest.fixture(scope="module")
def frame():
    """Rows of three months: features that tell, repeat, shift, lack values, or say nothing."""
    random = np.random.default_rng(3)
    fraud = random.random(ROWS) < 0.2
    strong = random.normal(size=ROWS) + fraud
    month = np.arange(ROWS) * 3 // ROWS
    return pd.DataFrame(
        {
            "event_time": [datetime(2018, 4 + m, 15, tzinfo=UTC) for m in month],
            "is_fraud": fraud,
            "strong": strong,
            "twin": np.exp(strong),
            "reverse": -3 * random.normal(size=ROWS) - 2.0 * fraud,
            "shifted": random.normal(size=ROWS) + fraud / 2 + (month == 2) * 3,
            "gappy": np.where(random.random(ROWS) < 0.25, np.nan, random.normal(size=ROWS) + fraud),
            "noise": random.integers(0, 1000, ROWS),
            "constant": np.ones(ROWS),
            "verdict": random.normal(size=ROWS) + 5 * fraud,
        }
    )


@pytest.fixture(scope="module")
def summaries(spark, frame):
    names = list(frame.columns[2:])
    counts = count(spark.createDataFrame(frame).repartition(3), names)
    assert features_under_review(counts, assess(counts)).axes
    return {summary.name: summary for summary in assess(counts)}


@pytest.mark.parametrize("name", ["strong", "twin", "reverse", "shifted", "noise", "constant"])
def test_auc_and_coverage(summaries, frame, name):
    assert summaries[name].auc == pytest.approx(
        roc_auc_score(frame.is_fraud, frame[name]), abs=0.005
    )
    assert summaries[name].coverage == 1


def test_missing_values_are_a_bin_of_their_own(summaries, frame):
    assert summaries["gappy"].coverage == pytest.approx(frame.gappy.notna().mean())
    low = frame.gappy.fillna(-1e9)
    assert summaries["gappy"].auc == pytest.approx(roc_auc_score(frame.is_fraud, low), abs=0.005)


def test_strongest_first_and_likeness_is_spearmans(summaries, frame):
    strengths = [abs(summary.auc - 0.5) for summary in summaries.values()]
    assert strengths == sorted(strengths, reverse=True)
    for summary in summaries.values():
        if (
            summary.alike
            and "constant" not in (summary.name, summary.alike)
            and summary.name != "gappy"
        ):
            expected = abs(frame[summary.name].corr(frame[summary.alike], method="spearman"))
            assert summary.correlation == pytest.approx(expected, abs=0.02)


def test_drift_is_the_population_stability_index(summaries, frame):
    month = [instant.month for instant in frame.event_time]
    first, last = (frame.shifted[np.array(month) == m] for m in (4, 6))
    edges = np.quantile(frame.shifted, np.linspace(0, 1, 11))[1:-1]
    p, q = (np.bincount(np.searchsorted(edges, x), minlength=10) / len(x) for x in (last, first))
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    assert summaries["shifted"].month == "2018-06"
    assert summaries["shifted"].drift == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.05)
    assert summaries["strong"].drift < 0.1


def test_what_to_drop_and_why(summaries):
    dropped = {name: summary.drop for name, summary in summaries.items() if summary.drop}
    leaks = dropped.pop("verdict")
    assert "does it know the label, or what came later?" in leaks
    assert set(dropped) == {"twin", "shifted", "noise", "constant"} or set(dropped) == {
        "strong", "shifted", "noise", "constant"
    }  # fmt: skip
    assert "follows" in (dropped.get("twin") or dropped["strong"])
    assert "shifted by 2018-06" in dropped["shifted"]
    assert "tells nothing" in dropped["noise"]
    assert dropped["constant"] == "has one value"


def test_one_class_is_refused(spark, frame):
    rows = spark.createDataFrame(frame[~frame.is_fraud])
    with pytest.raises(ValueError, match="0 frauds"):
        assess(count(rows, ["strong"]))


def test_job_writes_table_picture_and_metrics(spark, lake, tmp_path):
    at = datetime(2018, 4, 1, tzinfo=UTC)
    frame = pd.DataFrame({"tx_id": range(60), "amount": np.arange(60.0)})
    frame["event_time"] = [at + timedelta(days=i) for i in range(60)]
    frame["definition"] = "d"
    (tmp_path / "amounts.yaml").write_text("features:\n  - column: amount\n")
    lake.create(FEATURES, {"amount": "double"})
    spark.createDataFrame(frame).select(*lake.read(FEATURES).columns).write.format("delta").mode(
        "append"
    ).save(lake.path(FEATURES))
    said = pd.DataFrame({"tx_id": range(60), "is_fraud": np.arange(60) >= 30})
    said["known_at"], said["source"] = at + timedelta(days=90), "bank"
    lake.create(LABELS)
    spark.createDataFrame(said).write.format("delta").mode("append").save(lake.path(LABELS))
    arguments = {
        "lake": lake.root, "features": tmp_path / "amounts.yaml", "output": tmp_path / "review"
    }  # fmt: skip
    result = job.call("review", spark, **arguments)
    assert (result["rows"], result["frauds"], result["features"]) == (60, 30, 1)
    assert (tmp_path / "review" / "features.png").stat().st_size > 1000
    with (tmp_path / "review" / "features.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert float(line["auc"]) == 1
    assert line["cost"] == "no shuffle, no search, no memory"
    version = lake.version(METRICS)
    assert job.call("review", spark, **arguments) == result
    assert Lake(spark, lake.root).version(METRICS) == version
