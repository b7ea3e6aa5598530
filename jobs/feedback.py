"""Read verdicts on transactions: chargebacks, analysts' answers, customers' reports.

Reads: raw files of a feed (as `ingest` does), a Delta table, or what a Kafka topic holds. Writes:
labels, quarantine, metrics. Each verdict is a statement of its source: a later one corrects it, and
of sources that differ the one of higher trust holds. A verdict may come before its transaction; the
same input again adds nothing. Without a feed in the data set's YAML, a verdict is a line of JSON
with tx_id, verdict (fraud or genuine), known_at, and source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fraudlake import job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName = Field(
        description="data set that the verdicts are about: name in conf/datasets, or YAML"
    )
    feed: str | None = Field(
        None, description="which of the data set's `verdicts`; may be left out where there is one"
    )
    input: options.RawInput
    kafka: options.KafkaSettings = None
    avro: options.AvroSchemas = None

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        from fraudlake.ingest import kafka

        return super().problems(given) + kafka.problems(given)


def run(spark: Any, args: Arguments) -> job.Result:
    """Take the verdicts, then record the counts.

    Raises
    ------
    DataError
        No record was taken.
    """
    from fraudlake.datasets import load_dataset
    from fraudlake.ingest import counts, feedback, sources
    from fraudlake.lake import Lake, run_metrics
    from fraudlake.lake.tables import LABELS, METRICS

    lake, dataset = Lake(spark, args.lake), load_dataset(args.dataset)
    feed = feedback.named(dataset, args.feed)
    result = feedback.feedback(lake, dataset, feed, args.input, args.kafka, args.avro)
    run_id = run_metrics.run_id(
        "feedback",
        **job.resolved(args),
        definition=feed.model_dump(exclude_defaults=True),
        files=sources.listing(spark, feed, args.input, args.kafka),
    )
    lake.create(METRICS)
    numbers = {name: value for name, value in result.items() if isinstance(value, int)}
    run_metrics.record(lake, "feedback", run_id, lake.version(LABELS), numbers)
    counts.require_some(result)
    return result


if __name__ == "__main__":
    job.main(Arguments, run)
