"""What moves when a feature is shuffled, counted once more in plain Python."""

from __future__ import annotations

import csv

import numpy as np
import pyarrow as pa
import pytest
from tests.worlds import CUTOVER, END

from fraudlake import job
from fraudlake.errors import ConfigError
from fraudlake.lake.tables import FEATURES
from fraudlake.models import bundle
from fraudlake.models.encoding import to_matrix
from fraudlake.registry import Registry
from fraudlake.scoring.probe import EVERY, moved, probe


@pytest.fixture
def batch(model):
    """Rows of a model's features with ids, labels and a group."""
    names = bundle.load(model).features
    random = np.random.default_rng(4)
    n = 400
    columns = {name: random.random(n) * (300 if "amount" in name else 3) for name in names}
    columns["tx_id"] = np.arange(n)
    columns["label"] = pa.array((random.random(n) < 0.2).astype(int), mask=random.random(n) < 0.1)
    columns["land"] = pa.array(random.choice(["DE", "FR", None], n))
    return pa.RecordBatch.from_pydict(columns)


def test_counts_are_those_of_plain_python(model, batch):
    scorer = bundle.load(model)
    donors = to_matrix(batch, scorer.features, {})
    threshold = float(np.quantile(scorer.score(donors), 0.8))
    # One donor: who gets whose value is no question.
    found = {
        (f["feature"], f["part"]): f for f in moved(scorer, batch, donors[7:8], threshold, "land")
    }
    rows = batch.to_pylist()
    for place, name in enumerate(scorer.features):
        counts = {"rows": 0, "flags": 0, "frauds": 0, "lost": 0, "gained": 0, "frauds_lost": 0}
        for row, own in zip(rows, donors, strict=True):
            if row["land"] != "FR":
                continue
            other = own.copy()
            other[place] = donors[7, place]
            before, after = (scorer.score(x[None])[0] >= threshold for x in (own, other))
            fraud = row["label"] == 1
            counts["rows"] += 1
            counts["flags"] += before
            counts["frauds"] += fraud
            counts["lost"] += before and not after
            counts["gained"] += after and not before
            counts["frauds_lost"] += fraud and before and not after
        assert counts.items() <= found[name, "FR"].items()
    for name in scorer.features:
        parts = [found[name, part] for part in ("DE", "FR", "(none)")]
        every = found[name, EVERY]
        assert all(
            every[k] == sum(p[k] for p in parts) for k in ("rows", "lost", "gained", "flags")
        )


def test_what_the_model_does_not_use_moves_nothing(model, batch):
    scorer = bundle.load(model)
    donors = to_matrix(batch, scorer.features, {})
    used = scorer._booster.get_score()
    for one in moved(scorer, batch, donors, 0.3, None):
        place = scorer.features.index(one["feature"])
        if f"f{place}" not in used:
            assert one["lost"] == one["gained"] == 0


def test_the_job(spark, expected, model, tmp_path, monkeypatch, capsys):
    lake = expected.lake
    monkeypatch.setattr(Registry, "resolve", lambda *_: 1)
    monkeypatch.setattr(Registry, "files", lambda *_: model)
    arguments = {"lake": lake.root, "from": CUTOVER.date(), "to": END.date(), "alerts": 4}
    result = job.call("probe", spark, **arguments, by="terminal_id", output=tmp_path / "out")
    assert result["rows"] == len(expected.scores)
    assert result["flags"] == len(expected.flags)
    assert (tmp_path / "out" / "probe.png").stat().st_size > 1000
    with (tmp_path / "out" / "probe.csv").open() as file:
        lines = list(csv.DictReader(file))
    every = [line for line in lines if line["group"] == EVERY]
    assert [line["feature"] for line in every] == list(result["moved"])
    assert sum(int(line["rows"]) for line in lines) == 2 * result["rows"] * len(every)
    assert "flags that go" in capsys.readouterr().out

    rows = lake.read(FEATURES).selectExpr("*", "0 AS label")
    threshold = bundle.load(model).threshold(4)
    found = [probe(rows.repartition(n), model, threshold) for n in (1, 3)]
    assert found[0] == found[1], "however rows lie"
    with pytest.raises(ConfigError, match="by: got 'land', expected one of"):
        job.call("probe", spark, **arguments, by="land", output=tmp_path / "out")
