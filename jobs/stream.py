"""Score transactions as they arrive, in micro-batches, exactly once.

Reads: a Kafka topic, raw files of a data set or a Delta table of transactions as a stream;
transactions and labels of the lake as history; the model registry, whose aliases it follows: a new
champion goes live between two micro-batches, a challenger's scores are added in its shadow. With
another model= than the champion the whole stream is such a shadow: scores, and no flags.
Writes: scores, flagged, quarantine, and the stream's own state. Started again, it goes on where it
was; whatever was interrupted is written once. SIGTERM stops it between two micro-batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from fraudlake import instants, job, names, options

_LOOK_S = 30.0  # between two looks at the registry's aliases, at most
_STALL_S = 600  # a micro-batch in hand for longer: the service does not live


class Arguments(job.Arguments):
    renamed: ClassVar = {
        "bad": "max_bad_share",
        "files": "max_files_per_batch",
        "records": "max_records_per_batch",
    }

    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    dataset: names.DatasetName = Field(
        description="data set of the input: name in conf/datasets, or YAML"
    )
    input: options.InputPath = Field(
        description="folder or pattern of raw files, a Delta table, or "
        "kafka://host:port[,host:port]/topic"
    )
    kafka: options.KafkaSettings = None
    avro: options.AvroSchemas = None
    features: names.FeatureSetName = Field(
        "handbook", description="feature set: name in conf/features, or YAML"
    )
    model: str = Field("champion", description="alias or version number of the model")
    from_: instants.Instant | None = Field(
        None,
        alias="from",
        description="where the stream takes over: earlier transactions of the lake are history; "
        "left out, just after the lake's last transaction",
    )
    to: instants.Instant | None = Field(None, description="leave events from here on alone, UTC")
    alerts: options.Count = Field(100, description="alert budget, flagged transactions a day")
    trigger: instants.Duration | None = Field(
        None,
        description="time between micro-batches of a service; left out: score what is there, stop",
    )
    max_files_per_batch: options.Count = Field(10, description="most files in one micro-batch")
    max_records_per_batch: options.Count = Field(
        50_000, description="most records of a topic in one micro-batch"
    )
    max_bad_share: options.Share = Field(
        0.5,
        description="highest share of bad records in a micro-batch of 100 or more; above it the "
        "stream stops and leaves the batch as it is",
    )
    source_changes: Literal["stop", "skip"] = Field(
        "stop",
        description="a Delta table as input, where a commit changes or deletes rows: stop, or skip "
        "such commits with all that they hold",
    )
    replay: Annotated[instants.Duration, Field(gt=timedelta(0))] | None = Field(
        None,
        description="back-test: cut the input into slices of this length of event time, in event "
        "order, one micro-batch each",
    )
    state: options.OutputPath | None = Field(
        None,
        description="folder of the stream's state, seen by driver and executors (default: _stream "
        "in the lake)",
    )
    metrics: options.Address | None = Field(
        None, description="port, or host:port, of /metrics, /live and /ready"
    )
    logs: Literal["text", "json"] = Field("text", description="form of the log")

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        from fraudlake.ingest import kafka

        return super().problems(given) + names.misfits(given) + kafka.problems(given)


def run(spark: Any, args: Arguments) -> job.Result:
    """Open history, state and model, read the source, score until it is exhausted or stopped."""
    import os
    from contextlib import ExitStack

    from fraudlake import session
    from fraudlake.datasets import load_dataset
    from fraudlake.errors import ConfigError
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.lake import Lake
    from fraudlake.registry import Registry
    from fraudlake.service import logs, metrics
    from fraudlake.service.admission import admit
    from fraudlake.service.model_cache import ModelCache
    from fraudlake.service.roles import Roles
    from fraudlake.stream.history import History
    from fraudlake.stream.manifest import shared_path
    from fraudlake.stream.scorer import StreamScorer, run_stream
    from fraudlake.stream.state import StreamState

    if args.logs == "json":
        logs.as_json()
    # By default MLflow's client asks a server that is gone for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    lake, dataset, registry = (
        Lake(spark, args.lake),
        load_dataset(args.dataset),
        Registry(args.lake),
    )
    if repeats := dataset.columns["tx_id"].repeats:
        problem = (
            f"dataset: got {dataset.name} with repeats: {repeats} on tx_id, expected none: a "
            "stream takes equal records for one payment, as it keeps no count of them"
        )
        raise ConfigError([problem])
    if dataset.joined:
        problem = (
            f"dataset: got {dataset.name}, which joins {', '.join(dataset.joined)}, expected one "
            "that joins nothing: a stream has no second file; let what writes its records join "
            "them, and name a data set that reads all from these"
        )
        raise ConfigError([problem])
    feature_set, types = load_feature_set(args.features), dataset.column_types()
    computed = [feature.name for feature in feature_set.features]

    def checked(source: Any, version: int) -> Any:
        return admit(source, version, feature_set.hash, computed, args.alerts)

    folder = args.state or lake.folder("stream")
    cache = ModelCache(shared_path(folder) / "models", registry, checked)
    pause = None if args.trigger is None else args.trigger.total_seconds()
    look = _LOOK_S if pause is None else min(_LOOK_S, max(pause / 3, 1.0))
    roles = Roles(registry.resolve, cache, args.model, look)
    service = metrics.Service(_STALL_S, (roles.deciding, roles.challenger))
    with ExitStack() as stack:
        if args.metrics:
            stack.enter_context(metrics.serve(service, args.metrics))
        stack.enter_context(roles)
        named = [*dataset.flag_types(), *feature_set.columns(dataset.entities)]
        history = History(lake, folder, {name: types[name] for name in named}, args.from_)
        state = StreamState(history, folder, dataset, feature_set)
        stack.enter_context(state.exclusive_lock())
        # A micro-batch is planned at once: planning it again after each shuffle takes longer.
        stack.enter_context(session.configured(spark, {"spark.sql.adaptive.enabled": "false"}))
        scorer = StreamScorer(
            lake, dataset, feature_set, state, roles.models, cache.files, service,
            roles.in_service, args.to, args.max_bad_share, registry.name,
        )  # fmt: skip
        counts = run_stream(
            records(spark, dataset, args, folder), scorer, f"{folder}/checkpoint", pause
        )
        model = scorer.models()[0]
    wanted = ["batches", "records", "scored", "flagged", "duplicates", "quarantine", "outside"]
    wanted += ["passed_over"] if dataset.record else []
    return {
        "model_version": model.version,
        "threshold": model.threshold,
        **{name: counts[name] for name in wanted},
        "remarks": scorer.remarks(),
    }


def records(spark: Any, dataset: Any, args: Arguments, folder: str) -> Any:
    """The input as a stream; of a back-test, cut into slices of event time."""
    from fraudlake.ingest import sources
    from fraudlake.stream import replay

    if args.replay is None:
        return sources.read_stream(
            spark, dataset, args.input, args.max_files_per_batch, args.max_records_per_batch,
            args.kafka, args.avro, skip_changes=args.source_changes == "skip",
        )  # fmt: skip
    recorded = sources.read(spark, dataset, args.input, args.kafka, args.avro)
    return replay.slices(recorded, dataset, args.replay, f"{folder}/replay", args.from_, args.to)


if __name__ == "__main__":
    job.main(Arguments, run)
