"""Score single transactions over HTTP, with what a stream remembers: no Spark, nothing written.

Reads: the state folder of a stream, beside it while it runs; the model registry, whose alias it
follows (where the registry is down at the start, the model that the stream had last).
Writes: nothing. `POST /score` takes a transaction as a JSON object and answers with score, flag and
reasons. The transaction is not remembered: the stream does that when it comes through its source.
SIGTERM stops it after the requests in hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from fraudlake import job, names, options

_LOOK_S = 30  # between two looks at the registry's alias
_STATE_S = 0.25  # between two looks at the state


class Arguments(job.Arguments):
    lake: options.Lake = Field("build/lake", description="folder, URI or catalog.schema of tables")
    dataset: names.DatasetName = Field(
        description="data set of the transactions: name in conf/datasets, or YAML"
    )
    features: names.FeatureSetName = Field(
        "handbook", description="feature set of the stream: name in conf/features, or YAML"
    )
    model: str = Field("champion", description="alias or version number of the model")
    alerts: options.Count = Field(100, description="alert budget, flagged transactions a day")
    state: options.FilePath | None = Field(
        None, description="the stream's state folder (default: _stream in the lake)"
    )
    listen: options.Address = Field("8000", description="port, or host:port, to answer on")
    batch: options.Count = Field(64, description="most requests computed at a time")
    logs: Literal["text", "json"] = Field("text", description="form of the log")

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        problems, lake = super().problems(given) + names.misfits(given), given.get("lake", "")
        if given.get("state", "wrong") is None and ("://" in lake or options.is_catalog(lake)):
            problems.append(
                f"state: got none, expected the stream's state folder: {lake} is no folder"
            )
        return problems


def run(_: None, args: Arguments) -> job.Result:
    """Open state and model, answer until stopped."""
    import os
    from functools import partial

    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.registry import Registry
    from fraudlake.serve import http
    from fraudlake.serve.request import TransactionReader
    from fraudlake.serve.scorer import SingleScorer
    from fraudlake.serve.state_reader import StateReader
    from fraudlake.service import logs
    from fraudlake.service.admission import admit
    from fraudlake.service.model_cache import ModelCache
    from fraudlake.service.model_watch import ModelWatch
    from fraudlake.stream.manifest import shared_path

    # By default MLflow's client asks a server that is gone for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    if args.logs == "json":
        logs.as_json()
    dataset, feature_set = load_dataset(args.dataset), load_feature_set(args.features)
    registry = Registry(args.lake)
    computed = [feature.name for feature in feature_set.features]

    def checked(source: Any, version: int) -> Any:
        return admit(source, version, feature_set.hash, computed, args.alerts)

    state = args.state or f"{args.lake}/_stream"
    cache = ModelCache(shared_path(state) / "models", registry, checked)
    watch = ModelWatch(
        registry.resolve, partial(checked, registry), args.model, True, _LOOK_S,
        partial(cache.last, args.model),
    )  # fmt: skip
    reader = StateReader(state, feature_set, _STATE_S)
    with watch, reader:
        model: Any = watch.current  # never None: it is required
        scorer = SingleScorer(dataset, feature_set, reader.snapshot, model)
        read = TransactionReader(dataset, feature_set)
        server = http.ScoreServer(read, scorer, args.batch, reader.snapshot, watch)
        http.serve(server, args.listen)
    return server.counts()


if __name__ == "__main__":
    job.main(Arguments, run, spark=False)
