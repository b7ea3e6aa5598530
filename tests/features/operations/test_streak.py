"""Runs of frauds and of genuine ones, by what was known at each moment."""

from datetime import timedelta

import pytest
from tests.features.conftest import START

DAY = timedelta(days=1)
OPERATIONS = ["streak", "since_fraud", "since_genuine"]


def rows(days):
    return [
        {"tx_id": n, "event_time": START + day * DAY, "amount": None, "terminal_id": 1}
        for n, day in enumerate(days)
    ]


def label(tx_id, day, fraud=True, source="bank"):
    return {"tx_id": tx_id, "is_fraud": fraud, "known_at": START + day * DAY, "source": source}


def last(kernel, feature_set, days, labels, **more):
    """Values at the last of these transactions, times in days."""
    block = {"entity": "terminal", "operations": OPERATIONS, "windows": ["30d"], "delay": "7d"}
    found = kernel(rows(days), labels, feature_set(block | more))[len(days) - 1]
    streak, *since = (found[f"terminal_{name}_30d_delay7d"] for name in OPERATIONS)
    return streak, *(None if s is None else s / 86400 for s in since)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([], (-3, None, 9)),  # no statement: genuine
        ([label(2, 9)], (1, 9, 10)),
        ([label(1, 9), label(2, 10)], (2, 9, 12)),
        ([label(0, 9), label(1, 9), label(2, 9)], (3, 9, None)),
        ([label(0, 9)], (-2, 12, 9)),
        ([label(2, 12)], (-3, None, 9)),  # known a moment too late
        ([label(2, 11)], (1, 9, 10)),  # known with the transaction itself
        ([label(2, 9), label(2, 10, fraud=False)], (-3, None, 9)),  # corrected in time
        ([label(2, 9), label(2, 12, fraud=False)], (1, 9, 10)),  # and too late
    ],
)
def test_of_three_events(kernel, feature_set, labels, expected):
    # The last is made on day 11; events of days −1, 1 and 2 are in its window, that of day 5 not.
    assert last(kernel, feature_set, [-1, 1, 2, 5, 11], labels, empty=None) == expected


def test_of_nothing(kernel, feature_set):
    assert last(kernel, feature_set, [5, 11], [], empty=None) == (0, None, None)
    assert last(kernel, feature_set, [5, 11], [], empty=-1) == (0, -1 / 86400, -1 / 86400)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_labels_are_not_known_at_once(feature_set, operation):
    block = {"entity": "terminal", "operations": [operation], "windows": ["30d"]}
    with pytest.raises(ValueError, match=f"got {operation} without a delay, expected a delay of"):
        feature_set(block)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_delay_is_the_labels_at_least(feature_set, operation):
    from fraudlake.datasets import load_dataset

    block = {"entity": "terminal", "operations": [operation], "windows": ["30d"], "delay": "3d"}
    (problem,) = feature_set(block).check_against(load_dataset("handbook"))
    assert "got delay 3d, expected at least 7d" in problem


def test_many_frauds_in_a_row_and_far_apart(kernel, feature_set):
    """Frauds from the 100th on; then genuine ones again: the search goes far back."""
    days = [n / 24 for n in range(400)]
    labels = [label(n, 20) for n in range(100, 250)]
    assert last(kernel, feature_set, [*days[:250], 25], labels)[0] == 150
    streak, fraud, genuine = last(kernel, feature_set, [*days, 25], labels)
    assert streak == -150
    assert fraud == pytest.approx(25 - 249 / 24)
    assert genuine == pytest.approx(25 - 399 / 24)
