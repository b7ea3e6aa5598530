"""A short form of benchmarks/hostile.py: fuzzed records of a real topic, and the sums."""

from __future__ import annotations

from collections import defaultdict

import pytest
from benchmarks import hostile
from tests.stream.conftest import keys_are_unique, scorer_on, written
from tests.worlds import CUTOVER

from fraudlake.datasets import load_dataset
from fraudlake.ingest import sources
from fraudlake.stream.scorer import run_stream

pytestmark = pytest.mark.usefixtures("planned_at_once")


def test_card_numbers_are_found():
    number = "4111111111111111"
    for text in (number, "a 4111-1111 1111 1111b", "7 4111111111111111 3", "\\u00341" + number[2:]):
        assert number in hostile.cards_in(text), text
    for text in ("4111111111111112", "4111111111111111" * 2, "411111******1111", "4111.1111"):
        assert not hostile.cards_in(text), text


def test_hostile_records(spark, world, model, fresh_lake, publish, tmp_path, caplog):
    """Every record is accounted for, sound ones are scored, and no card number is kept."""
    found = list(hostile.records(2000, 3, CUTOVER.replace(tzinfo=None)))
    assert {kind for kind, *_ in found} > set(hostile.KINDS)
    dataset = load_dataset(str(hostile.data_set(tmp_path)))
    records = sources.read_stream(spark, dataset, publish([v for *_, v in found], 2), 1, 1000)
    scorer = scorer_on(
        fresh_lake, model, dataset=dataset, until=CUTOVER.replace(day=CUTOVER.day + 1)
    )
    caplog.set_level("INFO")
    counts = run_stream(records, scorer, f"{fresh_lake.folder('stream')}/checkpoint", None)
    parts = ("scored", "duplicates", "quarantine", "outside")
    assert counts["records"] == len(found) == sum(counts[part] for part in parts)
    assert min(counts[part] for part in parts) > 50
    scores, _ = written(fresh_lake)
    ids = defaultdict(set)
    for kind, expected, tx_id, _ in found:
        ids[expected].add(tx_id)
        assert expected != hostile.GOOD or tx_id in scores, kind
        assert expected != hostile.BAD or tx_id not in scores, kind
    keys_are_unique(fresh_lake)
    assert not hostile.leaks(tmp_path)
    shown = hostile.cards_in(caplog.text + scorer.service.text())
    assert not [number for number in shown if hostile.is_made(number)]
