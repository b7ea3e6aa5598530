"""The recipes of docs/extending.md: what is shown there runs as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
from tests.conftest import ROOT
from tests.features.conftest import ENTITIES, kernel_values, make_world

from fraudlake import job, resources
from fraudlake.datasets import Dataset
from fraudlake.features.definition.explain import meaning
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.oracle import oracle
from fraudlake.ingest import sources
from fraudlake.lake.tables import LABELS, TRANSACTIONS

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A function: the code under a heading, as a module of a name."""

    def load(heading, name):
        section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        code, *_ = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
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
    gap = shown("An operation", "fraudlake.features.operations.gap").GAP
    monkeypatch.setitem(OPERATIONS, gap.name, gap)
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
    dataset = Dataset(
        format="orc",
        columns={name: {"source": name, "type": kind} for name, kind in column.items()},
        entities={"itself": "tx_id"},
        card="tx_id",
    )
    made = spark.range(3).selectExpr("id AS tx_id", "'2020-01-01' AS event_time", "'1' AS amount")
    made.write.orc(str(tmp_path / "in"))
    records = sources.read(spark, dataset, str(tmp_path / "in")).collect()
    assert sorted(row["fields"]["tx_id"] for row in records) == ["0", "1", "2"]
    assert sources.read_stream(spark, dataset, str(tmp_path / "in"), 1).isStreaming
