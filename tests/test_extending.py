"""The recipes of docs/extending.md: what is shown there runs as it stands there."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
from tests.conftest import ROOT

from fraudlake import job
from fraudlake.lake.tables import LABELS, TRANSACTIONS

PAGE = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture
def shown(monkeypatch, tmp_path):
    """A function: the code under a heading, as a module of a name."""

    def load(heading, name):
        section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
        (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
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
