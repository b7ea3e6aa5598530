"""A stream of a Kafka topic in event order, from a real broker: the batch's scores, bit for bit."""

from __future__ import annotations

import os
import signal

import pytest
from tests.stream.conftest import scorer_on, written

from fraudlake.datasets import load_dataset
from fraudlake.ingest import sources
from fraudlake.stream.scorer import run_stream

pytestmark = pytest.mark.usefixtures("planned_at_once")


def test_a_topic_in_event_order_equals_the_batch(
    spark, world, model, expected, begun_lake, publish, monkeypatch
):
    """The first run gets SIGTERM in its first batch and begins no other, though there are more."""
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    live["TX_DATETIME"] = live["TX_DATETIME"].astype(str)
    address = publish(live.to_json(orient="records", lines=True).splitlines())
    records = sources.read_stream(spark, load_dataset("handbook"), address, 1, 30)
    checkpoint = f"{begun_lake.folder('stream')}/checkpoint"
    first = scorer_on(begun_lake, model)
    whole = first._process

    def told_to_stop(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        whole(*arguments)

    monkeypatch.setattr(first, "_process", told_to_stop)
    assert run_stream(records, first, checkpoint, None)["batches"] == 1
    scorer = scorer_on(begun_lake, model)
    counts = run_stream(records, scorer, checkpoint, None)
    assert counts["batches"] == -(-len(live) // 30) - 1 > 1
    assert counts["records"] == counts["scored"] == len(expected.scores) - 30
    assert written(begun_lake) == (expected.scores, expected.flags)
    shown = scorer.service.text()
    assert f'fraudlake_records_total{{outcome="scored"}} {len(live) - 30}.0' in shown
    assert f"fraudlake_latency_seconds_count {len(live) - 30}.0" in shown
