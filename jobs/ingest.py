"""Read raw transactions, check every record, keep the good ones and quarantine the rest.

Reads: raw files of a data set (Parquet, CSV or JSON lines; a file, a folder, a pattern), a Delta
table, or what a Kafka topic holds. Writes: transactions, labels, quarantine, metrics.
Records in = new transactions + duplicates + quarantine + passed over (no payments, as `record` of
the data set says); the same input again adds nothing. Where all records go to quarantine the job
fails, after that is written: the YAML is wrong.
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
        description="data set of the input: name in conf/datasets, or YAML"
    )
    input: options.RawInput
    kafka: options.KafkaSettings = None
    avro: options.AvroSchemas = None

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        from fraudlake.ingest import kafka

        return super().problems(given) + kafka.problems(given)


def run(spark: Any, args: Arguments) -> job.Result:
    """Ingest, then record the counts.

    Raises
    ------
    DataError
        No record was taken.
    """
    from fraudlake.datasets import load_dataset
    from fraudlake.ingest import counts, ingest, sources
    from fraudlake.lake import Lake, run_metrics
    from fraudlake.lake.tables import TRANSACTIONS

    lake, dataset = Lake(spark, args.lake), load_dataset(args.dataset)
    result = ingest(lake, dataset, args.input, args.kafka, args.avro)
    run_id = run_metrics.run_id(
        "ingest",
        **job.resolved(args),
        definition=dataset.model_dump(exclude_defaults=True),
        files=sources.listing(spark, dataset, args.input, args.kafka),
    )
    numbers = {name: value for name, value in result.items() if isinstance(value, int)}
    run_metrics.record(lake, "ingest", run_id, lake.version(TRANSACTIONS), numbers)
    counts.require_some(result)
    return result


if __name__ == "__main__":
    job.main(Arguments, run)
