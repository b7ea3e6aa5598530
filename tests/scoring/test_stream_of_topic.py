"""A stream of a Kafka topic in event order, from a real broker: the batch's scores, bit for bit."""

from __future__ import annotations

from tests.scoring.test_stream import scorer_on, written

from fraudlake.datasets import load_dataset
from fraudlake.ingest import sources
from fraudlake.scoring.stream import run_stream


def test_a_topic_in_event_order_equals_the_batch(
    spark, world, model, expected, fresh_lake, publish
):
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    live["TX_DATETIME"] = live["TX_DATETIME"].astype(str)
    address = publish(live.to_json(orient="records", lines=True).splitlines())
    records = sources.read_stream(spark, load_dataset("handbook"), address, 1, 30)
    scorer = scorer_on(fresh_lake, model)
    counts = run_stream(records, scorer, f"{fresh_lake.folder('stream')}/checkpoint", None)
    assert counts["batches"] == -(-len(live) // 30) > 2
    assert counts["records"] == counts["scored"] == len(expected.scores)
    assert written(fresh_lake) == (expected.scores, expected.flags)
    shown = scorer.service.text()
    assert f'fraudlake_records_total{{outcome="scored"}} {len(live)}.0' in shown
    assert f"fraudlake_latency_seconds_count {len(live)}.0" in shown
