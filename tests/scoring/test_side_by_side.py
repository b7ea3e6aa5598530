"""Two feature sets and their models in one lake: neither stands in the other's way."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xgboost

from fraudlake import job, registry
from fraudlake.datasets import load_dataset
from fraudlake.errors import FraudlakeError
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
CUTOVER, MIDDLE, END = (START + timedelta(days=days) for days in (10, 11, 12))
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
    """A registry whose champion a test names."""

    name = "fraudlake"

    def __init__(self, bundles):
        self.bundles, self.serving = dict(bundles), 1

    def resolve(self, model):
        if model == "challenger":
            raise FraudlakeError("no challenger")
        return self.serving if model == "champion" else int(model)

    def champion(self):
        return self.serving

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
def models(shop, monkeypatch):
    """Both models behind the registry's door; the narrow one serves."""
    found = Models(shop.bundles)
    monkeypatch.setattr(registry, "Registry", lambda _: found)
    return found


@pytest.fixture
def shop_lake(spark, shop, models, tmp_path):
    """A copy of the lake."""
    shutil.copytree(shop.folder / "lake", tmp_path / "lake")
    return Lake(spark, str(tmp_path / "lake"))


def score(lake, name, start=CUTOVER, end=END, **values):
    limits = {"from": format_instant(start), "to": format_instant(end)}
    return job.call(
        "score", lake.spark, lake=lake.root, table=TABLES[name], alerts=4,
        **{"model": VERSIONS[name], **limits, **values},
    )  # fmt: skip


def stream(shop, lake, name, start=CUTOVER):
    limits = {"from": format_instant(start), "to": format_instant(END)}
    return job.call(
        "stream", lake.spark, lake=lake.root, dataset=shop.folder / "shop.yaml",
        features=shop.folder / f"{name}.yaml", model=VERSIONS[name], alerts=4, replay="1d",
        input=shop.folder / "raw", state=f"{lake.root}/_stream_{name}", **limits,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "second"),
    [("wide", "narrow"), pytest.param("narrow", "wide", marks=pytest.mark.slow)],
)
def test_one_set_after_the_other(shop, shop_lake, models, first, second):
    """Whichever comes first, in batch or as a stream, `flagged` names entities and no feature."""
    models.serving = VERSIONS[first]
    assert score(shop_lake, first)["rows"] == 60
    models.serving = VERSIONS[second]
    assert stream(shop, shop_lake, second)["scored"] == 60
    assert score(shop_lake, second)["scores"] == 0
    assert shop_lake.read(FLAGGED).columns == [*FLAGGED.columns, "customer_id"]
    assert shop_lake.read(SCORES).count() == 120


def test_a_table_with_columns_of_a_feature_set_goes_on(shop, shop_lake, models):
    """As an earlier release made it: they stay, and are null in what comes."""
    older = {"customer_id": "bigint", "merchant_category": "string", "units": "double"}
    shop_lake.create(FLAGGED, older)
    assert score(shop_lake, "narrow", end=MIDDLE)["flagged"] > 3
    models.serving = VERSIONS["wide"]
    assert stream(shop, shop_lake, "wide", MIDDLE)["flagged"] > 3
    rows = shop_lake.read(FLAGGED)
    assert rows.columns == [*FLAGGED.columns, *older]
    assert {row[0] for row in rows.select("model_version").collect()} == {1, 2}
    assert rows.where("customer_id IS NULL OR units IS NOT NULL").isEmpty()


def test_a_table_gets_an_entity_that_the_data_set_got(shop_lake, models, tmp_path):
    score(shop_lake, "narrow", end=MIDDLE)
    flags = shop_lake.read(FLAGGED).count()
    more = SHOP.replace("customer: customer_id", "customer: customer_id, shop: merchant_category")
    (tmp_path / "shop.yaml").write_text(more)
    models.serving = VERSIONS["wide"]
    score(shop_lake, "wide", MIDDLE, dataset=tmp_path / "shop.yaml")
    rows = shop_lake.read(FLAGGED)
    assert rows.columns == [*FLAGGED.columns, "customer_id", "merchant_category"]
    assert rows.where("merchant_category IS NULL").count() == flags < rows.count()


def test_a_trial_in_batch_or_as_a_stream_leaves_flagged_alone(shop, shop_lake):
    score(shop_lake, "narrow")
    before = sorted(shop_lake.read(FLAGGED).select("tx_id", "model_version").collect())
    trial = score(shop_lake, "wide", MIDDLE)
    assert trial["flagged"] > trial["flags"] == 0
    shadow = stream(shop, shop_lake, "wide")
    assert (shadow["scored"], shadow["flagged"]) == (60, 0)
    assert shadow["remarks"]
    assert shop_lake.read(SCORES).count() == 120
    assert sorted(shop_lake.read(FLAGGED).select("tx_id", "model_version").collect()) == before


def test_equal_scores_do_not_break_the_budget(shop_lake, models):
    """A model that says the same of all, where four alerts a day are asked for."""
    manifest = json.loads(models.bundles[1]["scorer.json"])
    manifest["calibration"] = {"slope": 1e-300, "intercept": 0.0}
    manifest |= {"alert_scores": [0.5] * 60, "alert_days": 2.0}
    models.bundles[3] = {**models.bundles[1], "scorer.json": json.dumps(manifest).encode()}
    models.serving = 3
    found = score(shop_lake, "narrow", model=3)
    assert (found["scores"], found["flagged"]) == (60, 0)
    assert found["remarks"][0].startswith("alerts: got a budget of 4 a day, flags 0 a day")
