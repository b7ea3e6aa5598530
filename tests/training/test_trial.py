"""What a model is made from: rows that nothing can be learned from are refused before any fit."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError, DataError
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.models.contender import load_contender
from fraudlake.training import split, trial

START, DAY = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)


@pytest.fixture
def rows_of(make_lake, conf):
    """A function: the rows of a trial on days 0 to 5 of a frame, with a category among them."""

    def rows(frame):
        tried = trial.Trial(
            make_lake(frame, "categories"),
            load_dataset(conf["dataset"]),
            load_feature_set(conf["categories"]),
            load_contender(conf["xgboost"]),
            split.plan(START, START + 5 * DAY, None, None, None, 2 * DAY),
            alerts=10,
            seed=1,
        )
        with ExitStack() as persisted:
            return trial.gather(tried, tried.made_from(), persisted)

    return rows


@pytest.mark.parametrize(
    ("frauds", "held", "said"),
    [
        (lambda day: day < 0, "no fraud", "0 of those fraud"),
        (lambda day: day >= 3, "frauds only where the calibration is fitted", "0 of those fraud"),
        (lambda day: day < 6, "nothing but fraud", "expected rows of both classes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_category_in_a_window_of_one_class_is_refused(made_up, rows_of, frauds, held, said):
    day = (made_up["event_time"] - START) // DAY
    with pytest.raises(DataError, match=r"train window: got .* with a known label") as caught:
        rows_of(made_up.assign(is_fraud=frauds(day)))
    assert said in str(caught.value)


def test_what_a_model_is_made_from_knows_its_lake(make_lake, made_up, conf):
    """Two lakes of the same names, settings and versions are two trainings."""
    found = [
        trial.Trial(
            make_lake(made_up.head(10)),
            load_dataset(conf["dataset"]),
            load_feature_set(conf["features"]),
            load_contender(conf["xgboost"]),
            split.plan(START, START + 5 * DAY, None, None, None, 2 * DAY),
            alerts=10,
            seed=1,
        ).made_from()
        for _ in range(2)
    ]
    different = {name for name in found[0] if found[0][name] != found[1][name]}
    assert different == {"features_id", "labels_id"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"label": None}, "expected one with a label to learn from"),
        ({"card": "merchant_id"}, "got card 'merchant_id', expected the column of one of its"),
    ],
)
def test_a_data_set_that_nothing_can_be_trained_on_is_refused(conf, changes, sentence):
    dataset = load_dataset(conf["dataset"]).model_copy(update=changes)
    with pytest.raises(ConfigError) as caught:
        trial.check(dataset)
    assert sentence in str(caught.value)
