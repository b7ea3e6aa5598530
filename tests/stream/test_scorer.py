"""The stream against the batch, bit for bit."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.stream.conftest import FIRST, TYPES, as_model, keys_are_unique, scorer_on, written
from tests.worlds import CUTOVER, END

from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError
from fraudlake.features.definition.feature_set import FeatureSet, load_feature_set
from fraudlake.ingest import sources
from fraudlake.lake.tables import FLAGGED, LABELS, QUARANTINE, SCORES
from fraudlake.stream import replay
from fraudlake.stream import state as stream_state
from fraudlake.stream.history import History
from fraudlake.stream.scorer import run_stream
from fraudlake.stream.state import StreamState

pytestmark = pytest.mark.usefixtures("planned_at_once")


def test_a_replay_in_event_order_equals_the_batch(spark, world, model, expected, begun_lake):
    """Two micro-batches a day, from the raw file that also holds all of the history."""
    lake, dataset = begun_lake, load_dataset("handbook")
    records = sources.read(spark, dataset, str(world.folder / "raw"))
    state = lake.folder("stream")
    stream = replay.slices(records, dataset, timedelta(hours=12), f"{state}/replay", CUTOVER, END)
    scorer = scorer_on(lake, model, until=END)
    counts = run_stream(stream, scorer, f"{state}/checkpoint", None)
    assert counts["batches"] == 4
    assert counts["records"] == counts["scored"] == len(expected.scores)
    scores, flags = written(lake)
    assert scores == expected.scores
    assert flags == expected.flags
    keys_are_unique(lake)
    # Started again on the same input: nothing to do, nothing written.
    again = run_stream(stream, scorer_on(lake, model), f"{state}/checkpoint", None)
    assert not again["records"]


def test_doubles_and_broken_records(world, model, expected, begun_lake, batches):
    scorer = scorer_on(begun_lake, model)
    for number, batch in enumerate(batches):
        scorer.process(batch, number)
    counts = scorer.counts
    assert counts["duplicates"] == 5 + 4 + 2
    assert counts["quarantine"] == 3
    assert counts["records"] == counts["scored"] + counts["duplicates"] + counts["quarantine"]
    assert written(begun_lake) == (expected.scores, expected.flags)
    keys_are_unique(begun_lake)


def test_what_is_no_payment_is_passed_over(model, begun_lake, batches):
    scorer, amount = scorer_on(begun_lake, model, max_bad_share=0.0), "fields.TX_AMOUNT"
    other = batches[0].selectExpr("*", f"{amount} IN ('abc', '-5', '1.234') AS passed_over")
    scorer.process(other, 0)
    counts = scorer.counts
    assert (counts["passed_over"], counts["quarantine"]) == (3, 0)
    assert counts["records"] == counts["scored"] + counts["duplicates"] + counts["passed_over"]
    assert begun_lake.read(QUARANTINE).isEmpty()


def test_a_batch_of_bad_records_is_refused_and_goes_on_later(
    spark, world, model, expected, begun_lake, tmp_path
):
    """A producer wrote amounts in another way; nothing of that batch is lost or doubled."""
    lake, dataset = begun_lake, load_dataset("handbook")
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"]).astype({"TX_AMOUNT": str})
    broken = pd.concat([live.iloc[:60]] * 2)
    broken["TX_AMOUNT"] += " EUR"
    (tmp_path / "in").mkdir()
    pd.concat([live, broken]).to_parquet(tmp_path / "in" / "payments.parquet", index=False)

    def run(share):
        scorer = scorer_on(lake, model, max_bad_share=share)
        stream = sources.read_stream(spark, dataset, str(tmp_path / "in"), 1)
        return run_stream(stream, scorer, f"{lake.folder('stream')}/checkpoint", None)

    said = rf"batch 0: got 120 bad records of {120 + len(live)} \(120 times amount: expected "
    with pytest.raises(DataError, match=said):
        run(0.5)
    assert not any(lake.read(table).count() for table in (SCORES, FLAGGED, QUARANTINE))
    with pytest.raises(DataError, match="batch 0"):
        run(0.5)
    counts = run(1.0)
    assert (counts["scored"], counts["quarantine"]) == (len(live), 120)
    assert written(lake) == (expected.scores, expected.flags)
    keys_are_unique(lake)
    assert not run(0.0)["records"]


def test_a_batch_leaves_nothing_on_the_drivers_disk(spark, model, begun_lake, batches):
    """Spark keeps what Python broadcasts until the application ends, and a stream does not end."""
    own = Path(spark.sparkContext._temp_dir)
    scorer = scorer_on(begun_lake, model)
    scorer.process(batches[0], 0)
    before = set(own.iterdir())
    scorer.process(batches[1], 1)
    assert set(own.iterdir()) == before


def test_small_files_are_put_together_between_two_batches(model, expected, begun_lake, batches):
    """`OPTIMIZE` counts as nobody's rows: no batch begins to look for what stands there."""
    scorer = scorer_on(begun_lake, model)
    scorer.process(batches[0], 0)
    for table in (SCORES, FLAGGED):
        before = begun_lake.version(table)
        begun_lake.spark.sql(f"OPTIMIZE {begun_lake.reference(table)}")
        assert begun_lake.version(table) > before
    scorer.process(batches[1], 1)
    assert scorer.state._manifest(1).sole_writer
    assert written(begun_lake) == (expected.scores, expected.flags)


