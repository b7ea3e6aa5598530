"""Measures on Spark against scikit-learn and against loops written for clarity alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    precision_recall_curve,
    roc_auc_score,
)

from fraudlake.training import measures

SCORED = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({label for _, label in rows}) == 2
)


@given(SCORED, st.sets(st.integers(0, 12)))
def test_partial_sums_add_up_to_scikit_learns_figures_wherever_the_ranges_are_cut(rows, cuts):
    frame = pd.DataFrame(rows, columns=["score", "label"]).astype(int)
    groups = frame.groupby("score").label.agg(n="count", frauds="sum").sort_index(ascending=False)
    groups["part"] = [sum(cut > score for cut in cuts) for score in groups.index]
    totals = groups.groupby("part")[["n", "frauds"]].sum()
    before = (totals.cumsum() - totals).apply(tuple, axis=1).to_dict()
    sums = np.zeros(3, int)
    for _, part in groups.groupby("part"):
        batch = pa.RecordBatch.from_pandas(part, preserve_index=False)
        halves = [batch.slice(0, len(part) // 2), batch.slice(len(part) // 2)]
        (found,) = measures._partial_sums(iter(halves), before, len(frame), frame.label.sum())
        sums += [found[name][0].as_py() for name in ("pairs", "high", "low")]
    whole = [pa.RecordBatch.from_pandas(groups.assign(part=0), preserve_index=False)]
    (uncut,) = measures._partial_sums(iter(whole), {0: (0, 0)}, len(frame), frame.label.sum())
    assert [uncut[name][0].as_py() for name in ("pairs", "high", "low")] == sums.tolist()
    (pairs, high, low), frauds = sums.tolist(), int(frame.label.sum())
    auc, ap = pairs / (2 * frauds * (len(frame) - frauds)), (high * 2**27 + low) / (frauds * 2**53)
    assert auc == pytest.approx(roc_auc_score(frame.label, frame.score), abs=1e-12)
    assert ap == pytest.approx(average_precision_score(frame.label, frame.score), abs=1e-12)


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
    found = measures.ranking(spark.createDataFrame(frame).repartition(5))
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


def naive_card_precision(frame, k):
    """Day by day, card by card."""
    detected, shares = set(), []
    for _, today in frame.groupby(frame.event_time.dt.floor("D")):
        cards = []
        for card, rows in today.groupby("card"):
            if card not in detected:
                cards.append((-rows.score.max(), card, rows.label.max()))
        checked = sorted(cards)[:k]
        detected |= {card for _, card, label in checked if label}
        shares.append(sum(label for *_, label in checked) / k)
    return np.mean(shares)


@pytest.mark.parametrize("k", [1, 7, 100])
def test_card_precision_is_the_loop_day_by_day(spark, k):
    frame = draw(2000, 2, 50)
    found = measures.card_precision(spark.createDataFrame(frame), "card", k)
    assert found == pytest.approx(naive_card_precision(frame, k), abs=1e-12)


def test_confusion_errors_and_bins_add_up(spark):
    frame = draw(3000, 3, 1000)
    frame["score"] = 1 / (1 + np.exp(-(0.5 * np.linspace(-9, 9, 3000) - 1)))
    scored = spark.createDataFrame(frame)
    assert measures.confusion(scored, frame.score[2000]) == {
        "tp": frame.label[2000:].sum(),
        "fp": 1000 - frame.label[2000:].sum(),
        "fn": frame.label[:2000].sum(),
        "tn": 2000 - frame.label[:2000].sum(),
    }
    raw = 1 / (1 + np.exp(-np.linspace(-9, 9, 3000)))
    assert measures.probability_errors(scored, slope=0.5, intercept=-1.0) == pytest.approx(
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
    errors = measures.probability_errors(scored, 1.0, 0.0)
    assert all(np.isfinite(value) for value in errors.values())
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
    assert measures.card_precision(perfect, "customer_id", 100) == pytest.approx(0.397, abs=5e-4)
    assert measures.ranking(perfect)["average_precision"] == 1
    test.unpersist()
