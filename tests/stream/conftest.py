"""A stream's scorer on a small lake, what it wrote, and the live days as two micro-batches."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.worlds import CUTOVER

from fraudlake.datasets import load_dataset
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.ingest import sources
from fraudlake.lake.tables import FLAGGED, QUARANTINE, SCORES
from fraudlake.models import bundle
from fraudlake.service.admission import Model
from fraudlake.service.metrics import Service
from fraudlake.stream.history import History
from fraudlake.stream.scorer import StreamScorer
from fraudlake.stream.state import StreamState

FIRST = 50
TYPES = {"customer_id": "bigint", "terminal_id": "bigint"}


def as_model(files, version=1):
    return Model(version, files, bundle.digest(files), bundle.load(files).threshold(4))


def scorer_on(lake, files, version=1, **options):
    folder = lake.folder(options.pop("folder", "stream"))
    history = History(lake, folder, TYPES, options.pop("cutover", CUTOVER))
    known = {version: files, **options.pop("known", {})}
    dataset = options.pop("dataset", None) or load_dataset("handbook")
    feature_set = load_feature_set("handbook")
    state = StreamState(history, folder, dataset, feature_set)
    models = (as_model(files, version), *options.pop("shadow", ()))
    return StreamScorer(
        lake, dataset, feature_set, state, lambda: models, known.__getitem__,
        Service(600, ()), **options,
    )  # fmt: skip


def written(lake):
    scores = {r.tx_id: r.score for r in lake.read(SCORES).collect()}
    flags = {r.tx_id: (r.score, r.amount, r.reasons) for r in lake.read(FLAGGED).collect()}
    return scores, flags


def keys_are_unique(lake):
    for table in (SCORES, FLAGGED, QUARANTINE):
        rows = lake.read(table).select(*table.key)
        assert rows.count() == rows.distinct().count(), table.name


@pytest.fixture
def batches(spark, world, tmp_path):
    """The live days as two raw DataFrames in event order, with doubles and broken records."""
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"]).astype({"TX_AMOUNT": str})
    first, second = live.iloc[:FIRST], live.iloc[FIRST:]
    bad = first.iloc[:3].assign(TRANSACTION_ID=[-1, -2, -3], TX_AMOUNT=["abc", "-5", "1.234"])
    known = world.rows[~world.rows["TRANSACTION_ID"].isin(live["TRANSACTION_ID"])].iloc[:4]
    parts = [
        pd.concat([first, first.iloc[:5], bad, known.astype({"TX_AMOUNT": str})]),
        pd.concat([second, first.iloc[:2]]),
    ]
    frames = []
    for number, part in enumerate(parts):
        path = tmp_path / f"batch{number}.parquet"
        part.to_parquet(path, index=False)
        frames.append(sources.read(spark, load_dataset("handbook"), str(path)))
    return frames


@pytest.fixture
def first_scores(world, expected):
    """Batch scores of what is new in the first batch."""
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    return {tx: expected.scores[tx] for tx in live["TRANSACTION_ID"].iloc[:FIRST]}
