"""Every feature that may be declared has a sentence, whatever its value."""

from __future__ import annotations

import math

import pytest

from fraudlake import resources
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.definition.sentence import length, sentence
from fraudlake.features.feature import Feature
from fraudlake.features.operations import OPERATIONS

DAY = 86_400_000_000


def feature(operation, **fields):
    fields = {"column": "amount", "entity": "card", "window": 7 * DAY} | fields
    return Feature("f", "window", operation=OPERATIONS[operation], **fields)


@pytest.mark.parametrize("name", resources.names("features"))
def test_every_feature_has_a_sentence(name):
    for one in load_feature_set(name).features:
        values = ("books", "") if one.sql_type == "string" else (0, 1, -2, 0.5, 1e9, 1234.5678)
        said = [sentence(one, value) for value in (*values, None, math.nan)]
        assert all(len(text) > 5 and "{" not in text and "_" not in text for text in said), said
        assert len(set(said)) > 1


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_words_of_its_own(name):
    assert OPERATIONS[name].says
    assert "{v" in OPERATIONS[name].says


@pytest.mark.parametrize(
    ("one", "value", "said"),
    [
        (feature("median_ratio", window=30 * DAY, current=False), 8.0,
         "amount is 8 × this card's median in the 30 days before"),
        (feature("count"), 1, "1 transaction of this card in the last 7 days"),
        (feature("count", window=DAY), 3, "3 transactions of this card in the last day"),
        (feature("distinct", column="merchant_id"), 2,
         "2 different values of merchant id for this card in the last 7 days"),
        (feature("rate", column="fraud", entity="terminal", window=DAY, delay=7 * DAY), 0.25,
         ("25% of this terminal's transactions in the day that ended 7 days before are known to be "
          "fraud")),
        (feature("zscore", current=False), -2.04,
         "amount is 2 standard deviations below this card's mean in the 7 days before"),
        (feature("streak", column="", entity="card,country", delay=DAY), -3,
         ("the latest transactions of this card and country in the 7 days that ended 1 day before: "
          "3 not known to be fraud")),
        (feature("since", column="", current=False), 90,
         "the last transaction of this card was 1.5 minutes ago"),
        (feature("time_of_day", column="", current=False), math.log(4),
         "this hour is 4 × less likely than this card's usual hour in the 7 days before"),
        (feature("ratio", current=False), None,
         "nothing to go by: no amount of this card in the 7 days before"),
        (Feature("same", "same", column="billing_country", other="card_country"), 0,
         "billing country is not card country"),
        (Feature("night", "calendar"), 1, "at night (00:00 to 06:59)"),
    ],
)  # fmt: skip
def test_sentences(one, value, said):
    assert sentence(one, value) == said


def test_lengths():
    found = [length(seconds) for seconds in (0, 1, 59, 60, 3600, 5400, 86400, 10**7)]
    assert found == [
        *("0 seconds", "1 second", "59 seconds", "1 minute", "1 hour", "1.5 hours", "1 day"),
        "115.7 days",
    ]
