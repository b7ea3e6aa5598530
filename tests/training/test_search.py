"""A search that was cut off goes on, and finds what it would have found."""

from __future__ import annotations

import pytest

from fraudlake import job
from fraudlake.models.contender import load_contender
from fraudlake.registry import Registry
from fraudlake.training import search


@pytest.fixture
def lake(make_lake, made_up):
    return make_lake(made_up)


@pytest.fixture
def arguments(lake, conf, day, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text("rounds: {int: [1, 12]}\nparameters.max_depth: {int: [1, 4]}\n")
    return {
        "lake": lake.root, "features": conf["features"], "model": conf["xgboost"],
        "space": space, "from": day(0), "to": day(12), "train_for": "4d", "test_for": "3d",
        "output": tmp_path / "found",
    }  # fmt: skip


def test_a_search_goes_on_where_it_was(spark, lake, arguments, monkeypatch, capsys):
    real, tries = search._measured, []

    def measured(trial, rows, contender):
        tries.append(contender)
        if len(tries) == 3:
            raise KeyboardInterrupt
        return real(trial, rows, contender)

    monkeypatch.setattr(search, "_measured", measured)
    with pytest.raises(KeyboardInterrupt):
        job.call("search", spark, **arguments, trials=2)
    monkeypatch.setattr(search, "_measured", real)
    result = job.call("search", spark, **arguments, trials=2)
    assert (result["trials"], result["new"]) == (2, 1)
    assert all(len(one["scores"]) == 2 for one in result["tried"])
    best = max(result["tried"], key=lambda one: one["mean"])
    assert (result["best"], result["average_precision"]) == (best["number"], best["mean"])
    assert "The best of 2 trials" in capsys.readouterr().out

    again = job.call("search", spark, **arguments, trials=2)
    assert (again["new"], again["tried"]) == (0, result["tried"])
    contender = load_contender(again["output"])
    assert contender.rounds == best["drawn"]["rounds"]
    assert contender.parameters.max_depth == best["drawn"]["parameters.max_depth"]
    assert Registry(lake.root).versions() == [], "no version is made"
