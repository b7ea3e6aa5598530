"""The comparison itself, and the stream against the batch where records come as they like."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests.stream.conftest import keys_are_unique, scorer_on, written
from tests.worlds import CUTOVER, END

from fraudlake import job, registry
from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError
from fraudlake.ingest import sources
from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS, SCORES
from fraudlake.scoring import parity

pytestmark = pytest.mark.usefixtures("planned_at_once")


def test_parity_sees_one_wrong_bit(spark, expected, model, tmp_path):
    threshold = expected.result["threshold"]
    features = expected.lake.read(FEATURES).where(time_range(CUTOVER, END))
    counts = parity.compare(expected.lake, features, model, 1, threshold, CUTOVER, END, 1)
    assert counts["equal"] == counts["rows"] == len(expected.scores)
    assert counts["flags_equal"] == counts["flags"] == len(expected.flags)
    shutil.copytree(expected.lake.root, tmp_path / "lake")
    lake = Lake(spark, str(tmp_path / "lake"))
    changed = "ALTER TABLE {} SET TBLPROPERTIES ('delta.appendOnly' = 'false')"
    spark.sql(changed.format(lake.reference(SCORES)))
    one = min(expected.scores)
    spark.sql(f"UPDATE {lake.reference(SCORES)} SET score = score + 1e-15 WHERE tx_id = {one}")
    counts = parity.compare(lake, features, model, 1, threshold, CUTOVER, END, 1)
    assert counts["different"] == 1


@pytest.fixture
def disordered(world):
    """The live days, two in five records up to a day late, one in five twice: four batches."""
    random = np.random.default_rng(5)
    n = len(world.live)
    late = pd.to_timedelta((random.random(n) < 0.4) * random.integers(0, 86400, n), unit="s")
    again = random.random(n) < 0.2
    arrival = world.live["TX_DATETIME"] + late
    copies = arrival[again] + pd.to_timedelta(random.integers(0, 86400, again.sum()), unit="s")
    rows = pd.concat([world.live, world.live[again]])
    rows = rows.iloc[np.argsort(pd.concat([arrival, copies]).to_numpy(), kind="stable")]
    return [rows.iloc[part] for part in np.array_split(np.arange(len(rows)), 4)]


@pytest.mark.slow
def test_disorder_equals_what_was_known(
    spark, world, model, expected, fresh_lake, disordered, monkeypatch
):
    """Half of the labels come while the stream runs; wrong times of arrival are seen."""
    lake, everything = fresh_lake, expected.lake.read(LABELS)
    shutil.rmtree(lake.path(LABELS))
    lake.create(LABELS)
    lake.append_once(LABELS, everything.where("tx_id % 2 = 1"), "test", 0)
    scorer = scorer_on(lake, model)
    for number, rows in enumerate(disordered):
        if number == 2:
            lake.append_once(LABELS, everything.where("tx_id % 2 = 0"), "test", 1)
        path = f"{lake.root}/part{number}.parquet"
        rows.to_parquet(path, index=False)
        scorer.process(sources.read(spark, load_dataset("handbook"), path), number)
    scores, _ = written(lake)
    assert scores.keys() == expected.scores.keys()
    assert sum(scores[tx] != score for tx, score in expected.scores.items()) > 10
    keys_are_unique(lake)

    models = SimpleNamespace(
        name="fraudlake", resolve=lambda _: 1, files=lambda _: model, champion=lambda: 1
    )
    monkeypatch.setattr(registry, "Registry", lambda _: models)

    def compared():
        return job.call(
            "parity", spark, lake=lake.root, state=lake.folder("stream"), dataset="handbook",
            alerts=4,
        )  # fmt: skip

    counts = compared()
    assert counts["equal"] == counts["rows"] == len(scores)
    assert counts["flags_equal"] == counts["flags"] > 5
    assert counts["missing"] == counts["unknown"] == counts["flags_unknown"] == 0
    seen = scorer.state.history
    changed = "ALTER TABLE {} SET TBLPROPERTIES ('delta.appendOnly' = 'false')"
    spark.sql(changed.format(seen.own.reference(seen.table)))
    spark.sql(f"UPDATE {seen.own.reference(seen.table)} SET batch_id = 3 WHERE batch_id = 0")
    with pytest.raises(DataError, match="scores differ from a batch recomputation"):
        compared()