def test_what_the_batch_has_scored_and_flagged_stays(world, model, expected, fresh_lake, batches):
    """The same lake, scored in batch before: a transaction is scored and flagged once."""
    import shutil

    for table in (SCORES, FLAGGED):
        shutil.copytree(expected.lake.path(table), fresh_lake.path(table))
    before = fresh_lake.read(FLAGGED).collect()
    scorer = scorer_on(fresh_lake, model)
    scorer.process(batches[0], 0)
    assert scorer.counts["scored"] == FIRST
    assert sorted(fresh_lake.read(FLAGGED).collect()) == sorted(before)
    keys_are_unique(fresh_lake)


def test_labels_that_come_while_the_stream_runs(
    monkeypatch, world, model, expected, fresh_lake, batches
):
    """Half of the labels are there at the start, half come before the second batch: some of known
    transactions, some of those that come with it.
    """
    import shutil

    monkeypatch.setattr(stream_state, "_ROWS_A_PARTITION", 350)
    everything = expected.lake.read(LABELS)
    shutil.rmtree(fresh_lake.path(LABELS))
    fresh_lake.create(LABELS)
    fresh_lake.append_once(LABELS, everything.where("tx_id % 2 = 1"), "test", 0)
    scorer = scorer_on(fresh_lake, model)
    scorer.process(batches[0], 0)
    fresh_lake.append_once(LABELS, everything.where("tx_id % 2 = 0"), "test", 1)
    scorer.process(batches[1], 1)
    scores, _ = written(fresh_lake)
    second = {tx: score for tx, score in expected.scores.items() if tx not in first_of(world)}
    assert second.items() <= scores.items()
    assert scores != expected.scores


def first_of(world):
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    return set(live["TRANSACTION_ID"].iloc[:FIRST])


def test_runs_are_compacted_and_nothing_changes(
    monkeypatch, spark, world, model, expected, begun_lake
):
    monkeypatch.setattr(stream_state, "_COMPACTED_AT", 2)
    scorer = scorer_on(begun_lake, model)
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    begun = scorer.state.folder / "runs/customer/00000" / f".b{0:012d}.run.1"
    begun.touch()  # as a killed task leaves it
    became = set()
    for number, rows in enumerate(np.array_split(np.arange(len(live)), 8)):
        part = live.iloc[rows]
        path = f"{begun_lake.root}/part{number}.parquet"
        part.to_parquet(path, index=False)
        scorer.process(sources.read(spark, load_dataset("handbook"), path), number)
        if scorer.state._compacting:
            scorer.state._compacting.join()
        became |= {new[0] for _, new in scorer.state._compacted.values()}
    assert written(begun_lake) == (expected.scores, expected.flags)
    assert became == {"m", "n", "w"}
    left = {path.stem for path in scorer.state.folder.glob("runs/customer/*/*.run")}
    assert f"b{0:012d}" not in left
    assert not begun.exists()


