"""A batch that dies, a full disk, a damaged state: the next start makes it good."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from tests.stream.conftest import keys_are_unique, scorer_on, written

from fraudlake.lake import Lake
from fraudlake.lake.tables import FLAGGED, QUARANTINE, SCORES

pytestmark = pytest.mark.usefixtures("planned_at_once")


class CrashError(Exception):
    """Ends a batch as a kill would: nothing after it is done."""


def first_batch_is_there_once(lake, expected, first_scores):
    scores, flags = written(lake)
    assert scores == first_scores
    assert flags == {tx: flag for tx, flag in expected.flags.items() if tx in scores}
    assert lake.read(QUARANTINE).count() == 3
    keys_are_unique(lake)


@pytest.mark.parametrize(
    ("when", "table"),
    [
        ("before", "quarantine"),
        ("after", "scores"),
        pytest.param("after", "seen", marks=pytest.mark.slow),
        pytest.param("after", "flagged", marks=pytest.mark.slow),
    ],
)
def test_a_crash_at_any_write_is_made_good(
    monkeypatch, model, expected, first_scores, begun_lake, batches, when, table
):
    """A batch dies before or after one of its writes, and is run again by a new process."""

    def dying(write):
        def append(self, target, *arguments):
            if target.name == table and when == "before":
                raise CrashError
            appended = write(self, target, *arguments)
            if target.name == table:
                raise CrashError
            return appended

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
        appended = write(self, target, *arguments)
        if target.name == "scores":
            raise CrashError
        return appended

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
