"""Flags, cards, money and groups on Spark against scikit-learn and loops written for clarity."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from tests.training.test_measures import draw

from fraudlake.training import alerts


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
    found = alerts.card_precision(spark.createDataFrame(frame), "card", k)
    perfect = frame.assign(score=frame.label)
    expected = [naive_card_precision(one, k) for one in (frame, perfect)]
    assert found == pytest.approx(expected, abs=1e-12)


def at_threshold(spark, frame, threshold, cost=0.0, budget=10**6):
    scored = spark.createDataFrame(frame.assign(_no_score=frame.index < 3))
    line = {"slope": 1.0, "intercept": 0.0}
    return alerts.at_threshold(scored, threshold, **line, alert_cost=cost, budget=budget)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 2.0])
def test_flags_are_scikit_learns(spark, threshold):
    frame = draw(3000, 8, 40)
    flags = frame.score >= threshold
    found = at_threshold(spark, frame, threshold, budget=7)
    tn, fp, fn, tp = confusion_matrix(frame.label, flags).ravel()
    assert [found[name] for name in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
    expected = precision_recall_fscore_support(
        frame.label, flags, average="binary", zero_division=0
    )
    told = [found[name] for name in ("precision", "recall", "f1")]
    assert told == pytest.approx(expected[:3], abs=1e-12)
    assert found["false_positive_rate"] == pytest.approx(fp / (fp + tn))
    assert found["recall_possible"] == pytest.approx(7 / frame.label.sum())
    assert found["nan_scores"] == 3
    assert "saved_amount" not in found


@pytest.mark.parametrize("budget", [5, 10**6])
def test_money_is_counted_row_by_row(spark, budget):
    frame = draw(1000, 9, 40)
    frame["_amount"] = [Decimal(f"{cents}.50") for cents in np.arange(1000) % 90 - 3]
    frame["_amount"] = frame._amount.where(frame.index % 20 > 0, None)
    found = at_threshold(spark, frame, 0.3, cost=12.3, budget=budget)
    total = saved = cost = 0.0
    worth = []
    for row in frame.rename(columns={"_amount": "worth"}).itertuples():
        amount = max(float(row.worth), 0.0) if row.worth and row.label else 0.0
        total += amount
        if row.score >= 0.3:
            saved += amount - 12.3
            cost += 12.3
        else:
            cost += amount
        worth.append(max(amount - 12.3, 0))
    expected = {"fraud_amount": total, "saved_amount": saved, "expected_cost": cost}
    expected["saved_amount_possible"] = sum(sorted(worth)[-budget:])
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    nothing = at_threshold(spark, frame.assign(_amount=Decimal("0.00")), 0.3)
    assert "saved_amount" not in nothing


def test_the_first_fraud_of_a_card_is_the_one_that_counts(spark):
    at = pd.Timestamp("2020-01-01", tz="UTC")
    rows = [
        ("a", 3, 0.9, 0), ("a", 5, 0.1, 1), ("a", 7, 0.9, 1),  # missed first
        ("b", 2, 0.5, 1),  # caught
        ("c", 4, 0.1, 1), ("c", 4, 0.9, 1),  # at once: the smaller tx_id
        ("d", 1, 0.9, 0),  # no fraud
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["card", "hour", "score", "label"])
    frame["event_time"] = at + pd.to_timedelta(frame.pop("hour"), unit="h")
    frame["tx_id"] = range(len(frame))
    scored = spark.createDataFrame(frame).repartition(3)
    assert alerts.first_fraud_recall(scored, "card", 0.5) == pytest.approx(1 / 3)


def test_groups_are_counted_apart(spark):
    frame = draw(4000, 10, 40)
    frame["country"] = np.where(frame.index % 3 > 0, "DE", np.where(frame.index % 2, "FR", None))
    frame.loc[:3, "country"] = "small"
    frame["age"] = np.where(frame.index % 7 > 0, frame.index % 11, np.nan)
    frame["age"] = frame.age.astype(object).where(frame.age.notna(), None)
    scored = spark.createDataFrame(frame).repartition(3)
    found = alerts.by_group(scored, 0.4, {"country": (), "age": (2, 5)})
    named = {(one["column"], one["group"]): one for one in found}
    age = pd.cut(
        frame.age.astype(float), [-np.inf, 2, 5, np.inf], right=False,
        labels=["below 2", "2 to 5", "5 and more"],
    ).astype(object).fillna("none")  # fmt: skip
    for column, values in {"country": frame.country.fillna("none"), "age": age}.items():
        whole = (frame.score[frame.label == 0] >= 0.4).mean()
        assert {group for name, group in named if name == column} == set(values)
        for group, rows in frame.groupby(values):
            one, flags = named[column, group], rows.score >= 0.4
            assert (one["rows"], one["frauds"]) == (len(rows), rows.label.sum())
            rate = flags[rows.label == 0].mean()
            assert one["false_positive_rate"] == pytest.approx(rate)
            if group == "small":
                assert one["false_positive_ratio"] is None
            else:
                assert one["false_positive_ratio"] == pytest.approx(rate / whole)
                assert one["recall"] == pytest.approx(flags[rows.label == 1].mean())
    assert alerts.by_group(scored, 0.4, {}) == []
