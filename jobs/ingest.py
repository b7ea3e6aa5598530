"""Read raw transactions, check every record, keep the good ones and quarantine the rest.

Reads: raw files of a data set (Parquet, CSV or JSON lines; a file, a folder, a pattern) or a Delta
table. Writes: transactions, labels, quarantine, metrics.
Records in = new transactions + duplicates + quarantine; the same input again adds nothing.
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
        description="data set of the input: name in conf/datasets, or YAML"
    )
    input: options.InputPath = Field(
        description="file, folder or pattern of raw files, or a Delta table"
    )


def run(spark: Any, args: Arguments) -> job.Result:
    """Ingest, then record the counts."""
    from fraudlake import runs
    from fraudlake.datasets import load_dataset
    from fraudlake.ingest import files, ingest
    from fraudlake.tables import TRANSACTIONS, Lake

    lake, dataset = Lake(spark, args.lake), load_dataset(args.dataset)
    result = ingest(lake, dataset, args.input)
    run_id = runs.run_id(
        "ingest",
        **job.resolved(args),
        definition=dataset.model_dump(),
        files=files.listing(spark, args.input),
    )
    counts = {name: value for name, value in result.items() if isinstance(value, int)}
    runs.record(lake, "ingest", run_id, lake.version(TRANSACTIONS), counts)
    return result


if __name__ == "__main__":
    job.main(Arguments, run)
