"""Which rows train and test, and what was known when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fraudlake.errors import ConfigError, DataError
from fraudlake.training import split as splitting

WEEK = timedelta(days=7)


def at(day, hour=0):
    return datetime(2020, 3, day, hour, tzinfo=UTC)


def test_left_out_bounds_follow_from_the_training_time():
    split = splitting.plan(at(1), at(8), None, None, None, WEEK)
    assert (split.training_date, split.test_from, split.test_to) == (at(15), at(15), at(22))
    assert split.gap_days == 7
    assert (split.held_out_from, split.held_out_days) == (at(6), 2)
    assert splitting.plan(at(1), at(2), None, None, None, WEEK).held_out_days == 0.25


@pytest.mark.parametrize(
    ("bounds", "sentence"),
    [
        ((at(8), at(8), None, None, None), "train_to: got 2020-03-08, expected an instant after"),
        (
            (at(1), at(8), timedelta(days=6), None, None),
            "delay: got 6d, expected at least the data set's label delay, 7d",
        ),
        (
            (at(1), at(8), None, at(14, 23), None),
            "test_from: got 2020-03-14T23:00:00, expected no earlier than 2020-03-15",
        ),
        ((at(1), at(8), None, at(5), at(20)), "test_from: got 2020-03-05"),
        (
            (at(1), at(8), None, at(16), at(16)),
            "test_to: got 2020-03-16, expected an instant after",
        ),
    ],
    ids=["no training", "short delay", "before the training date", "overlap", "no test"],
)
def test_windows_that_cannot_be_are_refused(bounds, sentence):
    with pytest.raises(ConfigError) as caught:
        splitting.plan(*bounds, WEEK)
    assert sentence in str(caught.value)
    assert len(caught.value.problems) == 1


def test_every_problem_is_told_at_once():
    with pytest.raises(ConfigError) as caught:
        splitting.plan(at(2), at(8), timedelta(0), at(1), at(1), WEEK)
    assert len(caught.value.problems) == 3


@pytest.fixture(scope="module")
def frames(spark):
    """Made for one split: train [1, 3) March, known by the 5th, test [5, 8)."""
    events = [  # tx_id, event_time, card
        (1, at(1), 10),
        (2, at(2), 20),
        (3, at(2, 5), 30),
        (4, at(4), 40),  # in the gap
        (5, at(5), 10),  # card 10: fraud of the 1st, known on the 3rd
        (6, at(5, 23), 40),  # card 40: fraud of the 4th, known on the 6th at 00:00
        (7, at(6, 1), 40),  # known at 00:00 of this day: not before the day began
        (8, at(7), 40),
        (9, at(7, 3), 50),  # compromised before training began
        (10, at(7, 4), 60),  # no statement
        (11, at(7, 5), 20),  # once called fraud, known on the 4th; taking it back came too late
    ]
    labels = [  # tx_id, is_fraud, known_at, source
        (1, False, at(2), "analyst"),
        (1, True, at(3), "chargeback"),
        (2, True, at(4), "analyst"),
        (2, False, at(4), "bank"),  # same time: the later name stands
        (3, True, at(5, 1), "chargeback"),  # after the training date
        (4, True, at(6), "chargeback"),
        (5, False, at(7), "mature"),
        (6, False, at(8), "mature"),
        (7, False, at(8), "mature"),
        (7, True, at(20), "chargeback"),  # long after: still what the test is judged by
        (8, False, at(9), "mature"),
        (9, False, at(9), "mature"),
        (11, True, at(9), "chargeback"),
        (99, True, at(2), "chargeback"),  # an event before train_from, card 50
    ]
    events.append((99, datetime(2020, 2, 27, tzinfo=UTC), 50))
    split = splitting.plan(at(1), at(3), None, None, at(8), timedelta(days=2))
    return (
        spark.createDataFrame(events, "tx_id bigint, event_time timestamp, card bigint"),
        spark.createDataFrame(
            labels, "tx_id bigint, is_fraud boolean, known_at timestamp, source string"
        ),
        split,
    )


def collected(rows):
    return {row.tx_id: row.label for row in rows.collect()}


def test_training_labels_are_those_of_the_training_date(frames):
    features, labels, split = frames
    rows = splitting.training_rows(features, labels, split)
    assert collected(rows) == {1: 1, 2: 0, 3: None}
    assert splitting.count(rows, "train", features) == {"rows": 2, "frauds": 1, "unlabelled": 1}


def test_compromised_cards_leave_the_test_from_the_day_after_they_are_known(frames):
    features, labels, split = frames
    rows = splitting.test_rows(features, labels, "card", split)
    assert collected(rows) == {6: 0, 7: 1, 9: 0, 10: None}
    whole = collected(splitting.test_rows(features, labels, None, split))
    assert whole.items() > collected(rows).items()


def test_windows_without_both_classes_say_what_was_found(frames):
    features, labels, split = frames
    only = splitting.training_rows(features, labels, split).where("label = 0")
    with pytest.raises(
        DataError, match="train window: got 1 rows, 1 of them with a known label, 0"
    ):
        splitting.count(only, "train", features)
    with pytest.raises(DataError, match="from 2020-02-27 00:00:00 to 2020-03-07 05:00:00"):
        splitting.count(only.where("false"), "test", features)
    with pytest.raises(DataError, match="holds no rows at all"):
        splitting.count(only.where("false"), "test", features.where("false"))
