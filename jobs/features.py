"""Build the feature table: point-in-time features of every transaction.

Reads: transactions, labels.
Writes: features (one row a transaction), metrics. A second run on equal transactions, labels and
definitions changes nothing; without `from` and `to` the whole table is made right by computing what
new and late transactions and labels touch, and the run tells how many rows that changed. Where the
feature set has changed, features that mean the same are kept and only the others computed. With
`table=features_NAME` another definition stands beside the first; the jobs that read features take
the same key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fraudlake import instants, job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName | None = Field(
        None, description="data set: name in conf/datasets, or YAML; left out, the lake's own"
    )
    features: names.FeatureSetName = Field(
        "handbook", description="feature set: name in conf/features, or YAML"
    )
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    from_: instants.Instant | None = Field(
        None, alias="from", description="first day or instant to build, UTC, included"
    )
    to: instants.Instant | None = Field(None, description="end of the range, UTC, excluded")

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        return super().problems(given) + names.misfits(given)


def run(spark: Any, args: Arguments) -> job.Result:
    """Find the data set, compute the range, write it, report."""
    from fraudlake.datasets import load_dataset
    from fraudlake.errors import ConfigError
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.features.table.build import build
    from fraudlake.lake import Lake, run_metrics
    from fraudlake.lake.tables import FEATURES

    lake = Lake(spark, args.lake, args.table)
    name = args.dataset or lake.dataset()
    if problems := names.misfits({"features": args.features, "dataset": name}):
        raise ConfigError(problems)
    feature_set, dataset = load_feature_set(args.features), load_dataset(name)
    result = build(lake, feature_set, dataset, args.from_, args.to)
    version = lake.version(FEATURES)
    built = {"table": args.table, "definition": feature_set.hash, "version": version}
    run = run_metrics.run_id("features", **built, **result["inputs"])
    metrics = {name: n for name, n in result.items() if name not in ("changed", "inputs")}
    run_metrics.record(lake, "features", run, version, metrics)
    return {
        **metrics,
        "changed": result["changed"],
        "features": len(feature_set.features),
        "definition": feature_set.hash,
        "version": version,
    }


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
