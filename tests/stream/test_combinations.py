"""Windows over a combination of entities: a stream gives the batch's scores, bit for bit."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
import xgboost
from tests.worlds import CUTOVER, END

from fraudlake import job, registry
from fraudlake.datasets import load_dataset
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.table.build import build
from fraudlake.instants import format_instant, time_range
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, SCORES
from fraudlake.models import bundle
from fraudlake.models.calibration import Calibration
from fraudlake.scoring.apply import score_rows

pytestmark = pytest.mark.usefixtures("planned_at_once")

SET = """
features:
  - column: amount
  - {entity: [customer, terminal], operations: [count, {sum: amount}], windows: [2d, 20d]}
  - {entity: [customer, terminal], operations: [{rate: fraud}], windows: [20d], delay: 7d}
"""


@pytest.fixture
def feature_set(tmp_path):
    (tmp_path / "pairs.yaml").write_text(SET)
    return load_feature_set(str(tmp_path / "pairs.yaml"))


@pytest.fixture
def pairs_model(feature_set):
    """A model that splits on every feature."""
    names = [feature.name for feature in feature_set.features]
    random = np.random.default_rng(1)
    x = random.random((2000, len(names))) * [300, 4, 600, 12, 1800, 0.5]
    data = xgboost.DMatrix(x, random.random(2000) < x.mean(axis=1) / 500)
    weights = xgboost.train({"max_depth": 5, "nthread": 1}, data, 20).save_raw("ubj")
    return bundle.pack(
        "xgboost", dict.fromkeys(names), feature_set.hash, timedelta(days=7), bytes(weights),
        Calibration(slope=1.0, intercept=0.1), [0.9, 0.5, 0.3, 0.2], 1.0, {},
    )  # fmt: skip


def test_a_stream_over_pairs_equals_the_batch(
    spark, world, expected, fresh_lake, feature_set, pairs_model, monkeypatch
):
    class OneModel:
        name = "fraudlake"

        def __init__(self, lake):
            self.lake = lake

        def resolve(self, _):
            return 1

        def files(self, _):
            return pairs_model

        def describe(self, _):
            return {}

    monkeypatch.setattr(registry, "Registry", OneModel)
    limits = {"from": format_instant(CUTOVER), "to": format_instant(END)}
    counts = job.call(
        "stream", spark, lake=fresh_lake.root, dataset="handbook", features=feature_set.name,
        input=world.folder / "raw", replay="1d", alerts=4, **limits,
    )  # fmt: skip
    batch = Lake(spark, expected.lake.root, "features_pairs")
    build(batch, feature_set, load_dataset("handbook"), CUTOVER, END)
    features = batch.read(FEATURES).where(time_range(CUTOVER, END))
    scores = score_rows(features, pairs_model, None, ["tx_id"])
    wanted = {row.tx_id: row.score for row in scores.collect()}
    assert counts["scored"] == len(wanted) > 60
    assert len(set(wanted.values())) > 30
    assert {row.tx_id: row.score for row in fresh_lake.read(SCORES).collect()} == wanted
