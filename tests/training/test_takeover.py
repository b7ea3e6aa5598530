"""Who gets the alias `champion`: every way by which a version could have it without winning."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from fraudlake.models.bundle import BundleError
from fraudlake.models.gate import COMPARED, Gate
from fraudlake.training import split, takeover

START, DAY = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)
GATE = Gate.model_validate({})
FINE = {
    "tp": 3,
    "fp": 9,
    "nan_scores": 0,
    "expected_calibration_error": 0.001,
    "expected_calibration_error_by_chance": 0.001,
}
TRIAL = SimpleNamespace(
    gate=GATE,
    lake=SimpleNamespace(identity=lambda _: "ours"),
    feature_set=SimpleNamespace(hash="d1"),
    split=split.plan(START + 6 * DAY, START + 8 * DAY, None, None, None, 2 * DAY),
)


class Versions:
    """A registry: version → definition and training days of its model, aliases aside."""

    lake = "/data/lake"
    shared = False

    def __init__(self, *models, champion=None):
        self.models, self.holder = list(models), champion
        self.tags = {number: {} for number in self.versions()}

    def versions(self):
        return [*range(1, len(self.models) + 1)]

    def champion(self):
        return self.holder

    def files(self, version):
        return {"of": version}

    def load(self, version):
        model = self.models[version - 1]
        if model is None:
            raise BundleError("got SHA-256 1, expected 2")
        definition, *days = model
        settings = dict(zip(("train_from", "train_to", "labels_id"), days, strict=False))
        return SimpleNamespace(definition=definition, manifest=SimpleNamespace(settings=settings))

    def describe(self, version):
        return self.tags[version]

    def take_over(self, version, champion, why):
        if self.holder != champion:
            return False
        self.holder, self.why = version, why
        return True

    def note(self, version, tags):
        known = self.tags[version] | tags
        self.tags[version] = {name: value for name, value in known.items() if value is not None}


EARLIER = ("d1", "2020-01-01", "2020-01-06")


@pytest.fixture
def judge(monkeypatch):
    """A function: the verdict on a model of this average precision, champions having .5 + .1 n.

    On two days it is .01 further from .5, up or down.
    """

    def by_day(n):
        return {day: {"average_precision": 0.5 + n / 10 + day / 100} for day in (-1, 1)}

    monkeypatch.setattr(takeover, "cached", nullcontext)
    monkeypatch.setattr(takeover.measures, "scored", lambda _, files, *__: files["of"])
    monkeypatch.setattr(takeover.measures, "ranking", lambda n: {"average_precision": 0.5 + n / 10})
    monkeypatch.setattr(takeover.days, "by_day", by_day)

    def judge(registry, own, noise=0.0, trial=TRIAL, **metrics):
        own_days = {day: {"average_precision": own + day * (0.01 + noise)} for day in (-1, 1)}
        told = FINE | {"average_precision": own} | metrics
        return takeover.judge(registry, trial, None, told, own_days)

    return judge


def test_the_first_version_takes_over(judge):
    verdict = judge(Versions(), 0.1)
    assert (verdict.champion, verdict.wins) == (None, True)


@pytest.mark.parametrize(("own", "wins"), [(0.61, True), (0.6, False), (0.59, False)])
def test_the_higher_average_precision_wins(judge, own, wins):
    verdict = judge(Versions(EARLIER, champion=1), own)
    assert (verdict.champion, verdict.wins) == (1, wins)
    assert "champion 1 0.6000 on the same rows" in verdict.text


@pytest.mark.parametrize(("own", "wins"), [(0.63, False), (0.65, True)])
def test_within_a_standard_error_of_the_daily_differences_the_champion_stays(judge, own, wins):
    # Differences of the two days: .03 or .05, once less .04, once more.
    verdict = judge(Versions(EARLIER, champion=1), own, noise=0.04)
    assert verdict.wins is wins
    assert verdict.comparison.error == pytest.approx(0.04)
    assert ("expected a gain of more than 0.0400" in verdict.text) is not wins


def test_what_the_gate_refuses_does_not_take_over(judge):
    nothing = {"tp": 0, "fp": 0}
    for registry in (Versions(), Versions(EARLIER, champion=1)):
        verdict = judge(registry, 0.9, **nothing)
        assert not verdict.wins
        assert "got no test row flagged" in verdict.text
    verdict = judge(Versions(("d2", "2020-01-01", "2020-01-06"), champion=1), 0.9, **nothing)
    assert verdict.text.count("another definition") == 1
    assert "got no test row flagged" in verdict.text


def test_where_persons_must_agree_nothing_takes_over_by_itself(judge):
    gate = Gate.model_validate({"approvals": 2})
    trial = SimpleNamespace(**(vars(TRIAL) | {"gate": gate}))
    for registry in (Versions(), Versions(EARLIER, champion=1)):
        verdict = judge(registry, 0.9, trial=trial)
        assert not verdict.wins
        assert "until 2 persons agree: fraudlake promote lake=/data/lake" in verdict.text


@pytest.mark.parametrize(
    ("champion", "reason"),
    [
        (("d2", "2020-01-01", "2020-01-06"), "features of another definition (d2, here d1)"),
        (("d1", "2020-01-01", "2020-01-12"), "trained on days of this test (2020-01-01 to"),
        (("d1",), "does not say on which days it was trained"),
        (None, "cannot be opened (got SHA-256 1, expected 2)"),
    ],
)
def test_a_champion_that_cannot_be_compared_stays(judge, caplog, champion, reason):
    verdict = judge(Versions(champion, champion=1), 0.99)
    assert (verdict.champion, verdict.wins) == (1, False)
    for text in (verdict.text, caplog.text):
        assert reason in text
        assert "decides nothing" in text
        assert "promote lake=/data/lake version=VERSION by=NAME" in text


@pytest.mark.parametrize(("shared", "compared"), [(False, True), (True, False)])
def test_on_a_server_a_champion_of_another_lake_of_this_root_stays(judge, shared, compared):
    """Beside a lake it is of the lake before, made anew since: there is no other."""
    registry = Versions((*EARLIER, "theirs"), champion=1)
    registry.shared = shared
    verdict = judge(registry, 0.9)
    assert verdict.wins is compared
    assert ("labels of another lake with this root" in verdict.text) is not compared
    registry.models[0] = (*EARLIER, "ours")
    assert judge(registry, 0.9).wins


def test_where_no_version_has_the_alias_none_takes_it_from_the_others(judge):
    verdict = judge(Versions(EARLIER, EARLIER), 0.99)
    assert not verdict.wins
    assert "no version has the alias champion, and there are versions 1, 2" in verdict.text


def registered(registry, verdict):
    """As `train` does it."""
    registry.models.append(EARLIER)
    version = len(registry.models)
    registry.tags[version] = {}
    registry.note(version, verdict.tags)
    return version


@pytest.mark.parametrize(("own", "champion"), [(0.75, 3), (0.65, 2)])
def test_a_version_that_took_over_in_the_meantime_is_compared_too(judge, own, champion):
    registry = Versions(EARLIER, EARLIER, champion=1)
    verdict = judge(registry, own)
    assert verdict.wins
    version = registered(registry, verdict)
    registry.holder = 2  # of average precision .7
    takeover.settle(registry, version, verdict, lambda: judge(registry, own))
    assert registry.holder == champion
    assert registry.tags[version].keys() == {takeover.COMPARISON, COMPARED}
    assert "champion 2 0.7000" in registry.tags[version][takeover.COMPARISON]


@pytest.mark.parametrize("before", [None, 1])
def test_a_run_cut_off_before_its_promotion_is_finished_by_the_next(judge, before):
    registry = Versions(*[EARLIER] * bool(before), champion=before)
    version = registered(registry, judge(registry, 0.9))
    takeover.finish(registry, version)
    assert registry.holder == version
    registry.holder = None  # taken away by hand: that is no run to be finished
    registered(registry, judge(registry, 0.9))
    takeover.finish(registry, version)
    assert registry.holder is None


def test_a_run_cut_off_gives_nothing_that_it_did_not_win(judge, caplog):
    registry = Versions(EARLIER, EARLIER, champion=1)
    version = registered(registry, judge(registry, 0.65))
    registry.holder = 2
    takeover.finish(registry, version)
    assert registry.holder == 2
    assert "version 3 won from 1" in caplog.text
    assert "champion 2 was not compared" in caplog.text


def test_a_loser_does_not_take_the_alias_when_it_is_trained_again(judge):
    registry = Versions(EARLIER, champion=1)
    version = registered(registry, judge(registry, 0.55))
    registry.holder = None
    takeover.finish(registry, version)
    assert registry.holder is None


def test_the_only_version_of_before_takes_the_alias_that_nobody_has(judge):
    registry = Versions(EARLIER)
    takeover.finish(registry, 1)
    assert registry.holder == 1
