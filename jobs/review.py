"""Review the features: coverage, drift, strength alone, likeness, cost; what to drop and why.

Categories are left out; give `from=` a day by which the windows are full, or they drift.

Reads: features, labels.
Writes: metrics; features.csv and features.png in the folder of `output=`. A second run on equal
tables writes the same.
"""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import Field

from fraudlake import instants, job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    features: names.FeatureSetName = Field(
        "handbook", description="feature set: name in conf/features, or YAML"
    )
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    from_: instants.Instant | None = Field(
        None, alias="from", description="first day or instant to look at, UTC, included"
    )
    to: instants.Instant | None = Field(None, description="end of the range, UTC, excluded")
    output: options.OutputPath = Field("build/review", description="folder of table and picture")


def run(spark: Any, args: Arguments) -> job.Result:
    """Count once, assess, draw, report."""
    from pyspark.sql import functions as F

    from fraudlake.errors import DataError
    from fraudlake.features.definition.explain import cost
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.instants import time_range
    from fraudlake.lake import Lake, run_metrics
    from fraudlake.lake.tables import FEATURES, LABELS
    from fraudlake.reports import feature_review, plots, terminal

    lake = Lake(spark, args.lake, args.table)
    versions = {table.name: lake.version(table) for table in (FEATURES, LABELS)}
    newest = F.max_by("is_fraud", F.struct("known_at", "source")).alias("is_fraud")
    labels = lake.read(LABELS).groupBy("tx_id").agg(newest)
    rows = lake.read(FEATURES).where(time_range(args.from_, args.to)).join(labels, "tx_id")
    feature_set = load_feature_set(args.features)
    costs = {f.name: cost(f, feature_set) for f in feature_set.features if f.sql_type != "string"}
    features = list(costs)
    missing = sorted(set(features) - set(rows.columns))
    if missing:
        raise DataError(
            f"features: got a table without {', '.join(missing)}, expected the columns of the "
            f"feature set {args.features}; run the job features first, or name the table's own set"
        )
    counts = feature_review.count(rows, features)
    try:
        summaries = feature_review.assess(counts)
    except ValueError as error:
        raise DataError(f"labels: {error}; check from, to and that labels were ingested") from None

    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    with (output / "features.csv").open("w", newline="") as file:
        lines = [asdict(summary) | {"cost": costs[summary.name]} for summary in summaries]
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    plots.features_under_review(counts, summaries).savefig(output / "features.png", dpi=100)
    metrics = {
        f"{summary.name}.{measure}": getattr(summary, measure)
        for summary in summaries
        for measure in ("coverage", "auc", "drift")
    }
    inputs = {"features": args.features, "table": args.table, "from": args.from_, "to": args.to}
    run_id = run_metrics.run_id(
        "review", **inputs, **{f"{n}_version": v for n, v in versions.items()}
    )
    run_metrics.record(lake, "review", run_id, versions["features"], metrics)
    terminal.show_review(summaries, costs)
    return {
        "rows": int(counts.rows[:, 0].sum()),
        "frauds": int(counts.frauds[:, 0].sum()),
        "features": len(summaries),
        "drop": {summary.name: summary.drop for summary in summaries if summary.drop},
        "output": args.output,
    }


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
