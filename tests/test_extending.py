"""The recipes of docs/extending.md: what is shown there runs as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from tests.conftest import ROOT
from tests.features.conftest import ENTITIES, kernel_values, make_world
from tests.models.conftest import labels, rows

from fraudlake import job, resources
from fraudlake.datasets import Dataset
from fraudlake.features.definition.explain import meaning
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.oracle import oracle
from fraudlake.ingest import sources
from fraudlake.lake.tables import LABELS, TRANSACTIONS
from fraudlake.models import bundle, kinds
from fraudlake.models.calibration import Calibration
from fraudlake.models.kind import Kind

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A function: the code under a heading, a module of each name; gives the last one."""

    def load(heading, *names):
        section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        for name, code in zip(names, blocks, strict=False):
            path = tmp_path / f"{name}.py"
            path.write_text(code)
            spec = importlib.util.spec_from_file_location(name, path)
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, name, module)
            spec.loader.exec_module(module)
        return module

    return load


def test_a_job_and_a_report(spark, lake, shown, tmp_path, monkeypatch):
    import fraudlake.reports

    report = shown("A report", "fraudlake.reports.label_delays")
    monkeypatch.setattr(fraudlake.reports, "label_delays", report, raising=False)
    delays = shown("A job", "jobs.delays")
    rows = spark.range(101).selectExpr(
        "id AS tx_id",
        "TIMESTAMP '2020-01-01' AS event_time",
        "CAST(1 AS decimal(18,2)) AS amount",
        "current_timestamp() AS ingested_at",
        "'made' AS source_file",
    )
    lake.create(TRANSACTIONS)
    lake.insert_missing(TRANSACTIONS, rows)
    lake.create(LABELS)
    known_at = "event_time + make_interval(0, 0, 0, CAST(tx_id AS int)) AS known_at"
    said = rows.selectExpr("tx_id", "true AS is_fraud", known_at, "'us' AS source")
    lake.insert_missing(LABELS, said)
    args = job.parse(delays.Arguments, [f"lake={lake.root}", f"output={tmp_path / 'drawn'}"])
    assert delays.run(spark, args)["median_days"] == 50
    assert (tmp_path / "drawn" / "delays.png").stat().st_size > 1000
    assert "Reads:" in delays.__doc__


def test_an_operation(shown, monkeypatch):
    """Its kernel says what its plain form says; with a line in a definition, nothing else."""
    test = shown("An operation", "fraudlake.features.operations.gap", "test_gap").test_gap
    gap = sys.modules["fraudlake.features.operations.gap"].GAP
    monkeypatch.setitem(OPERATIONS, gap.name, gap)
    test(kernel_values, lambda block: FeatureSet.model_validate({"features": [block]}))
    block = {"entity": "customer", "operations": ["gap"], "windows": ["2d", "9d"], "empty": None}
    chosen = FeatureSet.model_validate({"features": [block]})
    transactions, statements = make_world(1, rows=200)
    found = kernel_values(transactions, statements, chosen)
    values = [
        (found[expected["tx_id"]][feature.name], expected[feature.name])
        for expected in oracle(transactions, statements, chosen, ENTITIES)
        for feature in chosen.features
    ]
    assert all(got == expected for got, expected in values)
    assert len(set(values)) > 100
    assert "mean seconds from one to the next" in meaning(chosen.features[0])


def test_a_source_format(spark, shown, tmp_path, monkeypatch):
    shown("A source format", "fraudlake.ingest.formats.orc")
    formats = resources.formats()
    monkeypatch.setattr(resources, "formats", lambda: [*formats, "orc"])
    column = {"tx_id": "bigint", "event_time": "timestamp", "amount": "decimal(18,2)"}
    column["account"] = "bigint"
    dataset = Dataset(
        format="orc",
        columns={name: {"source": name, "type": kind} for name, kind in column.items()},
        entities={"holder": "account"},
        card="account",
    )
    values = ("id AS tx_id", "'2020-01-01' AS event_time", "'1' AS amount", "id AS account")
    spark.range(3).selectExpr(*values).write.orc(str(tmp_path / "in"))
    records = sources.read(spark, dataset, str(tmp_path / "in")).collect()
    assert sorted(row["fields"]["tx_id"] for row in records) == ["0", "1", "2"]
    assert sources.read_stream(spark, dataset, str(tmp_path / "in"), 1).isStreaming


def test_a_kind_of_model(spark, shown, monkeypatch):
    """What is fitted and scored is scikit-learn's."""
    from sklearn.naive_bayes import GaussianNB

    parts = ("contender", "fit", "scorer")
    opened = shown("A kind of model", *(f"fraudlake.models.bayes.{part}" for part in parts))
    fitted, said = (sys.modules[f"fraudlake.models.bayes.{part}"] for part in ("fit", "contender"))
    kind = Kind(said.BayesContender, "weights.json", opened.BayesScorer, fitted.fit)
    monkeypatch.setattr(kinds, "NAMES", (*kinds.NAMES, "bayes"))
    entry = kinds._entry
    monkeypatch.setattr(kinds, "_entry", lambda name: kind if name == "bayes" else entry(name))
    x, features = rows(400)[:, :4], [f"f{i}" for i in range(4)]
    x[:, 1] = np.log(x[:, 1])
    x = x.astype(np.float32).astype(float)
    y = labels(rows(400))
    table = pd.DataFrame(x, columns=features).assign(label=y.astype(int), held_out=False)
    contender = kind.contender(kind="bayes")
    fits = kind.fit(spark.createDataFrame(table), features, contender, 1, "")
    assert fits.early == fits.final, "no row is held out"
    files = bundle.pack(
        "bayes", dict.fromkeys(features), "abc", timedelta(days=7), fits.final,
        Calibration(1.0, 0.0), [0.9, 0.1], 1.0, {},
    )  # fmt: skip
    scorer = bundle.load(files)
    genuine, fraud = GaussianNB(var_smoothing=0).fit(x, y).predict_log_proba(x).T
    np.testing.assert_allclose(scorer.margins(x), fraud - genuine, rtol=1e-6, atol=1e-6)
    x[0, 0] = np.nan
    total = scorer.base() + scorer.contributions(x).sum(axis=1)
    np.testing.assert_allclose(total, scorer.margins(x), rtol=1e-12, atol=1e-12)
    assert scorer.margins(x[:1])[0] == scorer.margins(x)[0]
