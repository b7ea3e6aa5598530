"""Score the feature table with a registered model and flag what an alert budget allows.

Reads: features, transactions, the model registry.
Writes: scores (one row a transaction and model version), flagged (one row a flagged transaction,
with reasons), metrics. A second run on the same input changes nothing.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fraudlake import instants, job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName | None = Field(
        None, description="name in conf/datasets or a YAML file; if left out, what the lake holds"
    )
    model: str = Field("champion", description="alias or version number of the model")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    from_: instants.Instant | None = Field(
        None, alias="from", description="first day or instant to score, UTC, included"
    )
    to: instants.Instant | None = Field(None, description="end of the range, UTC, excluded")
    alerts: options.Count = Field(100, description="alert budget, flagged transactions a day")


def run(spark: Any, args: Arguments) -> job.Result:
    """Load the model, score the range, write both tables, report."""
    from fraudlake.datasets import load_dataset
    from fraudlake.lake import Lake, run_metrics
    from fraudlake.lake.tables import FEATURES, FLAGGED
    from fraudlake.registry import Registry
    from fraudlake.scoring import batch

    lake = Lake(spark, args.lake, args.table)
    dataset = load_dataset(args.dataset or lake.dataset())
    registry = Registry(args.lake)
    version = registry.resolve(args.model)
    result = batch.score_range(
        lake, dataset, registry.files(version), version, args.alerts, args.from_, args.to,
        registry.champion(), registry.name,
    )  # fmt: skip
    run = run_metrics.run_id(
        "score", config=job.resolved(args), model=version, features=lake.version(FEATURES)
    )
    metrics = {name: result[name] for name in ("rows", "flagged", "threshold")}
    run_metrics.record(lake, "score", run, lake.version(FLAGGED), metrics)
    return {"model_version": version, **result}


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
