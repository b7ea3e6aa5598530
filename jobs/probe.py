"""Shuffle one feature after the other and count the decisions that move, by group if one is named.

What a feature alone decides, of whom: the bias probe of a model-risk review.

Reads: features, labels, transactions, the model registry.
Writes: probe.csv and probe.png in the folder of `output=`.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pydantic import Field

from fraudlake import instants, job, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    model: str = Field("champion", description="alias or version number of the model")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    from_: instants.Instant | None = Field(
        None, alias="from", description="first day or instant to look at, UTC, included"
    )
    to: instants.Instant | None = Field(None, description="end of the range, UTC, excluded")
    by: str | None = Field(
        None, description="a column of transactions with few values: counts for each of them"
    )
    alerts: options.Count = Field(100, description="alert budget, flagged transactions a day")
    output: options.OutputPath = Field("build/probe", description="folder of table and picture")


def run(spark: Any, args: Arguments) -> job.Result:
    """Shuffle, count, draw, report."""
    from pyspark.sql import functions as F

    from fraudlake.errors import ConfigError, DataError
    from fraudlake.instants import time_range
    from fraudlake.lake import Lake
    from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS
    from fraudlake.models.scorer import check_definition
    from fraudlake.registry import Registry
    from fraudlake.reports import plots
    from fraudlake.reports import probe as page
    from fraudlake.scoring import probe

    lake, registry = Lake(spark, args.lake, args.table), Registry(args.lake)
    version = registry.resolve(args.model)
    files, scorer = registry.files(version), registry.load(version)
    within = time_range(args.from_, args.to)
    rows = lake.read(FEATURES).where(within)
    definitions = [row[0] for row in rows.select("definition").distinct().collect()]
    if not definitions:
        raise DataError(f"features: got no rows with {within}, expected some; run the features job")
    for found in definitions:
        check_definition(version, scorer.definition, found)
    newest = F.max_by("is_fraud", F.struct("known_at", "source")).cast("int").alias("label")
    labels = lake.read(LABELS).groupBy("tx_id").agg(newest)
    rows = rows.join(labels, "tx_id", "left")
    if args.by:
        transactions = lake.read(TRANSACTIONS).where(within)
        if args.by not in transactions.columns:
            expected = ", ".join(transactions.columns)
            raise ConfigError([f"by: got {args.by!r}, expected one of {expected}"])
        group = F.col(args.by).alias("_group")
        rows = rows.join(transactions.select("tx_id", group), "tx_id")
    found = probe.probe(rows, files, scorer.threshold(args.alerts), "_group" if args.by else None)
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    with (output / "probe.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    plots.moved(found).savefig(output / "probe.png", dpi=100)
    page.show(found)
    every = [one for one in found if one["group"] == probe.EVERY]
    return {
        "model_version": version,
        **{name: every[0][name] for name in ("rows", "flags", "frauds")},
        "moved": {one["feature"]: one["lost"] + one["gained"] for one in every},
        "output": args.output,
    }


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
