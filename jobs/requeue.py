"""Bring records of quarantine in, after the data set's YAML was mended.

Reads: quarantine. Writes: transactions, labels, quarantine, metrics. Each record is read and
checked as if it had just come; what cannot be taken now either stays in quarantine, once. Records
that hold a card number are counted as masked, since their digits are gone: run `ingest` on their
input again.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fraudlake import job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName = Field(
        description="data set of the records: name in conf/datasets, or YAML"
    )
    header: str | None = Field(
        None, description="CSV files with a header: the line that names the fields"
    )


def run(spark: Any, args: Arguments) -> job.Result:
    """Ingest the records, then record the counts."""
    from fraudlake.datasets import load_dataset
    from fraudlake.ingest.requeue import requeue
    from fraudlake.lake import Lake, run_metrics
    from fraudlake.lake.tables import QUARANTINE, TRANSACTIONS

    lake, dataset = Lake(spark, args.lake), load_dataset(args.dataset)
    result = requeue(lake, dataset, args.header)
    run_id = run_metrics.run_id(
        "requeue",
        **job.resolved(args),
        definition=dataset.model_dump(exclude_defaults=True),
        quarantine=lake.version(QUARANTINE),
    )
    counts = {name: value for name, value in result.items() if isinstance(value, int)}
    run_metrics.record(lake, "requeue", run_id, lake.version(TRANSACTIONS), counts)
    return result


if __name__ == "__main__":
    job.main(Arguments, run)
