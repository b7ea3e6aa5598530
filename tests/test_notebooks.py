"""The notebooks on a data set of other columns, with a category and a corrected label."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import functions as F
from tests.conftest import ROOT

from fraudlake import job
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS

DATASET = """
format: jsonl
columns:
  tx_id: {source: number, type: bigint}
  event_time: {source: at, type: timestamp}
  amount: {source: euros, type: "decimal(18,2)"}
  account: {source: account, type: string}
  trade: {source: trade, type: string, required: false}
entities: {holder: account}
card: account
label: {source: bad, delay: 2d}
"""
FEATURES = """
features:
  - category: trade
  - column: amount
  - {entity: holder, operations: [count, {max: amount}], windows: [2d]}
"""
XGBOOST = "kind: xgboost\nworkers: 1\nrounds: 5\nparameters: {max_depth: 2}\n"
START = datetime(2024, 5, 1, tzinfo=UTC)
CORRECTED = {7: 1, 8: 30}  # transaction → days from its statement to another; 30: after the table


@pytest.fixture(scope="module")
def other(spark, tmp_path_factory):
    """Folder of a lake and of the YAML files that it was made with."""
    folder, draw = tmp_path_factory.mktemp("other"), random.Random(1)
    conf = {"dataset": DATASET, "features": FEATURES, "model": XGBOOST}
    for name, text in conf.items():
        (folder / f"{name}.yaml").write_text(text)
    records = []
    for n in range(1200):
        fraud = draw.random() < 0.1
        records.append(
            {
                "number": n,
                "at": (START + timedelta(minutes=15 * n)).isoformat(),
                "euros": f"{draw.randrange(100, 9000) * (5 if fraud else 1) / 100:.2f}",
                "account": f"account {draw.randrange(30)}",
                "trade": draw.choice(["food", "fuel", None]),
                "bad": int(fraud),
            }
        )
    (folder / "raw").mkdir()
    (folder / "raw" / "all.jsonl").write_text("\n".join(map(json.dumps, records)))
    given = {"lake": folder / "lake", "features": folder / "features.yaml"}
    job.call(
        "ingest",
        spark,
        lake=given["lake"],
        dataset=folder / "dataset.yaml",
        input=folder / "raw",
    )
    lake = Lake(spark, str(given["lake"]))
    for tx_id, later in CORRECTED.items():
        one = lake.read(LABELS).where(f"tx_id = {tx_id}")
        known_at = f"known_at + INTERVAL {later} DAYS AS known_at"
        other = one.selectExpr("tx_id", "NOT is_fraud AS is_fraud", known_at, "source")
        lake.insert_missing(LABELS, other)
    train_from, train_to, test_from, test_to = (
        (START + timedelta(days=n)).date() for n in (1, 6, 8, 12)
    )
    days = {"train_from": train_from, "train_to": train_to, "test_from": test_from}
    job.call("features", spark, **given)
    job.call("train", spark, **given, model=folder / "model.yaml", alerts=5, **days)
    job.call("score", spark, lake=given["lake"], alerts=5, **{"from": test_from, "to": test_to})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_notebook(other, path, notebook):
    said, names = notebook(path, other / "lake", other / "features.yaml")
    assert "log-odds" in said
    assert "trade" in said.split("log-odds")[1]
    labelled = names["labelled"].select("tx_id", "label").collect()
    assert len(labelled) == len({row["tx_id"] for row in labelled}) > 900
    said_first = names["lake"].read(LABELS).groupBy("tx_id").agg(F.min_by("is_fraud", "known_at"))
    first, now = dict(said_first.collect()), dict(labelled)
    assert {tx_id for tx_id, label in now.items() if label != first[tx_id]} == {7}
