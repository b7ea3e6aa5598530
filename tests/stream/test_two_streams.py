"""Others write to a stream's tables between its look and its commit: every row is there once."""

from __future__ import annotations

import pytest
from tests.stream.conftest import FIRST, as_model, keys_are_unique, scorer_on, written

from fraudlake.lake import Lake, delta_log
from fraudlake.lake.tables import FLAGGED, QUARANTINE, SCORES
from fraudlake.stream import writes

pytestmark = pytest.mark.usefixtures("planned_at_once")


def meanwhile(monkeypatch, table, others):
    """Others write just before the next append to a table, or `within` it: before its commit."""
    append, newest, left = Lake.append_once, delta_log._newest, [others]

    def appended(self, target, *arguments):
        if target is table and left:
            left.pop()()
        return append(self, target, *arguments)

    def looked(spark, log):
        snapshot = newest(spark, log)
        if log.dataPath().getName() == table.name and left:
            left.pop()()
        return snapshot

    def within(self, target, *arguments):
        if target is table:
            monkeypatch.setattr(delta_log, "_newest", looked)
        return append(self, target, *arguments)

    return {"before": appended, "within": within}


@pytest.mark.parametrize(
    ("table", "when"),
    [
        (SCORES, "within"),
        pytest.param(SCORES, "before", marks=pytest.mark.slow),
        pytest.param(FLAGGED, "within", marks=pytest.mark.slow),
    ],
    ids=lambda word: getattr(word, "name", word),
)
def test_a_batch_job_beside_a_stream(
    monkeypatch, model, expected, begun_lake, batches, table, when
):
    """`score` of the same version adds its rows; then again, where the stream has to look."""
    scorer = scorer_on(begun_lake, model)
    rows = expected.lake.read(table)
    for number, batch in enumerate(batches):
        part = rows.where(f"tx_id % 2 = {number}")
        others = meanwhile(
            monkeypatch, table, lambda part=part: begun_lake.insert_missing(table, part)
        )
        monkeypatch.setattr(Lake, "append_once", others[when])
        scorer.process(batch, number)
        monkeypatch.undo()
    assert written(begun_lake) == (expected.scores, expected.flags)
    keys_are_unique(begun_lake)
    assert not scorer.state._manifest(1).sole_writer


@pytest.mark.parametrize(
    "table",
    [FLAGGED, *(pytest.param(table, marks=pytest.mark.slow) for table in (QUARANTINE, SCORES))],
    ids=lambda table: table.name,
)
def test_two_streams_at_one_moment(
    monkeypatch, model, expected, first_scores, begun_lake, batches, table
):
    """The second, with a state and a model of its own, takes the same batch in between."""
    first = scorer_on(begun_lake, model)
    second = scorer_on(begun_lake, model, version=2, folder="stream_2")
    others = meanwhile(monkeypatch, table, lambda: second.process(batches[0], 0))
    monkeypatch.setattr(Lake, "append_once", others["within"])
    first.process(batches[0], 0)
    monkeypatch.undo()
    keys_are_unique(begun_lake)
    _, flags = written(begun_lake)
    assert flags == {tx: flag for tx, flag in expected.flags.items() if tx in first_scores}
    assert begun_lake.read(SCORES).count() == 2 * FIRST
    assert begun_lake.read(QUARANTINE).count() == 3


def test_a_stream_with_a_shadow_looks_for_nothing_alone(
    monkeypatch, model, expected, begun_lake, batches
):
    """Two commits a batch to `scores`, and both are its own."""
    shadow = as_model(model, 2)
    scorer = scorer_on(begun_lake, model, shadow=(shadow,), known={2: model})
    monkeypatch.setattr(writes, "not_standing", None)
    for number, batch in enumerate(batches):
        scorer.process(batch, number)
    monkeypatch.undo()
    assert written(begun_lake) == (expected.scores, expected.flags)
    assert begun_lake.read(SCORES).count() == 2 * len(expected.scores)
    keys_are_unique(begun_lake)
