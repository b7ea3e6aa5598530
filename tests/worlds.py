"""A small lake with history, a live week in raw files, and a model: all made up, all seeded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS, TRANSACTIONS

START = datetime(2018, 4, 1, tzinfo=UTC)
CUTOVER = START + timedelta(days=40)
END = START + timedelta(days=42)


def raw_rows(seed: int = 3, days: int = 42, per_day: int = 40) -> pd.DataFrame:
    """Records with the Handbook's raw field names, in no order; several share a second."""
    random = np.random.default_rng(seed)
    n = days * per_day
    seconds = random.integers(0, days * 8640, n) * 10
    frame = pd.DataFrame(
        {
            "TRANSACTION_ID": random.permutation(n).astype(np.int64),
            "TX_DATETIME": pd.Timestamp(START).tz_localize(None)
            + pd.to_timedelta(seconds, unit="s"),
            "CUSTOMER_ID": random.integers(0, 15, n),
            "TERMINAL_ID": random.integers(0, 9, n),
            "TX_AMOUNT": random.integers(1, 30000, n) / 100,
            "TX_FRAUD": (random.random(n) < 0.1).astype(np.int64),
        }
    )
    frame["TX_DATETIME"] = frame["TX_DATETIME"].astype("datetime64[us]")
    return frame


@pytest.fixture(scope="session")
def model():
    """A boosted model on the Handbook's features, as a bundle; it flags about one in five."""
    import xgboost

    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.models import bundle
    from fraudlake.models.calibration import Calibration

    feature_set = load_feature_set("handbook")
    names = [feature.name for feature in feature_set.features]
    random = np.random.default_rng(0)
    x = random.random((4000, len(names))) * [300, 1, 1, *[9, 200] * 3, *[30, 0.4] * 3]
    y = random.random(4000) < 1 / (1 + np.exp(4 - x[:, 0] / 100 - 8 * x[:, -1]))
    parameters = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1}
    weights = xgboost.train(parameters, xgboost.DMatrix(x, y), 20).save_raw("ubj")
    return bundle.pack(
        "xgboost", dict.fromkeys(names), feature_set.hash, timedelta(days=7), bytes(weights),
        Calibration(slope=1.0, intercept=0.1), [0.9, 0.5, 0.3, 0.2], 1.0, {},
    )  # fmt: skip


@pytest.fixture(scope="session")
def world(spark, tmp_path_factory):
    """Folder `lake` with history before the cutover, folder `raw` with it all as one raw file."""
    from fraudlake.datasets import load_dataset
    from fraudlake.ingest.pipeline import ingest

    folder = tmp_path_factory.mktemp("world")
    rows = raw_rows()
    (folder / "raw").mkdir()
    (folder / "history").mkdir()
    rows.to_parquet(folder / "raw" / "all.parquet", index=False)
    before = rows["TX_DATETIME"] < pd.Timestamp(CUTOVER).tz_localize(None)
    rows[before].to_parquet(folder / "history" / "history.parquet", index=False)
    lake = Lake(spark, str(folder / "lake"))
    ingest(lake, load_dataset("handbook"), str(folder / "history"))
    live = rows[~before]
    return SimpleNamespace(folder=folder, rows=rows, live=live, lake=lake)


@pytest.fixture
def fresh_lake(spark, world, tmp_path):
    """A copy of the history's lake that a test may write to."""
    import shutil

    for table in (TRANSACTIONS, LABELS):
        shutil.copytree(world.lake.path(table), tmp_path / "lake" / table.name)
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def planned_at_once(spark):
    """As the stream's job has it."""
    spark.conf.set("spark.sql.adaptive.enabled", value=False)
    yield
    spark.conf.unset("spark.sql.adaptive.enabled")


@pytest.fixture(scope="session")
def begun(spark, world, model, tmp_path_factory):
    """A copy of the history's lake with the tables and the state of a stream that read nothing.

    The state has five partitions, for two tasks.
    """
    import shutil

    from tests.stream.conftest import scorer_on

    from fraudlake.stream import state

    root = tmp_path_factory.mktemp("begun") / "lake"
    for table in (TRANSACTIONS, LABELS):
        shutil.copytree(world.lake.path(table), root / table.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "_ROWS_A_PARTITION", 350)
        scorer = scorer_on(Lake(spark, str(root)), model)
    assert scorer.state.partitions == 5
    return root


@pytest.fixture
def begun_lake(spark, begun, tmp_path):
    """A copy of it that a test may write to."""
    import shutil

    shutil.copytree(begun, tmp_path / "lake")
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture(scope="session")
def expected(spark, world, model, tmp_path_factory):
    """What a batch run over everything gives for the live days."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.features.table.build import build
    from fraudlake.ingest.pipeline import ingest
    from fraudlake.lake.tables import FLAGGED, SCORES
    from fraudlake.scoring.batch import score_range

    lake = Lake(spark, str(tmp_path_factory.mktemp("batch") / "lake"))
    dataset = load_dataset("handbook")
    ingest(lake, dataset, str(world.folder / "raw"))
    build(lake, load_feature_set("handbook"), dataset)
    result = score_range(lake, dataset, model, 1, 4, CUTOVER, END, champion=1)
    scores = {r.tx_id: r.score for r in lake.read(SCORES).collect()}
    flags = {r.tx_id: (r.score, r.amount, r.reasons) for r in lake.read(FLAGGED).collect()}
    return SimpleNamespace(lake=lake, result=result, scores=scores, flags=flags)
