"""The oracle answers what it is told, and refuses the rest."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from fraudlake.features.feature import Feature
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.oracle import oracle

ROW = {"tx_id": 1, "event_time": datetime(2026, 3, 7, tzinfo=UTC), "card_id": 1, "amount": 3}


class Chosen:
    """Features that no definition could say."""

    def __init__(self, *features):
        self.features = features


def answer(*features):
    return oracle([ROW], [], Chosen(*features), {"card": "card_id"})[0]


def test_what_it_does_not_know_is_refused():
    with pytest.raises(ValueError, match=r"moon: got kind 'lunar', expected .* column, category"):
        answer(Feature("moon", "lunar", "amount"))
    with pytest.raises(ValueError, match="moon: got kind 'window', expected one that the oracle"):
        answer(Feature("moon", "window", "amount", "card", window=10))


def test_an_operation_is_answered_by_its_own_plain_definition():
    sixfold = replace(OPERATIONS["sum"], name="sixfold", plain=lambda asked: 6 * asked.values[-1])
    feature = Feature("x", "window", "amount", "card", sixfold, window=10)
    assert answer(feature)["x"] == 18
