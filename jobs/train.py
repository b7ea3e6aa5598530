"""Train a contender on many tasks at once, measure it on later days and register it.

Reads: features and labels, each at one version; the champion in the registry.
Writes: a model version with its bundle, metrics and plots in the registry; the alias `champion` if
it wins on the same test rows and passes the gate (`conf/gates`); metrics. A second run on the same
input trains nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fraudlake import instants, job, names, options

_WINDOWS = ("train_from", "train_to", "delay", "test_from", "test_to")


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName | None = Field(
        None, description="name in conf/datasets or a YAML file; if left out, what the lake holds"
    )
    features: names.FeatureSetName = Field("handbook", description="name in conf/features")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    model: names.ContenderName = Field("xgboost", description="contender: name in conf/models")
    train_from: instants.Instant = Field(
        description="first day or instant of training, UTC, included"
    )
    train_to: instants.Instant = Field(description="end of training, UTC, excluded")
    delay: instants.Duration | None = Field(
        None,
        description="from train_to to the training date, for labels to mature; if left out, "
        "the data set's label delay",
    )
    test_from: instants.Instant | None = Field(
        None, description="start of the test, UTC, included; if left out, train_to + delay"
    )
    test_to: instants.Instant | None = Field(
        None, description="end of the test, UTC, excluded; if left out, as long as the training"
    )
    alerts: options.AlertsKept = 100
    alerts_by: options.AlertsBy = "transaction"
    gate: names.GateName = None
    seed: options.Seed = 1

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        from fraudlake.datasets import load_dataset
        from fraudlake.errors import ConfigError
        from fraudlake.features.definition.feature_set import load_feature_set
        from fraudlake.models.contender import load_contender
        from fraudlake.models.gate import load_gate
        from fraudlake.training.trial import misfits, ungrouped

        problems = []
        if given.keys() >= {"features", "model"}:
            problems = misfits(load_feature_set(given["features"]), load_contender(given["model"]))
        if given.get("dataset") and given.keys() >= {"features", "gate"}:
            named = load_dataset(given["dataset"]), load_feature_set(given["features"])
            problems += ungrouped(*named, load_gate(given["gate"]))
        if not given.keys() >= {"dataset", *_WINDOWS}:
            return problems + super().problems(given)
        try:
            # A data set that is only in the lake is looked at when that is open.
            plan(given, given["dataset"])
        except ConfigError as error:
            problems += error.problems
        return problems


def plan(given: Mapping[str, Any], dataset: str | None) -> Any:
    """The split that arguments ask for; without a data set any delay is long enough."""
    from datetime import timedelta

    from fraudlake.datasets import load_dataset
    from fraudlake.training import split, trial

    label = None
    if dataset:
        described = load_dataset(dataset)
        trial.check(described)
        label = described.label
    label_delay = label.delay if label else timedelta(0)
    return split.plan(**{name: given[name] for name in _WINDOWS}, label_delay=label_delay)


def run(spark: Any, args: Arguments) -> job.Result:
    """Plan the split, train, register, report."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.lake import Lake
    from fraudlake.models.contender import load_contender
    from fraudlake.models.gate import load_gate
    from fraudlake.registry import Registry
    from fraudlake.training.train import train
    from fraudlake.training.trial import Trial

    started = time.monotonic()
    lake = Lake(spark, args.lake, args.table)
    dataset = args.dataset or lake.dataset()
    trial = Trial(
        lake,
        load_dataset(dataset),
        load_feature_set(args.features),
        load_contender(args.model),
        plan(dict(args), dataset),
        args.alerts,
        args.seed,
        args.alerts_by,
        load_gate(args.gate),
    )
    result = train(trial, Registry(args.lake), job.resolved(args))
    return {**result, "seconds": round(time.monotonic() - started, 1)}


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
