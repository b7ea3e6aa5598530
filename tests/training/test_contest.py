"""Folds that follow one another, the choice between contenders, and a contest that goes on."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from fraudlake import job
from fraudlake.errors import ConfigError
from fraudlake.models.contender import load_contender
from fraudlake.training import contest

START, DAY = datetime(2018, 7, 1, tzinfo=UTC), timedelta(days=1)


def test_tests_follow_one_another_and_none_begins_before_its_training_date():
    found = contest.folds(START, START + 40 * DAY, 14 * DAY, 5 * DAY, 8 * DAY, 7 * DAY)
    assert [(one.test_from - START) / DAY for one in found] == [22, 27, 32]
    assert all(one.test_to - one.test_from == 5 * DAY for one in found)
    assert all(one.test_from == one.training_date == one.train_to + 8 * DAY for one in found)
    assert all(before.test_to == one.test_from for before, one in itertools.pairwise(found))


def test_a_range_without_room_for_one_fold():
    with pytest.raises(ConfigError, match="got 2018-07-20, expected at least 21d after from"):
        contest.folds(START, START + 19 * DAY, 7 * DAY, 7 * DAY, None, 7 * DAY)
    with pytest.raises(ConfigError, match="delay: got 1d, expected at least"):
        contest.folds(START, START + 30 * DAY, 7 * DAY, 7 * DAY, DAY, 7 * DAY)
    with pytest.raises(ConfigError, match="test_for: got 0s, expected the length of a test"):
        contest.folds(START, START + 30 * DAY, 7 * DAY, 0 * DAY, None, 7 * DAY)
    words = ["lake=x", "from=2018-07-01", "to=2018-07-10"]
    with pytest.raises(ConfigError, match="expected at least 14d after from"):
        job.parse(job.load("compete")["Arguments"], words)


def test_contenders_and_features_are_held_against_each_other_before_anything_starts():
    arguments = job.load("compete")["Arguments"]
    words = ["lake=x", "from=2018-07-01", "to=2018-08-01", "features=cards"]
    with pytest.raises(ConfigError, match=r"rules\.1: got terminal_rate_fraud_7d_delay7d"):
        job.parse(arguments, [*words, "models=rules,tree"])
    with pytest.raises(ConfigError, match="models: got"):
        job.parse(arguments, [*words, "models=tree"])


def test_the_simplest_come_first():
    names = ["mlp", "xgboost", "forest", "tree", "rules", "isolation", "logistic"]
    ordered = [one.name for one in contest.simple_first([load_contender(n) for n in names])]
    assert ordered == ["rules", "logistic", "tree", "forest", "isolation", "xgboost", "mlp"]


@pytest.mark.parametrize(
    ("scores", "best", "winner"),
    [
        # Differences .1, .12: nine standard errors.
        ({"logistic": [0.5, 0.52], "forest": [0.6, 0.64]}, "forest", "forest"),
        # Differences .1, -.06: mean .02, a standard error of .08.
        ({"logistic": [0.5, 0.62], "forest": [0.6, 0.56]}, "forest", "logistic"),
        # Of two within noise the simpler.
        ({"rules": [0.1, 0.1], "tree": [0.5, 0.61], "forest": [0.6, 0.55]}, "forest", "tree"),
        # Equal to the bit.
        ({"logistic": [0.5, 0.6], "forest": [0.5, 0.6]}, "logistic", "logistic"),
        # One fold: nothing is known of noise.
        ({"logistic": [0.599], "forest": [0.6]}, "forest", "forest"),
    ],
)
def test_within_noise_the_simpler_one_wins(scores, best, winner):
    choice = contest.choose(scores)
    assert (choice.best, choice.winner) == (best, winner)
    assert choice.text.startswith(f"{winner} wins")


@dataclass(frozen=True)
class Common:
    """What a trial is here."""

    contender: object = None
    split: object = None
    versions: object = None

    def newest(self):
        """As they are now."""
        return {"features": 3, "labels": 7}


def test_the_winner_of_the_last_fold_is_the_challenger_and_no_champion(monkeypatch):
    precision = {"logistic": [0.5, 0.62, 0.5], "forest": [0.6, 0.56, 0.52]}
    trained, promoted = [], []

    def train(trial, _, config, contest):
        assert contest
        assert trial.versions == {"features": 3, "labels": 7}
        assert config == {"seed": 1}
        fold = splits.index(trial.split)
        trained.append((trial.contender.name, fold))
        measures = {"auc": 0.8, "average_precision": precision[trial.contender.name][fold]}
        measures |= {"brier": 0.01, "seconds": 10.0 + fold}
        return {"model_version": len(trained), "trained": True, **measures}

    def promote(*given, **why):
        promoted.append((*given, why["by"]))

    monkeypatch.setattr(contest, "train", train)
    splits = contest.folds(START, START + 35 * DAY, 7 * DAY, 7 * DAY, None, 7 * DAY)
    weighed = []
    monkeypatch.setattr(contest.takeover, "weigh", lambda *given: weighed.append(given))
    registry = SimpleNamespace(champion=lambda: 1, promote=promote)
    contenders = [load_contender(name) for name in ("forest", "logistic")]
    result = contest.compete(Common(), contenders, splits, registry, {"seed": 1})
    assert trained == [(name, fold) for fold in range(3) for name in ("logistic", "forest")]
    assert (result["best"], result["winner"], result["version"]) == ("forest", "logistic", 5)
    assert promoted == [(5, "challenger", "compete")]
    ((_, trial, version),) = weighed
    assert (trial.contender.name, trial.split, version) == ("logistic", splits[-1], 5)
    assert [one["versions"] for one in result["contenders"]] == [[1, 3, 5], [2, 4, 6]]
    logistic = result["contenders"][0]
    assert logistic["average_precision"] == pytest.approx(0.54)
    assert logistic["average_precision_std"] == pytest.approx(0.0565685)
    assert logistic["seconds"] == 11
    assert "card_precision_at_100" not in logistic
    assert result["trained"] == 6
