"""Look for a contender's settings on prequential folds; the best becomes a YAML of its own.

Reads: features and labels, each at one version. Writes: the trials, as runs of MLflow, and
OUTPUT/MODEL.yaml, which `train` and `compete` take. A search that was cut off goes on, one that is
done tries nothing; more `trials=` go on from those there are.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from fraudlake import instants, job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    features: names.FeatureSetName = Field("handbook", description="name in conf/features")
    table: options.FeatureTable = Field(
        "features", description="feature table of the lake: features, or features_NAME"
    )
    model: names.ContenderName = Field("xgboost", description="contender: name in conf/models")
    space: names.SpaceName | None = Field(
        None, description="where to look: name in conf/search; if left out, that of the kind"
    )
    trials: options.Count = Field(30, description="settings to try, earlier runs' included")
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
    seed: options.Seed = 1
    output: options.OutputPath = Field("build/search", description="folder of the YAML")

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        from fraudlake.errors import ConfigError
        from fraudlake.features.definition.feature_set import load_feature_set
        from fraudlake.models.contender import load_contender
        from fraudlake.models.space import load_space
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
        if given.keys() >= {"features", "model"}:
            contender = load_contender(given["model"])
            found += misfits(load_feature_set(given["features"]), contender)
            try:
                found += load_space(given.get("space") or contender.kind).misfits(contender)
            except ConfigError as error:
                found += error.problems
        return found


def run(spark: Any, args: Arguments) -> job.Result:
    """Plan the folds, try, write the best."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.lake import Lake
    from fraudlake.models.contender import load_contender
    from fraudlake.models.space import load_space
    from fraudlake.registry import Registry
    from fraudlake.reports import search as page
    from fraudlake.training import contest
    from fraudlake.training.search import search
    from fraudlake.training.trial import Trial

    started = time.monotonic()
    lake = Lake(spark, args.lake, args.table)
    dataset = load_dataset(lake.dataset())
    label_delay = dataset.label.delay if dataset.label else timedelta(0)
    ends = args.from_, args.to
    splits = contest.folds(*ends, args.train_for, args.test_for, args.delay, label_delay)
    contender = load_contender(args.model)
    space = load_space(args.space or contender.kind)
    trial = Trial(
        lake, dataset, load_feature_set(args.features), contender, splits[0], alerts=1,
        seed=args.seed,
    )  # fmt: skip
    config = job.resolved(args)
    result = search(trial, space, splits, Registry(args.lake), args.trials, config)
    folder = Path(args.output)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{Path(args.model).stem}.yaml"
    said = (
        f"# Found by fraudlake search: trial {result['best']} of {result['trials']}, average "
        f"precision {result['average_precision']:.4f}\n# in the mean of {len(splits)} folds, "
        f"{instants.format_instant(args.from_)} to {instants.format_instant(args.to)}.\n"
    )
    path.write_text(said + yaml.safe_dump(result.pop("contender"), sort_keys=False))
    page.show(result)
    return {**result, "output": str(path), "seconds": round(time.monotonic() - started, 1)}


if __name__ == "__main__":
    job.main(Arguments, run, light=True)
