"""Hold the scores and flags of a range against a batch recomputation, bit for bit.

Reads: features, scores, flagged, the model registry.
Writes: nothing. Use it after a stream: build the features of the range first, so that what the
stream computed from its own history is compared with what the batch build computed from the
tables. Ends with exit code 1 where anything differs.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from fraudlake import job, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    model: str = Field("champion", description="alias or version number of the model")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    from_: options.Instant | None = Field(
        None, alias="from", description="first day or instant to compare, UTC, included"
    )
    to: options.Instant | None = Field(None, description="end of the range, UTC, excluded")
    alerts: options.Count = Field(100, description="alert budget the flags were made with")


def run(spark: Any, args: Arguments) -> job.Result:
    """Load the model, recompute, compare, report."""
    from fraudlake.errors import DataError
    from fraudlake.models import bundle
    from fraudlake.registry import Registry
    from fraudlake.scoring import parity
    from fraudlake.tables import Lake

    registry = Registry(args.lake)
    version = registry.resolve(args.model)
    files = registry.files(version)
    threshold = bundle.load(files).threshold(args.alerts)
    lake = Lake(spark, args.lake, args.table)
    counts = parity.compare(lake, files, version, threshold, args.from_, args.to)
    if counts["rows"] != counts["equal"] or counts["flags"] != counts["flags_equal"]:
        raise DataError(f"scores differ from a batch recomputation: {counts}")
    return {"model_version": version, "threshold": threshold, **counts}


if __name__ == "__main__":
    job.main(Arguments, run)
