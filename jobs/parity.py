"""Hold the scores and flags of a range against a batch recomputation, bit for bit.

Reads: features, scores, flagged, the model registry; with `state`, instead of features: labels,
transactions, and when each came.
Writes: nothing. Use it after a stream. Where records came in event order, build the features of the
range first, so that what the stream computed from its own history is compared with what the batch
build computed from the tables. Where they came in any order, name the stream's `state`: the batch
build then computes each transaction's features from what was known when it was scored, and what
came more than two days late is left out. Ends with exit code 1 where anything differs.
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
    model: str = Field("champion", description="alias or version number of the model")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    from_: instants.Instant | None = Field(
        None, alias="from", description="first day or instant to compare, UTC, included"
    )
    to: instants.Instant | None = Field(None, description="end of the range, UTC, excluded")
    alerts: options.Count = Field(100, description="alert budget the flags were made with")
    state: options.InputPath | None = Field(
        None,
        description="folder of a stream's state (_stream in the lake): compare with what was known "
        "when each transaction was scored",
    )
    dataset: names.DatasetName | None = Field(
        None, description="state: data set of the stream: name in conf/datasets, or YAML"
    )
    features: names.FeatureSetName = Field(
        "handbook", description="state: its feature set: name in conf/features, or YAML"
    )

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        problems = super().problems(given) + names.misfits(given)
        if given.get("state") and given.get("dataset", "wrong") is None:
            problems.append("dataset: missing, expected the data set of the stream in state=")
        return problems


def run(spark: Any, args: Arguments) -> job.Result:
    """Load the model, recompute, compare, report."""
    from fraudlake.errors import DataError
    from fraudlake.instants import time_range
    from fraudlake.lake import Lake
    from fraudlake.lake.tables import FEATURES
    from fraudlake.models import bundle
    from fraudlake.registry import Registry
    from fraudlake.scoring import parity

    registry = Registry(args.lake)
    version = registry.resolve(args.model)
    files = registry.files(version)
    threshold = bundle.load(files).threshold(args.alerts)
    lake = Lake(spark, args.lake, args.table)
    if args.state and args.dataset:
        features = known(lake, args.state, args.dataset, args)
    else:
        features = lake.read(FEATURES).where(time_range(args.from_, args.to))
    counts = parity.compare(
        lake, features, files, version, threshold, args.from_, args.to, registry.champion(),
        registry.name,
    )  # fmt: skip
    if counts["rows"] != counts["equal"] or counts["flags"] != counts["flags_equal"]:
        raise DataError(f"scores differ from a batch recomputation: {counts}")
    return {"model_version": version, "threshold": threshold, **counts}


def known(lake: Any, state: str, name: str, args: Arguments) -> Any:
    """Features from what the stream knew when it scored."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.stream.as_of import features_as_of_scoring
    from fraudlake.stream.history import History

    dataset, feature_set = load_dataset(name), load_feature_set(args.features)
    types = dataset.column_types()
    named = [*dataset.entities.values(), *feature_set.columns(dataset.entities)]
    columns = {name: types[name] for name in named}
    history = History(lake, state, columns, None, begin=False)
    return features_as_of_scoring(history, feature_set, dataset.entities, args.from_, args.to)


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
