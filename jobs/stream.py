"""Score transactions as they arrive, in micro-batches, exactly once.

Reads: raw files of a data set (or a Delta table of transactions) as a stream; transactions and
labels of the lake as history; the model registry.
Writes: scores, flagged, quarantine, and the stream's own state. Started again, it goes on where it
was; whatever was interrupted is written once. SIGTERM stops it between two micro-batches.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from fraudlake import job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName = Field(
        description="data set of the input: name in conf/datasets, or YAML"
    )
    input: options.InputPath = Field(description="folder or pattern of raw files, or a Delta table")
    features: names.FeatureSetName = Field(
        "handbook", description="feature set: name in conf/features, or YAML"
    )
    model: str = Field("champion", description="alias or version number of the model")
    from_: options.Instant | None = Field(
        None,
        alias="from",
        description="where the stream takes over: earlier transactions of the lake are history; "
        "left out, just after the lake's last transaction",
    )
    to: options.Instant | None = Field(None, description="leave events from here on alone, UTC")
    alerts: options.Count = Field(100, description="alert budget, flagged transactions a day")
    trigger: options.Duration | None = Field(
        None,
        description="time between micro-batches of a service; left out: score what is there, stop",
    )
    files: options.Count = Field(10, description="most files in one micro-batch")
    replay: options.Duration | None = Field(
        None,
        description="back-test: cut the input into slices of this length of event time, in event "
        "order, one micro-batch each",
    )
    state: options.OutputPath | None = Field(
        None, description="folder of the stream's state (default: _stream in the lake)"
    )

    @model_validator(mode="after")
    def _features_fit(self) -> Arguments:
        from fraudlake.datasets import load_dataset
        from fraudlake.errors import ConfigError
        from fraudlake.features.definition import load_feature_set

        problems = load_feature_set(self.features).check_against(load_dataset(self.dataset))
        if problems:
            raise ConfigError(problems)
        return self


def run(spark: Any, args: Arguments) -> job.Result:
    """Open history and model, read the source, score until it is exhausted or stopped, report."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition import load_feature_set
    from fraudlake.ingest import sources
    from fraudlake.models import bundle
    from fraudlake.registry import Registry
    from fraudlake.scoring import replay, stream
    from fraudlake.scoring.history import History
    from fraudlake.scoring.memory import Memory
    from fraudlake.tables import Lake

    lake, dataset, registry = (
        Lake(spark, args.lake),
        load_dataset(args.dataset),
        Registry(args.lake),
    )
    version = registry.resolve(args.model)
    threshold = bundle.load(registry.files(version)).threshold(args.alerts)
    state = args.state or lake.folder("stream")
    feature_set, types = load_feature_set(args.features), dataset.column_types()
    named = [*dataset.entities.values(), *feature_set.columns(dataset.entities)]
    history = History(lake, state, {name: types[name] for name in named}, args.from_)
    memory = Memory(history, state, dataset, feature_set)
    scorer = stream.StreamScorer(
        lake, dataset, feature_set, memory, version, threshold, registry.files, args.to
    )
    if args.replay:
        records = replay.slices(
            sources.read(spark, dataset, args.input), dataset, args.replay, f"{state}/replay",
            args.from_, args.to,
        )  # fmt: skip
    else:
        records = sources.read_stream(spark, dataset, args.input, args.files)
    pause = None if args.trigger is None else args.trigger.total_seconds()
    with memory.alone():
        counts = stream.run_stream(records, scorer, f"{state}/checkpoint", pause)
    wanted = ("batches", "records", "scored", "flagged", "duplicates", "quarantine", "outside")
    return {"model_version": version, "threshold": threshold} | {n: counts[n] for n in wanted}


if __name__ == "__main__":
    job.main(Arguments, run)
