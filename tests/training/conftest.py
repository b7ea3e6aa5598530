"""A small lake with made-up features, whose frauds have large amounts at night."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS

DATASET = """
format: jsonl
columns:
  tx_id: {source: tx_id, type: bigint}
  event_time: {source: event_time, type: timestamp}
  amount: {source: amount, type: "decimal(18,2)"}
  customer_id: {source: customer_id, type: bigint}
entities: {customer: customer_id}
card: customer_id
label: {source: is_fraud, delay: 2d}
"""
FEATURE_SET = """
features:
  - column: amount
  - calendar: night
  - {entity: customer, operations: [count], windows: [1d]}
"""
CATEGORIES = FEATURE_SET + "  - category: shop\n"
XGBOOST = "kind: xgboost\nworkers: 2\nrounds: 40\nparameters: {max_depth: 2, max_bin: 64}\n"
MLP = "kind: mlp\nworkers: 2\nhidden: [8]\nbatch_size: 64\nepochs: 3\nlearning_rate: 0.05\n"
START = datetime(2020, 1, 1, tzinfo=UTC)
DAYS, ROWS, DELAY = 12, 6000, timedelta(days=2)


@pytest.fixture(scope="session")
def day():
    """A function: day `number` of the made-up data, as a user types it."""
    return lambda number: (START + timedelta(days=number)).date().isoformat()


@pytest.fixture(scope="session")
def made_up():
    """Transactions with features and labels, in pandas; every label known two days later."""
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.integers(0, DAYS * 86400, ROWS))
    night = (seconds % 86400 < 7 * 3600).astype(np.int32)
    amount = np.round(rng.lognormal(3, 1, ROWS), 2)
    odds = 1.5 * (np.log(amount) - 5) + 2 * night
    event_time = pd.Timestamp(START) + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame(
        {
            "tx_id": np.arange(ROWS),
            "event_time": event_time,
            "customer_id": rng.integers(0, 1500, ROWS),
            "amount": amount,
            "night": night,
            "customer_count_1d": rng.integers(1, 5, ROWS),
            "shop": rng.choice(["books", "travel", None], ROWS),
            "is_fraud": rng.random(ROWS) < 1 / (1 + np.exp(-odds)),
            "known_at": event_time + pd.Timedelta(DELAY),
        }
    )


@pytest.fixture(scope="session")
def conf(tmp_path_factory):
    """YAML files of the made-up data: `dataset`, `features`, `categories`, `xgboost`, `mlp`."""
    folder = tmp_path_factory.mktemp("conf")
    texts = {"dataset": DATASET, "features": FEATURE_SET, "categories": CATEGORIES}
    texts |= {"xgboost": XGBOOST, "mlp": MLP}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    return {name: str(folder / f"{name}.yaml") for name in texts}


@pytest.fixture(scope="session")
def write_features(spark, conf):
    """A function that fills the feature table of a lake, of one of the feature sets in `conf`."""

    def write(lake, frame, features):
        feature_set = load_feature_set(conf[features])
        types = {feature.name: feature.sql_type for feature in feature_set.features}
        lake.create(FEATURES, {"customer_id": "bigint", **types})
        rows = spark.createDataFrame(frame).selectExpr(
            "tx_id",
            "event_time",
            "customer_id",
            *(f"CAST({name} AS {kind}) AS {name}" for name, kind in types.items()),
            f"'{feature_set.hash}' AS definition",
        )
        lake.replace_where(FEATURES, rows, "true")

    return write


@pytest.fixture(scope="session")
def make_lake(spark, tmp_path_factory, conf, write_features):
    """A function that fills a new lake with a frame like `made_up`."""

    def make(frame, features="features"):
        lake = Lake(spark, str(tmp_path_factory.mktemp("training") / "lake"))
        lake.create(TRANSACTIONS, {"customer_id": "bigint"}, {"dataset": conf["dataset"]})
        lake.create(LABELS)
        write_features(lake, frame, features)
        rows = spark.createDataFrame(frame)
        labels = rows.selectExpr("tx_id", "is_fraud", "known_at", "'made up' AS source")
        lake.insert_missing(LABELS, labels)
        return lake

    return make
