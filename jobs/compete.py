"""Hold contenders against each other on the same folds; the simplest good one becomes challenger.

Reads: features and labels, each at one version; the champion, which the winner is held against.
Writes: a model version for each contender and fold in the registry, the alias `challenger`,
metrics. A second run on the same input trains nothing; one that was cut off goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fraudlake import instants, job, names, options


def _names(value: Any) -> Any:
    return [word.strip() for word in value.split(",")] if isinstance(value, str) else value


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    features: names.FeatureSetName = Field("handbook", description="name in conf/features")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    models: Annotated[
        tuple[names.ContenderName, ...], BeforeValidator(_names), Field(min_length=2)
    ] = Field(
        ("logistic", "tree", "forest", "xgboost"),
        description="contenders: two or more names in conf/models",
    )
    from_: instants.Instant = Field(
        alias="from", description="start of the first training, UTC, included"
    )
    to: instants.Instant = Field(description="end of the last test, UTC, excluded")
    train_for: instants.Duration = Field(timedelta(7), description="length of each training")
    test_for: instants.Duration = Field(timedelta(7), description="length of each test")
    delay: instants.Duration | None = Field(
        None,
        description="between them, for labels to mature; if left out, the data set's label delay",
    )
    alerts: options.AlertsKept = 100
    alerts_by: options.AlertsBy = "transaction"
    gate: names.GateName = None
    seed: options.Seed = 1

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        from fraudlake.errors import ConfigError
        from fraudlake.features.definition.feature_set import load_feature_set
        from fraudlake.models.contender import load_contender
        from fraudlake.training import contest
        from fraudlake.training.trial import misfits

        found = super().problems(given)
        if not found and given.keys() >= {"from_", "to", "train_for", "test_for", "delay"}:
            try:
                # The data set's own delay is looked at when the lake is open.
                lengths = given["train_for"], given["test_for"], given["delay"]
                contest.folds(given["from_"], given["to"], *lengths, given["delay"] or timedelta(0))
            except ConfigError as error:
                found += error.problems
        if given.keys() >= {"features", "models"}:
            features = load_feature_set(given["features"])
            for name in given["models"]:
                found += misfits(features, load_contender(name))
        return found


def run(spark: Any, args: Arguments) -> job.Result:
    """Plan the folds, train all contenders on each, choose."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.lake import Lake
    from fraudlake.models.contender import load_contender
    from fraudlake.models.gate import load_gate
    from fraudlake.registry import Registry
    from fraudlake.reports import contest as page
    from fraudlake.training import contest
    from fraudlake.training.trial import Trial

    started = time.monotonic()
    lake = Lake(spark, args.lake, args.table)
    dataset = load_dataset(lake.dataset())
    label_delay = dataset.label.delay if dataset.label else timedelta(0)
    ends = args.from_, args.to
    splits = contest.folds(*ends, args.train_for, args.test_for, args.delay, label_delay)
    contenders = [load_contender(name) for name in dict.fromkeys(args.models)]
    common = load_feature_set(args.features), contenders[0], splits[0], args.alerts, args.seed
    trial = Trial(lake, dataset, *common, args.alerts_by, load_gate(args.gate))
    result = contest.compete(trial, contenders, splits, Registry(args.lake), job.resolved(args))
    page.show(result)
    return {**result, "seconds": round(time.monotonic() - started, 1)}


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