def test_two_streams_on_one_state(model, begun_lake):
    first, second = scorer_on(begun_lake, model), scorer_on(begun_lake, model)
    refused = pytest.raises(DataError, match="another running stream holds")
    with first.state.exclusive_lock(), refused, second.state.exclusive_lock():
        raise AssertionError("both run")
    with second.state.exclusive_lock():
        assert second.state.folder.exists()


def test_a_checkpoint_older_than_the_state_is_refused(model, begun_lake, batches):
    scorer = scorer_on(begun_lake, model)
    scorer.process(batches[0], 4)
    with pytest.raises(DataError, match="checkpoint: got batch 0"):
        scorer.process(batches[1], 0)


def test_late_records_are_scored_with_what_is_known(model, first_scores, begun_lake, batches):
    """The second batch first: the late first one is scored as if it had come in time."""
    scorer = scorer_on(begun_lake, model)
    scorer.process(batches[1], 0)
    scorer.process(batches[0], 1)
    scores, _ = written(begun_lake)
    assert first_scores.items() <= scores.items()


def test_a_stream_keeps_its_cutover(model, begun_lake):
    scorer_on(begun_lake, model)
    assert scorer_on(begun_lake, model, cutover=None).state.history.cutover == CUTOVER
    with pytest.raises(DataError, match="where this stream began"):
        scorer_on(begun_lake, model, cutover=END)


def test_the_cutover_is_just_after_the_last_transaction(world, model, fresh_lake):
    last = world.rows[~world.rows.index.isin(world.live.index)]["TX_DATETIME"].max()
    cutover = scorer_on(fresh_lake, model, cutover=None).state.history.cutover
    assert pd.Timestamp(cutover).tz_localize(None) == last + pd.Timedelta(microseconds=1)


def test_another_definition_is_refused(begun_lake):
    standing = StreamState(
        History(begun_lake, begun_lake.folder("stream"), TYPES, CUTOVER),
        begun_lake.folder("stream"), load_dataset("handbook"), load_feature_set("handbook"),
    )  # fmt: skip
    other = FeatureSet.model_validate({"features": [{"column": "amount"}]})
    with pytest.raises(DataError, match="which the state in"):
        StreamState(standing.history, begun_lake.folder("stream"), load_dataset("handbook"), other)


def test_a_challenger_scores_in_the_shadow(model, expected, begun_lake, batches):
    """Its scores stand beside the champion's; flags are the champion's."""
    other = json.loads(model["scorer.json"])
    other["calibration"]["intercept"] = -3.0
    new = {**model, "scorer.json": json.dumps(other).encode()}
    scorer = scorer_on(begun_lake, model, shadow=[as_model(new, 2)])
    for number, batch in enumerate(batches):
        scorer.process(batch, number)
    rows = begun_lake.read(SCORES).select("tx_id", "model_version", "score").collect()
    assert {r.tx_id: r.score for r in rows if r.model_version == 1} == expected.scores
    lower = {r.tx_id: r.score for r in rows if r.model_version == 2}
    assert lower.keys() == expected.scores.keys()
    assert all(lower[tx] < score for tx, score in expected.scores.items())
    flags = {r.tx_id for r in begun_lake.read(FLAGGED).collect()}
    assert flags == expected.flags.keys()
    keys_are_unique(begun_lake)
    manifest = scorer.state.plan_batch(len(batches), scorer.state._manifest(1).decision, 0)
    assert manifest.sole_writer
