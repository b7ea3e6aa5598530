"""The stream against the batch, bit for bit, whatever happens on the way."""

from __future__ import annotations

import errno
import json
import os
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.worlds import CUTOVER, END

from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError
from fraudlake.features.definition.feature_set import FeatureSet, load_feature_set
from fraudlake.ingest import sources
from fraudlake.lake import Lake
from fraudlake.lake.tables import FLAGGED, LABELS, QUARANTINE, SCORES
from fraudlake.models import bundle
from fraudlake.service.admission import Model
from fraudlake.service.metrics import Service
from fraudlake.stream import replay
from fraudlake.stream import state as stream_state
from fraudlake.stream.history import History
from fraudlake.stream.scorer import StreamScorer, run_stream
from fraudlake.stream.state import StreamState

pytestmark = pytest.mark.usefixtures("planned_at_once")

FIRST = 50
TYPES = {"customer_id": "bigint", "terminal_id": "bigint"}


def as_model(files, version=1):
    return Model(version, files, bundle.digest(files), bundle.load(files).threshold(4))


def scorer_on(lake, files, version=1, **options):
    history = History(lake, lake.folder("stream"), TYPES, options.pop("cutover", CUTOVER))
    known = {version: files, **options.pop("known", {})}
    dataset = options.pop("dataset", None) or load_dataset("handbook")
    feature_set = load_feature_set("handbook")
    state = StreamState(history, lake.folder("stream"), dataset, feature_set)
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


def first_batch_is_there_once(lake, expected, first_scores):
    scores, flags = written(lake)
    assert scores == first_scores
    assert flags == {tx: flag for tx, flag in expected.flags.items() if tx in scores}
    assert lake.read(QUARANTINE).count() == 3
    keys_are_unique(lake)


class CrashError(Exception):
    """Ends a batch as a kill would: nothing after it is done."""


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


@pytest.mark.parametrize(
    ("when", "table"),
    [("before", "quarantine"), ("after", "seen"), ("after", "scores"), ("after", "flagged")],
)
def test_a_crash_at_any_write_is_made_good(
    monkeypatch, model, expected, first_scores, begun_lake, batches, when, table
):
    """A batch dies before or after one of its writes, and is run again by a new process."""

    def dying(write):
        def append(self, target, *arguments):
            if target.name == table and when == "before":
                raise CrashError
            write(self, target, *arguments)
            if target.name == table:
                raise CrashError

        return append

    monkeypatch.setattr(Lake, "append_once", dying(Lake.append_once))
    with pytest.raises(CrashError):
        scorer_on(begun_lake, model).process(batches[0], 0)
    monkeypatch.undo()
    scorer_on(begun_lake, model).process(batches[0], 0)
    first_batch_is_there_once(begun_lake, expected, first_scores)


def test_a_full_disk_ends_a_batch_which_goes_on_later(
    monkeypatch, model, expected, first_scores, begun_lake, batches
):
    """The manifest does not fit; then `seen` and `scores` do and `flagged` does not."""

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    scorer = scorer_on(begun_lake, model)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        scorer.process(batches[0], 0)
    monkeypatch.undo()
    assert not begun_lake.read(SCORES).count()
    write = Lake.append_once
    monkeypatch.setattr(
        Lake,
        "append_once",
        lambda self, table, *rest: (full if table is FLAGGED else write)(self, table, *rest),
    )
    with pytest.raises(OSError, match="No space left on device"):
        scorer_on(begun_lake, model).process(batches[0], 0)
    monkeypatch.undo()
    scorer_on(begun_lake, model).process(batches[0], 0)
    first_batch_is_there_once(begun_lake, expected, first_scores)


def test_a_batch_run_again_is_decided_by_its_first_model(
    monkeypatch, model, expected, first_scores, begun_lake, batches
):
    """Scores of the interrupted batch stand; its flags come from the same model, not the new."""
    other = json.loads(model["scorer.json"])
    other["calibration"]["intercept"] = -3.0
    new = {**model, "scorer.json": json.dumps(other).encode()}
    write = Lake.append_once

    def dying(self, target, *arguments):
        write(self, target, *arguments)
        if target.name == "scores":
            raise CrashError

    scorer = scorer_on(begun_lake, model)
    monkeypatch.setattr(Lake, "append_once", dying)
    with pytest.raises(CrashError):
        scorer.process(batches[0], 0)
    monkeypatch.undo()
    restarted = scorer_on(begun_lake, new, version=2, known={1: model})
    restarted.process(batches[0], 0)
    restarted.process(batches[1], 1)
    rows = begun_lake.read(FLAGGED).select("tx_id", "model_version").collect()
    scores = begun_lake.read(SCORES).select("tx_id", "model_version").collect()
    first = {r.tx_id for r in scores if r.model_version == 1}
    assert first == set(first_scores)
    assert {r.tx_id for r in rows if r.model_version == 1} == first & set(expected.flags)
    assert len({r.tx_id for r in scores}) == len(scores) == len(expected.scores)


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


def test_what_the_batch_scored_after_a_crash_stays(
    monkeypatch, model, expected, begun_lake, batches
):
    """A batch was begun and nothing of it written; until the next start the batch job scored it."""

    def dying(self, table, *_):
        raise CrashError

    monkeypatch.setattr(Lake, "append_once", dying)
    scorer = scorer_on(begun_lake, model)
    raw = batches[0].where("TX_AMOUNT NOT IN ('abc', '-5', '1.234')")
    with pytest.raises(CrashError):
        scorer.process(raw, 0)
    monkeypatch.undo()
    assert scorer.state._manifest(0).sole_writer
    for table in (SCORES, FLAGGED):
        begun_lake.insert_missing(table, expected.lake.read(table))
    scorer = scorer_on(begun_lake, model)
    scorer.process(raw, 0)
    scorer.process(batches[1], 1)
    assert written(begun_lake) == (expected.scores, expected.flags)
    keys_are_unique(begun_lake)


def test_a_state_that_is_lost_or_damaged_is_built_anew(
    model, expected, first_scores, begun_lake, batches
):
    """From the lake's history and what the stream has seen; scores and flags do not change."""
    scorer = scorer_on(begun_lake, model)
    scorer.process(batches[0], 0)
    runs = sorted(scorer.state.folder.glob("runs/terminal/*/*.run"))
    runs[0].unlink()
    content = bytearray(runs[-1].read_bytes())
    content[-1] ^= 1
    runs[-1].write_bytes(content)
    scorer_on(begun_lake, model).process(batches[1], 1)
    assert written(begun_lake) == (expected.scores, expected.flags)


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


def test_a_manifest_cut_off_before_its_rename_is_none(
    monkeypatch, model, expected, begun_lake, batches
):
    """A kill leaves the file under its temporary name; the batch begins as if it were not there."""
    scorer_on(begun_lake, model).process(batches[0], 0)
    rename = Path.rename

    def dying(path, target):
        if Path(target).suffix == ".json":
            raise CrashError
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", dying)
    with pytest.raises(CrashError):
        scorer_on(begun_lake, model).process(batches[1], 1)
    monkeypatch.undo()
    scorer_on(begun_lake, model).process(batches[1], 1)
    assert written(begun_lake) == (expected.scores, expected.flags)


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
