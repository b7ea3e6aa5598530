"""Measures on Spark against scikit-learn and against loops written for clarity alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from fraudlake.training import alerts, measures

SCORED = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


def naive_ece(scores, labels, bins):
    """Rows one by one, each in the bin of the middle row of those that have its score."""
    places = pd.Series(-np.asarray(scores)).rank(method="average") - 0.5  # rows from the top
    number = np.minimum(places * bins // len(scores), bins - 1)
    frame = pd.DataFrame({"bin": number, "apart": np.asarray(labels) - np.asarray(scores)})
    return frame.groupby("bin").apart.sum().abs().sum() / len(scores)


def recall_at(scores, labels, rate):
    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    return true[false <= rate + 1e-12].max()


def money_at(scores, labels, amounts):
    """Thresholds one by one."""
    shares = [0.0]
    for threshold in set(scores):
        flag = scores >= threshold
        if (flag & (labels == 0)).sum() <= 5 * (flag & (labels == 1)).sum():
            shares.append((amounts * labels)[flag].sum() / (amounts * labels).sum())
    return max(shares)


@given(SCORED, st.sets(st.integers(0, 12)))
def test_partial_sums_add_up_to_scikit_learns_figures_wherever_the_ranges_are_cut(rows, cuts):
    frame = pd.DataFrame(rows, columns=["score", "label"]).astype({"label": int})
    frame["score"] /= 12
    frame["cents"] = frame.label * (np.arange(len(frame)) % 7)
    groups = frame.groupby("score").agg(
        n=("label", "count"), frauds=("label", "sum"), cents=("cents", "sum")
    )
    groups = groups.sort_index(ascending=False).reset_index()
    groups["part"] = [sum(cut / 12 > score for cut in cuts) for score in groups.score]
    totals = groups.groupby("part")[["n", "frauds", "cents"]].sum()
    before = (totals.cumsum() - totals).apply(tuple, axis=1).to_dict()
    total = tuple(totals.sum().tolist())
    parts = []
    for _, part in groups.groupby("part"):
        batch = pa.RecordBatch.from_pandas(part, preserve_index=False)
        halves = [batch.slice(0, len(part) // 2), batch.slice(len(part) // 2)]
        (found,) = measures._partial_sums(iter(halves), before, total)
        parts += found.to_pylist()
    whole = [pa.RecordBatch.from_pandas(groups.assign(part=0), preserve_index=False)]
    (uncut,) = measures._partial_sums(iter(whole), {0: (0, 0, 0)}, total)
    found = measures._summed(
        [{**part, "bins": [tuple(one.values()) for one in part["bins"]]} for part in parts], total
    )
    again = uncut.to_pylist()[0]
    again = measures._summed(
        [{**again, "bins": [tuple(one.values()) for one in again["bins"]]}], total
    )
    found.pop("curve"), again.pop("curve")
    assert found == again, "to the bit"
    score, label = frame.score.to_numpy(), frame.label.to_numpy()
    expected = {
        "auc": roc_auc_score(label, score),
        "average_precision": average_precision_score(label, score),
        "recall_at_fpr_0.01": recall_at(score, label, 0.01),
        "recall_at_fpr_0.001": recall_at(score, label, 0.001),
        "expected_calibration_error": naive_ece(score, label, 15),
    }
    if frame.cents.sum():
        expected["fraud_money_at_1_to_5"] = money_at(score, label, np.arange(len(frame)) % 7)
    found.pop("expected_calibration_error_by_chance")
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("negatives", "recall"), [(100, 1.0), (99, 0.5)])
def test_a_false_positive_rate_of_exactly_so_much_is_allowed(negatives, recall):
    """Scores falling: a fraud, a false alarm, a fraud, and the rest."""
    table = {"part": [0] * 4, "score": [0.9, 0.8, 0.7, 0.1], "n": [1, 1, 1, negatives - 1]}
    batch = pa.RecordBatch.from_pydict(table | {"frauds": [1, 0, 1, 0], "cents": [0] * 4})
    total = (negatives + 2, 2, 0)
    (found,) = measures._partial_sums(iter([batch]), {0: (0, 0, 0)}, total)
    assert found["caught"][0].as_py()[0] / 2 == recall


def draw(rows, seed, levels):
    """Scores with many ties, labels that go with them."""
    rng = np.random.default_rng(seed)
    score = np.round(rng.beta(0.5, 3, rows) * levels) / levels
    day = pd.Timestamp(datetime(2020, 1, 1, tzinfo=UTC)) + pd.to_timedelta(
        rng.integers(0, 6 * 86400, rows), unit="s"
    )
    return pd.DataFrame(
        {
            "tx_id": np.arange(rows),
            "event_time": day,
            "card": rng.integers(0, rows // 10, rows),
            "label": (rng.random(rows) < score / 2).astype(np.int32),
            "score": score,
        }
    )


@pytest.mark.parametrize("levels", [3, 200, 10**9], ids=["few scores", "ties", "hardly a tie"])
def test_ranking_is_scikit_learns(spark, levels):
    frame = draw(5000, 1, levels)
    frame["_amount"] = [Decimal(f"{cents}.25") for cents in np.arange(5000) % 90 - 2]
    frame["_amount"] = frame._amount.where(frame.index % 50 > 0, None)
    found = measures.ranking(spark.createDataFrame(frame).repartition(5))
    for rate in (0.01, 0.001):
        expected = recall_at(frame.score, frame.label, rate)
        assert found[f"recall_at_fpr_{rate}"] == pytest.approx(expected, abs=1e-12)
    worth = frame._amount.astype(float).fillna(0).clip(lower=0)
    assert found["fraud_money_at_1_to_5"] == pytest.approx(
        money_at(frame.score.to_numpy(), frame.label.to_numpy(), worth.to_numpy()), abs=1e-12
    )
    expected = naive_ece(frame.score, frame.label, 15)
    assert found["expected_calibration_error"] == pytest.approx(expected, abs=1e-12)
    assert found["auc"] == pytest.approx(roc_auc_score(frame.label, frame.score), abs=1e-12)
    expected = average_precision_score(frame.label, frame.score)
    assert found["average_precision"] == pytest.approx(expected, abs=1e-12)
    precision, recall, _ = precision_recall_curve(frame.label, frame.score)
    points = set(zip(np.round(recall, 9), np.round(precision, 9), strict=True))
    curve = found["curve"]
    drawn = list(zip(np.round(curve["recall"], 9), np.round(curve["precision"], 9), strict=True))
    assert set(drawn) <= points
    assert len(drawn) < 250
    assert list(curve["recall"]) == sorted(curve["recall"])


def errors(scored, *line):
    columns = measures.probability_errors(*line)
    return scored.agg(*(c.alias(n) for n, c in columns.items())).collect()[0].asDict()


def test_without_ties_the_calibration_error_is_of_scikit_learns_bins(spark):
    frame = draw(4500, 4, 10**9).drop_duplicates("score").head(3000)
    found = measures.ranking(spark.createDataFrame(frame))
    true, said = calibration_curve(frame.label, frame.score, n_bins=15, strategy="quantile")
    expected = np.abs(true - said).mean()  # bins of 200 rows each
    assert found["expected_calibration_error"] == pytest.approx(expected, abs=1e-12)
    assert "fraud_money_at_1_to_5" not in found


def test_chance_makes_of_true_scores_what_is_said_of_it(spark):
    frame = draw(20_000, 5, 500)
    score, rng = frame.score.to_numpy(), np.random.default_rng(6)
    drawn = [naive_ece(score, rng.random(len(score)) < score, 15) for _ in range(40)]
    frame["label"] = (rng.random(len(score)) < score).astype(np.int32)
    found = measures.ranking(spark.createDataFrame(frame))
    chance = found["expected_calibration_error_by_chance"]
    assert chance == pytest.approx(np.mean(drawn), rel=0.15)
    frame["label"] = (rng.random(len(score)) < score / 2).astype(np.int32)
    found = measures.ranking(spark.createDataFrame(frame))
    assert found["expected_calibration_error"] > 10 * chance


def test_a_score_that_is_none_counts_as_the_lowest_and_is_told(spark, monkeypatch):
    monkeypatch.setattr("fraudlake.scoring.apply.score_rows", lambda rows, *_: rows)
    rows = spark.createDataFrame([(float("nan"),), (0.4,)], "score double")
    found = measures.scored(rows, {}, []).collect()
    assert [(row.score, row._no_score) for row in found] == [(0.0, True), (0.4, False)]


def test_errors_and_bins_add_up(spark):
    frame = draw(3000, 3, 1000)
    frame["score"] = 1 / (1 + np.exp(-(0.5 * np.linspace(-9, 9, 3000) - 1)))
    scored = spark.createDataFrame(frame)
    raw = 1 / (1 + np.exp(-np.linspace(-9, 9, 3000)))
    assert errors(scored, 0.5, -1.0) == pytest.approx(
        {
            "brier": brier_score_loss(frame.label, frame.score),
            "log_loss": log_loss(frame.label, frame.score),
            "brier_uncalibrated": brier_score_loss(frame.label, raw),
            "log_loss_uncalibrated": log_loss(frame.label, raw),
        }
    )
    bins = measures.bins(scored)
    assert sum(b["rows"] for b in bins) == 3000
    assert sum(b["frauds"] for b in bins) == frame.label.sum()
    scores = [b["score"] for b in bins]
    assert scores == sorted(scores)


def test_scores_of_zero_and_one_have_finite_errors(spark):
    scored = spark.createDataFrame([(0.0, 0), (1.0, 1), (0.0, 1)], "score double, label int")
    assert all(np.isfinite(value) for value in errors(scored, 1.0, 0.0).values())
    assert measures.bins(scored)


def test_the_perfect_scorer_reaches_the_handbooks_ceiling(spark, handbook):
    """Chapter 3's week: rows, frauds and the best possible card precision, as the book has them."""
    from pyspark.sql import functions as F

    from fraudlake.training import split as splitting

    raw = spark.read.parquet(str(handbook)).where("TX_DATETIME >= '2018-07-25'")
    rows = raw.select(
        F.col("TRANSACTION_ID").alias("tx_id"),
        F.col("TX_DATETIME").cast("timestamp").alias("event_time"),
        F.col("CUSTOMER_ID").alias("customer_id"),
        (F.col("TX_FRAUD") == 1).alias("is_fraud"),
        (F.col("TX_DATETIME").cast("timestamp") + F.expr("INTERVAL 7 DAYS")).alias("known_at"),
        F.lit("raw").alias("source"),
    )
    week = [datetime(2018, 7, 25, tzinfo=UTC), datetime(2018, 8, 1, tzinfo=UTC)]
    split = splitting.plan(*week, None, None, None, timedelta(days=7))
    train = splitting.training_rows(rows.drop("is_fraud", "known_at", "source"), rows, split)
    assert splitting.count(train, "train", rows) == {
        "rows": 67240,
        "frauds": 598,
        "unlabelled": 0,
    }
    test = splitting.test_rows(
        rows.drop("is_fraud", "known_at", "source"), rows, "customer_id", split
    ).cache()
    assert splitting.count(test, "test", rows) == {"rows": 58264, "frauds": 385, "unlabelled": 0}
    perfect = test.withColumn("score", F.col("label").cast("double"))
    assert alerts.card_precision(perfect, "customer_id", 100)[0] == pytest.approx(0.397, abs=5e-4)
    assert measures.ranking(perfect)["average_precision"] == 1
    test.unpersist()
