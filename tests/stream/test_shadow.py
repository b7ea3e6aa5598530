"""A stream whose model is not in service: scores and no flags, until it goes into service."""

from __future__ import annotations

import json
import shutil

import pytest
from tests.stream.conftest import keys_are_unique, scorer_on, written

from fraudlake.lake import Lake
from fraudlake.lake.tables import FLAGGED, SCORES

pytestmark = pytest.mark.usefixtures("planned_at_once")


def test_a_shadow_becomes_the_service_between_two_batches(
    model, expected, begun_lake, batches, first_scores
):
    """Nobody has to look what stands there; a start without the registry goes on as before."""
    answers = {1: False}
    scorer = scorer_on(begun_lake, model, in_service=answers.get)
    scorer.process(batches[0], 0)
    assert written(begun_lake) == (first_scores, {})
    answers.clear()
    assert not scorer._decision().flags
    answers[1] = True
    scorer.process(batches[1], 1)
    answers.clear()
    assert scorer._decision().flags
    later = {tx: flag for tx, flag in expected.flags.items() if tx not in first_scores}
    assert written(begun_lake) == (expected.scores, later)
    assert scorer.counts["flagged"] == len(later) > 0
    assert scorer.shadows == 1
    assert scorer.remarks()[0].startswith("1 of 2 micro-batches were decided by a version that is")
    assert scorer.state._manifest(1).sole_writer
    assert scorer.state.nothing_written_since(scorer.state.plan_batch(2, scorer._decision(), 0))


def test_a_batch_begun_in_the_shadow_stays_there(monkeypatch, model, begun_lake, batches):
    """It dies after its scores; until the next start its model goes into service."""
    write = Lake.append_once

    class CrashError(Exception):
        pass

    def dying(self, target, *arguments):
        appended = write(self, target, *arguments)
        if target is SCORES:
            raise CrashError
        return appended

    monkeypatch.setattr(Lake, "append_once", dying)
    with pytest.raises(CrashError):
        scorer_on(begun_lake, model, in_service=lambda _: False).process(batches[0], 0)
    monkeypatch.undo()
    scorer_on(begun_lake, model).process(batches[0], 0)
    assert begun_lake.read(FLAGGED).isEmpty()


def test_a_batch_begun_by_an_earlier_release_flags(model, expected, begun_lake, batches):
    """Its manifest does not say whether its model was in service: every model flagged."""
    scorer = scorer_on(begun_lake, model)
    scorer.state.plan_batch(0, scorer._decision(), 0)
    path = scorer.state._manifest_path(0)
    manifest = json.loads(path.read_text())
    del manifest["decision"]["flags"]
    path.write_text(json.dumps(manifest))
    scorer_on(begun_lake, model, in_service=lambda _: False).process(batches[0], 0)
    assert begun_lake.read(FLAGGED).count() > 0


def test_what_another_version_decided_is_not_flagged_again(model, expected, fresh_lake, batches):
    """Days that the champion before it has scored and flagged come to a stream once more."""
    for table in (SCORES, FLAGGED):
        shutil.copytree(expected.lake.path(table), fresh_lake.path(table))
    manifest = json.loads(model["scorer.json"])
    manifest["alert_scores"] = [0.9, 0.5, 0.3, 0.05]
    lower = {**model, "scorer.json": json.dumps(manifest).encode()}
    scorer = scorer_on(fresh_lake, lower, version=2)
    scorer.process(batches[0], 0)
    scores = fresh_lake.read(SCORES).where("model_version = 2")
    assert scores.where("score >= 0.05").count() > scores.where("score >= 0.2").count()
    assert {r.tx_id for r in fresh_lake.read(FLAGGED).collect()} == expected.flags.keys()
    keys_are_unique(fresh_lake)
