"""What one model is made from: settings, and the rows that train, calibrate and test it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake.errors import ConfigError, DataError
from fraudlake.tables import FEATURES, LABELS, Lake, time_range
from fraudlake.training.split import Split, count, test_rows, training_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition import FeatureSet
    from fraudlake.models.contender import Contender


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


@dataclass(frozen=True)
class Rows:
    """Rows of a trial.

    Attributes
    ----------
    train
        `tx_id`, `label`, `held_out` (for the calibration) and the features as floats: spread over
        the contender's workers, sorted by `tx_id`, persisted.
    test
        Columns of `features` and `label`; persisted.
    aside, aside_days
        Columns of the features, no label needed: they place the threshold. The days between
        training and test, or the held-out rows where there are none.
    counts
        `rows_train`, `frauds_train`, `unlabelled_train`, and the same of the test.
    """

    train: DataFrame
    test: DataFrame
    aside: DataFrame
    aside_days: float
    counts: dict[str, int]


def gather(trial: Trial, made_from: Mapping[str, Any], persisted: ExitStack) -> Rows:
    """Find the rows and check that there is something to learn and to measure.

    Parameters
    ----------
    made_from
        `Trial.made_from()`: it names the table versions.
    persisted
        Gives the frames back when it is closed.

    Raises
    ------
    ConfigError, DataError
        As `train.train` says.
    """
    from pyspark.sql import functions as F

    lake, split, dataset = trial.lake, trial.split, trial.dataset
    if dataset.card not in dataset.entities.values():
        known = ", ".join(dataset.entities.values())
        problem = (
            f"dataset: got card {dataset.card!r}, expected the column of one of its entities "
            f"({known}): the features table holds no other"
        )
        raise ConfigError([problem])
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
    train_rows = persist(
        training_rows(features, labels, split)
        .select("tx_id", "label", held_out, *floats)
        .repartition(trial.contender.workers, "tx_id")
        .sortWithinPartitions("tx_id"),
        persisted,
    )
    counts = {f"{k}_train": n for k, n in count(train_rows, "train", features).items()}
    count(train_rows.where("NOT held_out"), "train", features)
    tested = persist(test_rows(features, labels, dataset.card, split), persisted)
    counts |= {f"{k}_test": n for k, n in count(tested, "test", features).items()}
    labelled = train_rows.where("label IS NOT NULL")
    if split.gap_days:
        aside, days = features.where(time_range(split.train_to, split.test_from)), split.gap_days
    else:
        aside, days = labelled.where("held_out"), split.held_out_days
    if (there := aside.count()) < trial.alerts * days:
        raise DataError(
            f"alerts: got {there} rows in the {days:g} days that place the threshold, expected at "
            f"least {trial.alerts * days:g} for {trial.alerts} alerts a day: build the features up "
            "to the test, or lower alerts"
        )
    return Rows(labelled, tested.where("label IS NOT NULL"), aside, days, counts)


def persist(frame: DataFrame, persisted: ExitStack) -> DataFrame:
    """Keep a frame until the stack is closed."""
    from pyspark import StorageLevel

    frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
    persisted.callback(frame.unpersist)
    return frame
