"""Two feature sets and their models in one lake: neither stands in the other's way."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost

from fraudlake import job, registry
from fraudlake.datasets import load_dataset
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.table.build import build
from fraudlake.ingest.pipeline import ingest
from fraudlake.instants import format_instant
from fraudlake.lake import Lake
from fraudlake.lake.tables import FLAGGED, SCORES
from fraudlake.models import bundle
from fraudlake.models.calibration import Calibration
from fraudlake.models.encoding import Encoding

START = datetime(2018, 4, 1, tzinfo=UTC)
SEAM, END = START + timedelta(days=10), START + timedelta(days=12)
SHOP = """
format: parquet
columns:
  tx_id: {source: id, type: bigint}
  event_time: {source: at, type: timestamp}
  amount: {source: amount, type: "decimal(18,2)"}
  customer_id: {source: customer, type: bigint}
  merchant_category: {source: category, type: string}
  units: {source: units, type: double, required: false}
entities: {customer: customer_id}
card: customer_id
label: {source: fraud, delay: 1d}
"""
NARROW = """
features:
  - column: amount
  - {entity: customer, operations: [count, {mean: amount}], windows: [1d, 5d]}
"""
WIDE = NARROW + "  - category: merchant_category\n  - column: units\n"
TABLES = {"narrow": "features", "wide": "features_wide"}
VERSIONS = {"narrow": 1, "wide": 2}


def payments(days=12, per_day=30):
    random = np.random.default_rng(4)
    n = days * per_day
    seconds = np.sort(np.arange(n) // per_day * 86400 + random.integers(0, 86400, n))
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "at": pd.Timestamp(START).tz_localize(None) + pd.to_timedelta(seconds, unit="s"),
            "amount": random.integers(1, 30000, n) / 100,
            "customer": random.integers(0, 12, n),
            "category": random.choice(["food", "travel", "books"], n),
            "units": random.integers(1, 9, n).astype(float),
            "fraud": (random.random(n) < 0.1).astype(int),
        }
    ).astype({"at": "datetime64[us]"})


def trained(feature_set):
    """A model that splits on every feature of a set; it flags about one in four."""
    names = [feature.name for feature in feature_set.features]
    random = np.random.default_rng(1)
    x = random.random((2000, len(names)))
    x *= np.array([300, 9, 9, 300, 300, *[1, 9][: len(names) - 5]])
    data = xgboost.DMatrix(x, random.random(2000) < x.mean(axis=1) / 300)
    weights = xgboost.train({"max_depth": 5, "nthread": 1}, data, 20).save_raw("ubj")
    categories = Encoding(values={"food": 0.1, "travel": 0.9}, other=0.5)
    columns = {n: categories if n == "merchant_category" else None for n in names}
    return bundle.pack(
        "xgboost", columns, feature_set.hash, timedelta(days=1), bytes(weights),
        Calibration(slope=1.0, intercept=0.1), [0.9, 0.6, 0.55, 0.5], 1.0, {},
    )  # fmt: skip


class Models:
    """A registry of two versions."""

    def __init__(self, bundles):
        self.bundles = bundles

    def resolve(self, model):
        return int(model)

    def files(self, version):
        return self.bundles[version]

    def describe(self, _):
        return {}


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory):
    """A lake with the features of both sets, the raw files, and what names them."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.yaml").write_text(SHOP)
    for name, text in (("narrow", NARROW), ("wide", WIDE)):
        (folder / f"{name}.yaml").write_text(text)
    (folder / "raw").mkdir()
    payments().to_parquet(folder / "raw" / "all.parquet", index=False)
    dataset = load_dataset(str(folder / "shop.yaml"))
    ingest(Lake(spark, str(folder / "lake")), dataset, str(folder / "raw"))
    sets = {name: load_feature_set(str(folder / f"{name}.yaml")) for name in TABLES}
    for name, table in TABLES.items():
        build(Lake(spark, str(folder / "lake"), table), sets[name], dataset)
    bundles = {VERSIONS[name]: trained(each) for name, each in sets.items()}
    return SimpleNamespace(folder=folder, bundles=bundles)


@pytest.fixture
def shop_lake(spark, shop, tmp_path, monkeypatch):
    """A copy of the lake, and both models behind the registry's door."""
    shutil.copytree(shop.folder / "lake", tmp_path / "lake")
    monkeypatch.setattr(registry, "Registry", lambda _: Models(shop.bundles))
    return Lake(spark, str(tmp_path / "lake"))


def score(lake, name, **values):
    limits = {"from": format_instant(SEAM), "to": format_instant(END)}
    return job.call(
        "score", lake.spark, lake=lake.root, table=TABLES[name], model=VERSIONS[name], alerts=4,
        **limits, **values,
    )  # fmt: skip


def stream(shop, lake, name):
    limits = {"from": format_instant(SEAM), "to": format_instant(END)}
    return job.call(
        "stream", lake.spark, lake=lake.root, dataset=shop.folder / "shop.yaml",
        features=shop.folder / f"{name}.yaml", model=VERSIONS[name], alerts=4, replay="1d",
        input=shop.folder / "raw", state=f"{lake.root}/_stream_{name}", **limits,
    )  # fmt: skip


@pytest.mark.parametrize("order", [("narrow", "wide"), ("wide", "narrow")])
def test_one_set_after_the_other(shop, shop_lake, order):
    """Whichever comes first, in batch or as a stream, `flagged` names entities and no feature."""
    first, second = order
    assert score(shop_lake, first)["rows"] == stream(shop, shop_lake, second)["scored"] == 60
    assert score(shop_lake, second)["scores"] == 0
    assert shop_lake.read(FLAGGED).columns == [*FLAGGED.columns, "customer_id"]
    assert shop_lake.read(SCORES).count() == 120


def test_a_table_with_columns_of_a_feature_set_goes_on(shop, shop_lake):
    """As an earlier release made it: they stay, and are null in what comes."""
    older = {"customer_id": "bigint", "merchant_category": "string", "units": "double"}
    shop_lake.create(FLAGGED, older)
    assert score(shop_lake, "narrow")["flagged"] > 5
    assert stream(shop, shop_lake, "wide")["flagged"] > 5
    rows = shop_lake.read(FLAGGED)
    assert rows.columns == [*FLAGGED.columns, *older]
    assert rows.where("customer_id IS NULL OR units IS NOT NULL").isEmpty()


def test_a_table_gets_an_entity_that_the_data_set_got(shop_lake, tmp_path):
    score(shop_lake, "narrow")
    flags = shop_lake.read(FLAGGED).count()
    more = SHOP.replace("customer: customer_id", "customer: customer_id, shop: merchant_category")
    (tmp_path / "shop.yaml").write_text(more)
    score(shop_lake, "wide", dataset=tmp_path / "shop.yaml")
    rows = shop_lake.read(FLAGGED)
    assert rows.columns == [*FLAGGED.columns, "customer_id", "merchant_category"]
    assert rows.where("merchant_category IS NULL").count() == flags
