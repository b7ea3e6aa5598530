"""Where a search looks: read, checked against the contender, drawn from."""

from __future__ import annotations

import pytest

from fraudlake import resources
from fraudlake.errors import ConfigError
from fraudlake.models.contender import load_contender
from fraudlake.models.space import Space, changed, load_space
from fraudlake.registry.studies import Tried
from fraudlake.training.search import sampler


def space(**ranges):
    return Space.model_validate(ranges)


@pytest.mark.parametrize("name", resources.names("search"))
def test_a_shipped_space_fits_its_contender(name):
    assert load_space(name).misfits(load_contender(name)) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rounds: {int: [1, 2], float: [1, 2]}", "rounds: expected one of int"),
        ("rounds: {int: [5, 5]}", "a range that rises"),
        ("rounds: {float: [0, 5], log: true}", "log for ranges above 0"),
        ("rounds: {choice: [1]}", "rounds"),
        ("rounds: {ints: [1, 2]}", "unknown key"),
        ("rounds: [", "expected YAML"),
        ("- 1", "got"),
    ],
)
def test_what_is_wrong_with_a_space_is_told(tmp_path, text, said):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_space(str(path))


def test_settings_that_a_contender_lacks_or_refuses():
    wrong = Space.model_validate(
        {
            "parameters.depth": {"int": [1, 3]},
            "rounds.more": {"int": [1, 3]},
            "parameters.subsample": {"float": [0.5, 1.5]},
            "workers": {"int": [1, 2]},
        }
    )
    problems = wrong.misfits(load_contender("xgboost"))
    assert len(problems) == 4
    assert "rows lie by them" in problems[0]
    assert "parameters.depth: got no setting of contender xgboost" in problems[1]


def test_a_changed_contender_is_otherwise_the_same():
    before = load_contender("mlp")
    after = changed(before, {"hidden": [8, 4], "dropout": 0.1})
    assert (list(after.hidden), after.dropout) == ([8, 4], 0.1)
    rest = {"hidden", "dropout"}
    assert after.model_dump(exclude=rest) == before.model_dump(exclude=rest)


def tried(looked, number, score, found):
    drawn = looked.draw(sampler(looked, found, 1).ask())
    return Tried(number, drawn, (score(drawn),) * 5, pruned=False)


def test_draws_hang_on_what_was_tried_and_on_nothing_else():
    looked = space(a={"float": [0, 1]}, b={"choice": [[1], [2, 3]]}, c={"int": [1, 9], "log": True})

    def score(drawn):
        return -((drawn["a"] - 0.7) ** 2) - (drawn["b"] == [1]) * 0.1

    found: list[Tried] = []
    for number in range(40):
        found.append(tried(looked, number, score, found))
    assert found[25] == tried(looked, 25, score, found[:25]), "after 25, in another process"
    assert len({one.drawn["a"] for one in found}) == 40
    late = [one.drawn["a"] for one in found[-10:]]
    assert sum(abs(a - 0.7) for a in late) / 10 < 0.25, "it looks where it was good"
    best = max(found, key=lambda one: one.mean)
    assert best.drawn["b"] == [2, 3]


def test_a_trial_that_is_worse_on_every_fold_is_given_up():
    looked = space(a={"float": [0, 1]})
    found = [Tried(0, {"a": 0.5}, (0.7, 0.72, 0.69, 0.71, 0.7, 0.7), pruned=False)]
    for offset, given_up in ((-0.1, True), (0.01, False)):
        ours = sampler(looked, found, 1).ask()
        said = []
        for fold, score in enumerate(found[0].scores):
            ours.report(score + offset + fold * 1e-4, fold)
            said.append(ours.should_prune())
        assert any(said[:4]) == given_up
        assert not any(said[:3]), "three folds tell nothing"
