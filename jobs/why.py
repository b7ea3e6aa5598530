"""Why a transaction has its score: what speaks for fraud, what against, and what decided.

Flagged or not: for a missed fraud it says what hid it, for a false alarm what made it.

Reads: transactions, features, labels, scores, flagged, the model registry. Writes: nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from fraudlake import job, options


class Arguments(job.Arguments):
    word: ClassVar[str] = "tx"

    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    tx: str = Field(description="the transaction's id")
    model: str = Field("champion", description="alias or version number of the model")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    alerts: options.Count = Field(100, description="alert budget, flagged transactions a day")


def run(spark: Any, args: Arguments) -> job.Result:
    """Score it again, explain it, print it."""
    from fraudlake.lake import Lake
    from fraudlake.registry import Registry
    from fraudlake.reports import why as page
    from fraudlake.scoring import why

    lake, registry = Lake(spark, args.lake, args.table), Registry(args.lake)
    version = registry.resolve(args.model)
    scorer = registry.load(version)
    threshold = scorer.threshold(args.alerts)
    told = why.explain(lake, scorer, version, registry.name, threshold, args.tx)
    page.show(told)
    return told


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
