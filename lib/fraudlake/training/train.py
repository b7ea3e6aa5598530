"""From the feature table to a registered, calibrated model: the steps that every contender takes."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake import runs
from fraudlake.errors import ConfigError, DataError
from fraudlake.options import format_instant, parse_instant
from fraudlake.tables import FEATURES, LABELS, Lake, time_range
from fraudlake.training import measures
from fraudlake.training.split import Split, count, test_rows, training_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition import FeatureSet
    from fraudlake.models.calibration import Calibration
    from fraudlake.models.contender import Contender
    from fraudlake.models.scorer import Scorer
    from fraudlake.registry import Registry

log = logging.getLogger("fraudlake")

KEPT_ALERTS_A_DAY = 1000
CARDS_A_DAY = 100
_EXPLAINED_ROWS = 1000
_COUNTS = {"tp", "fp", "fn", "tn"} | {
    f"{what}_{window}" for what in ("rows", "frauds", "unlabelled") for window in ("train", "test")
}


@dataclass(frozen=True)
class Trial:
    """What one model is made from.

    Attributes
    ----------
    alerts
        Alert budget, flagged transactions a day, at most 1,000: it places the threshold at which
        the confusion counts are taken.
    seed
        Of everything drawn at random.
    """

    lake: Lake
    dataset: Dataset
    feature_set: FeatureSet
    contender: Contender
    split: Split
    alerts: int
    seed: int

    @property
    def columns(self) -> list[str]:
        return [feature.name for feature in self.feature_set.features]

    def made_from(self) -> dict[str, Any]:
        """Everything that decides the outcome, as plain values."""
        return {
            "contender": self.contender.model_dump(mode="json"),
            "dataset": self.dataset.name,
            "definition": self.feature_set.hash,
            "features_version": self.lake.version(FEATURES),
            "labels_version": self.lake.version(LABELS),
            **self.split.windows(),
            "alerts": self.alerts,
            "seed": self.seed,
        }


def train(trial: Trial, registry: Registry, config: Mapping[str, Any]) -> dict[str, Any]:
    """Train a contender, measure it on the test rows and register it as the next version.

    What the model is made from gives it a fingerprint: where the registry knows it, nothing is
    trained and the version that stands is reported.

    Parameters
    ----------
    config
        The job's arguments, kept with the run.

    Returns
    -------
    dict
        `model_version`, `trained`, `champion` (version that now holds the alias), `contender`,
        `definition`, and the measures.

    Raises
    ------
    ConfigError
        The data set's card is no entity, so that the feature table does not hold it.
    DataError
        The windows hold nothing to learn from or to measure on, too few rows to place the threshold,
        or features of another definition.
    EnvironmentProblem
        Fewer free slots than the contender's workers.
    """
    made_from = trial.made_from()
    fingerprint = runs.run_id("train", **made_from)
    version = registry.find(fingerprint)
    trained = version is None
    if version is None:
        with ExitStack() as persisted:
            version = _train(trial, registry, fingerprint, made_from, config, persisted)
    elif registry.champion() is None:
        # The run that registered it was cut off before it could give it the alias.
        registry.promote(version)
    figures = registry.metrics(version)
    runs.record(trial.lake, "train", fingerprint, made_from["features_version"], figures)
    return {
        "model_version": version,
        "trained": trained,
        "champion": registry.champion(),
        "contender": trial.contender.name,
        "definition": trial.feature_set.hash,
        **{name: int(value) if name in _COUNTS else value for name, value in figures.items()},
    }


@dataclass(frozen=True)
class _Rows:
    """Rows of a trial. `train` is spread over the workers, `aside` places the threshold."""

    train: DataFrame
    test: DataFrame
    aside: DataFrame
    aside_days: float
    counts: dict[str, int]


def _train(
    trial: Trial,
    registry: Registry,
    fingerprint: str,
    made_from: dict[str, Any],
    config: Mapping[str, Any],
    persisted: ExitStack,
) -> int:
    from fraudlake.models import bundle
    from fraudlake.models.calibration import Calibration
    from fraudlake.scoring.apply import score_rows

    def pack(weights: bytes, line: Calibration, alert_scores: list[float]) -> dict[str, bytes]:
        return bundle.pack(
            trial.contender.kind,
            trial.columns,
            trial.feature_set.hash,
            trial.split.label_delay,
            weights,
            line,
            alert_scores,
            rows.aside_days,
            made_from,
        )

    started = time.monotonic()
    with _phase("rows"):
        rows = _rows(trial, made_from, persisted)
    with _phase("fit"):
        early, final, figures = _fit(trial, rows.train, fingerprint)
    with _phase("calibration and threshold"):
        held_out = rows.train.where("held_out")
        line = _calibrate(score_rows(held_out, pack(early, Calibration(), []), None, ["label"]))
        weights = final if trial.split.gap_days else early
        alert_scores = _highest(
            score_rows(rows.aside, pack(weights, line, []), None, []),
            int(KEPT_ALERTS_A_DAY * rows.aside_days),
        )
        files = pack(final, line, alert_scores)
        scorer = bundle.load(files)
    with _phase("test"):
        card, threshold = trial.dataset.card, scorer.threshold(trial.alerts)
        carry = ["tx_id", "event_time", card, "label"]
        scored = _persist(score_rows(rows.test, files, None, carry), persisted)
        ranking = measures.ranking(scored)
        figures |= {
            "auc": ranking["auc"],
            "average_precision": ranking["average_precision"],
            f"card_precision_at_{CARDS_A_DAY}": measures.card_precision(scored, card, CARDS_A_DAY),
            "threshold": threshold,
            **measures.confusion(scored, threshold),
            **measures.probability_errors(scored, line.slope, line.intercept),
            **rows.counts,
        }
        champion = registry.champion()
        wins = champion is None or _beats(
            registry, champion, trial, rows.test, ranking["average_precision"]
        )
        drawn = _figures(scored, rows.test, scorer, ranking)
    with _phase("registration"):
        version = registry.register(
            files,
            contender=trial.contender.name,
            fingerprint=fingerprint,
            parameters=_flat(made_from),
            metrics={**figures, "seconds": time.monotonic() - started},
            tags={name: value for name, value in made_from.items() if name != "contender"},
            figures=drawn,
            config=config,
        )
        if wins:
            registry.promote(version)
    return version


def _rows(trial: Trial, made_from: Mapping[str, Any], persisted: ExitStack) -> _Rows:
    from pyspark.sql import functions as F

    lake, split, dataset = trial.lake, trial.split, trial.dataset
    if dataset.card not in dataset.entities.values():
        raise ConfigError(
            [
                f"dataset: got card {dataset.card!r}, expected the column of one of its entities "
                f"({', '.join(dataset.entities.values())}): the features table holds no other"
            ]
        )
    features = lake.read(FEATURES, made_from["features_version"])
    labels = lake.read(LABELS, made_from["labels_version"])
    whole = features.where(time_range(split.train_from, split.test_to))
    found = {row[0] for row in whole.select("definition").distinct().collect()}
    if found - {trial.feature_set.hash}:
        raise DataError(
            f"features: got rows of definition {', '.join(sorted(found))}, expected "
            f"{trial.feature_set.hash} (feature set {trial.feature_set.name}): build them with the "
            f"features job, features={trial.feature_set.name}"
        )
    held_out = (F.col("event_time") >= F.lit(split.held_out_from)).alias("held_out")
    floats = [F.col(name).cast("double").cast("float").alias(name) for name in trial.columns]
    # By hash of the key, then sorted: at each run the same rows in the same order, labels mixed.
    train_rows = _persist(
        training_rows(features, labels, split)
        .select("tx_id", "label", held_out, *floats)
        .repartition(trial.contender.workers, "tx_id")
        .sortWithinPartitions("tx_id"),
        persisted,
    )
    counts = {f"{k}_train": n for k, n in count(train_rows, "train", features).items()}
    count(train_rows.where("NOT held_out"), "train", features)
    tested = _persist(test_rows(features, labels, dataset.card, split), persisted)
    counts |= {f"{k}_test": n for k, n in count(tested, "test", features).items()}
    labelled = train_rows.where("label IS NOT NULL")
    if split.gap_days:
        aside, days = features.where(time_range(split.train_to, split.test_from)), split.gap_days
    else:
        aside, days = labelled.where("held_out"), split.held_out_days
    if (there := aside.count()) < trial.alerts * days:
        raise DataError(
            f"alerts: got {there} rows in the {days:g} days that place the threshold, expected at "
            f"least {trial.alerts * days:g} for {trial.alerts} alerts a day: build the features of "
            f"those days ({format_instant(split.train_to)} to {format_instant(split.test_from)}), or "
            "lower alerts"
        )
    return _Rows(labelled, tested.where("label IS NOT NULL"), aside, days, counts)


def _fit(
    trial: Trial, rows: DataFrame, fingerprint: str
) -> tuple[bytes, bytes, dict[str, float]]:
    """Weights without the held-out rows, weights on all rows, figures of the fit."""
    contender = trial.contender
    if contender.kind == "xgboost":
        from fraudlake.training import xgboost_spark

        early = xgboost_spark.fit(rows.where("NOT held_out"), trial.columns, contender, trial.seed)
        return early, xgboost_spark.fit(rows, trial.columns, contender, trial.seed), {}
    from fraudlake.training import horovod_launch, mlp_loop, snapshot

    spark = rows.sparkSession
    with snapshot.written(rows, f"{trial.lake.folder('snapshots')}/{fingerprint}") as folder:
        arguments = (folder, trial.columns, contender, trial.seed)
        first, *_ = horovod_launch.launch(spark, mlp_loop.train, contender.workers, arguments)
    return first["early"], first["final"], {"train_loss": first["losses"][-1]}


def _calibrate(held_out: DataFrame) -> Calibration:
    """Platt's line from scores that are not calibrated yet, rounded to a hundredth in log-odds, so
    that what is collected does not grow with the rows."""
    from pyspark.sql import functions as F

    from fraudlake.models import calibration

    margin = F.round(measures.margin("score"), 2).alias("margin")
    groups = held_out.groupBy(margin, "label").count().orderBy("margin", "label").toPandas()
    line = calibration.fit(groups["margin"], groups["label"], groups["count"])
    if line.reason:
        log.warning("train: scores stay as they are, without calibration: %s", line.reason)
    return line


def _highest(scored: DataFrame, number: int) -> list[float]:
    from pyspark.sql import functions as F

    return [row[0] for row in scored.orderBy(F.desc("score")).limit(number).collect()]


def _beats(
    registry: Registry, champion: int, trial: Trial, test: DataFrame, average_precision: float
) -> bool:
    """Whether a new model takes over: higher average precision on the same test rows."""
    from fraudlake.models import bundle
    from fraudlake.scoring.apply import score_rows

    files = registry.files(champion)
    holder = bundle.load(files)
    if holder.definition != trial.feature_set.hash:
        log.warning(
            "train: champion %d has features of another definition (%s, here %s), the two cannot be "
            "compared: the new version takes over",
            champion,
            holder.definition,
            trial.feature_set.hash,
        )
        return True
    settings, split = holder.manifest.settings, trial.split
    if (
        parse_instant(settings["train_from"]) < split.test_to
        and parse_instant(settings["train_to"]) > split.test_from
    ):
        log.warning(
            "train: champion %d was trained on days of this test (%s to %s), the two cannot be "
            "compared: it stays",
            champion,
            settings["train_from"],
            settings["train_to"],
        )
        return False
    theirs = measures.ranking(score_rows(test, files, None, ["label"]))["average_precision"]
    wins = average_precision > theirs
    log.info(
        "train: average precision %.4f, champion %d %.4f on the same rows: %s",
        average_precision,
        champion,
        theirs,
        "the new version takes over" if wins else "it stays",
    )
    return wins


def _figures(
    scored: DataFrame, test: DataFrame, scorer: Scorer, ranking: Mapping[str, Any]
) -> dict[str, Any]:
    import numpy as np
    from pyspark.sql import functions as F

    from fraudlake.scoring.apply import to_matrix
    from fraudlake.training import plots

    bins = measures.bins(scored)
    top = scored.orderBy(F.desc("score"), "tx_id").limit(_EXPLAINED_ROWS).select("tx_id")
    matrix = to_matrix(test.join(F.broadcast(top), "tx_id").toArrow(), scorer.features)
    sizes = np.abs(scorer.contributions(matrix)).mean(axis=0)
    return {
        "precision_recall": plots.precision_recall(
            ranking["curve"], ranking["average_precision"]
        ),
        "calibration": plots.calibration(bins),
        "scores": plots.histogram(bins),
        "contributions": plots.contributions(dict(zip(scorer.features, sizes, strict=True))),
    }


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested names joined by a dot.

    >>> _flat({"contender": {"rounds": 100}})
    {'contender.rounds': 100}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value) if isinstance(value, Mapping) else {"": value}
        flat |= {f"{name}.{key}" if key else name: each for key, each in inner.items()}
    return flat


def _persist(frame: DataFrame, persisted: ExitStack) -> DataFrame:
    from pyspark import StorageLevel

    frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
    persisted.callback(frame.unpersist)
    return frame


@contextmanager
def _phase(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    log.info("train: %s in %.1f s", name, time.monotonic() - started)
