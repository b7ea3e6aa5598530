"""What one model is made from: settings, and the rows that train, calibrate and test it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from fraudlake.errors import ConfigError, DataError
from fraudlake.feeds import AMOUNT
from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS
from fraudlake.models.encoding import MOST, Encoding, learn
from fraudlake.models.gate import Gate, load_gate
from fraudlake.training.split import Split, count, test_rows, training_rows

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition.feature_set import FeatureSet
    from fraudlake.models.kind import Contender


def check(dataset: Dataset) -> None:
    """Refuse a data set that nothing can be trained on.

    Raises
    ------
    ConfigError
        It has no label, or its card is no entity, so that the feature table does not hold it.
    """
    problems = []
    if dataset.label is None:
        problems.append(f"dataset: got {dataset.name!r}, expected one with a label to learn from")
    if dataset.card and dataset.card not in dataset.entities.values():
        known = ", ".join(dataset.entities.values())
        problems.append(
            f"dataset: got card {dataset.card!r}, expected the column of one of its entities "
            f"({known}): the features table holds no other"
        )
    if problems:
        raise ConfigError(problems)


def misfits(feature_set: FeatureSet, contender: Contender) -> list[str]:
    """Why a contender cannot be trained on a feature set, one sentence for each problem."""
    return contender.misfits({feature.name: feature.sql_type for feature in feature_set.features})


def ungrouped(dataset: Dataset, feature_set: FeatureSet, gate: Gate) -> list[str]:
    """Groups of a gate that nothing can be measured by, one sentence for each problem."""
    types = dataset.column_types() | {f.name: f.sql_type for f in feature_set.features}
    known = ", ".join(types)
    problems = [
        f"gate: groups.{name}: got no such column, expected a feature or a column of the data set, "
        f"one of {known}"
        for name in gate.groups
        if name not in types
    ]
    return problems + [
        f"gate: groups.{name}: got bounds of a {types[name]}, expected [], or a column of numbers"
        for name, bounds in gate.groups.items()
        if bounds and types.get(name) in ("string", "timestamp", "boolean", "date")
    ]


@dataclass(frozen=True)
class Trial:
    """What one model is made from.

    Attributes
    ----------
    alerts
        Alert budget, flagged transactions a day, at most 1,000: it places the threshold at which
        the confusion counts are taken.
    alerts_by
        `card`: the budget is of cards with a flagged transaction, each once a day.
    seed
        Of everything drawn at random.
    gate
        What a version must show before it becomes champion, and what it is measured by for that.
    versions
        Of the tables `features` and `labels`, by name; None: the newest when it is asked for.

    Raises
    ------
    ConfigError
        As `check` says of the data set, `misfits` of contender and features, and `ungrouped` of
        the gate.
    """

    lake: Lake
    dataset: Dataset
    feature_set: FeatureSet
    contender: Contender
    split: Split
    alerts: int
    seed: int
    alerts_by: Literal["transaction", "card"] = "transaction"
    gate: Gate = field(default_factory=load_gate)
    versions: Mapping[str, int] | None = None

    def __post_init__(self) -> None:
        check(self.dataset)
        problems = misfits(self.feature_set, self.contender)
        if self.alerts_by == "card" and not self.dataset.card:
            problems.append(
                f"alerts_by: got card, expected transaction: nothing stands for a card in the data "
                f"set {self.dataset.name}"
            )
        if problems := problems + ungrouped(self.dataset, self.feature_set, self.gate):
            raise ConfigError(problems)

    @property
    def columns(self) -> list[str]:
        """Names of all features."""
        return [feature.name for feature in self.feature_set.features]

    @property
    def categories(self) -> list[str]:
        """Names of those that are text."""
        return [f.name for f in self.feature_set.features if f.sql_type == "string"]

    def newest(self) -> dict[str, int]:
        """Versions of `features` and `labels` now.

        Raises
        ------
        DataError
            The lake has no features or no labels.
        """
        for table in (FEATURES, LABELS):
            self.lake.read(table)
        return {table.name: self.lake.version(table) for table in (FEATURES, LABELS)}

    def made_from(self) -> dict[str, Any]:
        """Everything that decides the outcome, as plain values.

        Raises
        ------
        DataError
            The lake has no features or no labels.
        """
        versions = self.versions or self.newest()
        return {
            "contender": self.contender.model_dump(mode="json"),
            "dataset": self.dataset.name,
            "definition": self.feature_set.hash,
            "features_table": self.lake.features,
            **{f"{t.name}_id": self.lake.identity(t) for t in (FEATURES, LABELS)},
            **{f"{name}_version": version for name, version in versions.items()},
            **self.split.windows(),
            "alerts": self.alerts,
            "seed": self.seed,
            **({"alerts_by": "card"} if self.alerts_by == "card" else {}),
            **self.gate.made_from(),
        }


@dataclass(frozen=True)
class Rows:
    """Rows of a trial.

    Attributes
    ----------
    train
        `tx_id`, `label`, `held_out` (for the calibration) and the features as floats, categories
        encoded: spread over the contender's workers, sorted by `tx_id`, persisted.
    test
        Columns of `features`, `label`, those that the gate groups by, and `_amount`; persisted.
    aside, aside_days
        Columns of the features, no label needed: they place the threshold. The days between
        training and test, or the held-out rows where there are none.
    counts
        `rows_train`, `frauds_train`, `unlabelled_train`, and the same of the test.
    encodings
        Category feature → its encoding, learned from the training rows that are not held out.
    """

    train: DataFrame
    test: DataFrame
    aside: DataFrame
    aside_days: float
    counts: dict[str, int]
    encodings: dict[str, Encoding]


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
    DataError
        As `train.train` says.
    """
    from pyspark.sql import functions as F

    lake, split, dataset = trial.lake, trial.split, trial.dataset
    features = lake.read(FEATURES, made_from["features_version"])
    labels = lake.read(LABELS, made_from["labels_version"])
    whole = features.where(time_range(split.train_from, split.test_to))
    definitions = {row[0] for row in whole.select("definition").distinct().collect()}
    if definitions - {trial.feature_set.hash}:
        raise DataError(
            f"features: got rows of definition {', '.join(sorted(definitions))}, expected "
            f"{trial.feature_set.hash} (feature set {trial.feature_set.name}): build them with the "
            f"features job, features={trial.feature_set.name}"
        )
    held_out = (F.col("event_time") >= F.lit(split.held_out_from)).alias("held_out")
    rows = training_rows(features, labels, split)
    encodings = _encodings(rows.where(~held_out), trial.categories, features)
    floats = [
        _number(name, encodings.get(name)).cast("float").alias(name) for name in trial.columns
    ]
    # By hash of the key, then sorted: at each run the same rows in the same order, labels mixed.
    spread = (
        rows.select("tx_id", "label", held_out, *floats)
        .repartition(trial.contender.workers, "tx_id")
        .sortWithinPartitions("tx_id")
    )
    train_rows = persisted.enter_context(cached(spread))
    counts = {f"{k}_train": n for k, n in count(train_rows, "train", features).items()}
    count(train_rows.where("NOT held_out"), "train", features)
    tested = _described(test_rows(features, labels, dataset.card, split), trial)
    tested = persisted.enter_context(cached(tested))
    counts |= {f"{k}_test": n for k, n in count(tested, "test", features).items()}
    labelled = train_rows.where("label IS NOT NULL")
    if split.gap_days:
        aside, days = features.where(time_range(split.train_to, split.test_from)), split.gap_days
    elif trial.alerts_by == "card":
        held_out_days = time_range(split.held_out_from, split.train_to)
        aside, days = features.where(held_out_days), split.held_out_days
    else:
        aside, days = labelled.where("held_out"), split.held_out_days
    if (there := aside.count()) < trial.alerts * days:
        raise DataError(
            f"alerts: got {there} rows in the {days:g} days that place the threshold, expected at "
            f"least {trial.alerts * days:g} for {trial.alerts} alerts a day: build the features up "
            "to the test, or lower alerts"
        )
    tested = tested.where("label IS NOT NULL")
    return Rows(labelled, tested, aside, days, counts, encodings)


def _described(test: DataFrame, trial: Trial) -> DataFrame:
    """Test rows with what is known of their transactions: `_amount`, and columns of groups."""
    from pyspark.sql import functions as F

    split, wanted = trial.split, [name for name in trial.gate.groups if name not in test.columns]
    known = trial.lake.read(TRANSACTIONS).where(time_range(split.test_from, split.test_to))
    amount = F.col(AMOUNT).alias("_amount")
    return test.join(known.select("tx_id", amount, *wanted), "tx_id", "left")


def _encodings(rows: DataFrame, names: Sequence[str], features: DataFrame) -> dict[str, Encoding]:
    """What the categories of each feature stand for: one pass a feature, the frequent ones kept."""
    from pyspark.sql import functions as F

    encodings = {}
    labelled = rows.where("label IS NOT NULL")
    for name in names:
        sums = labelled.groupBy(name).agg(F.count("*").alias("_n"), F.sum("label").alias("_frauds"))
        ((total, frauds),) = sums.agg(F.sum("_n"), F.sum("_frauds")).collect()
        if not frauds or frauds == total:
            count(rows, "train", features)  # refuses them: a category stands for odds of fraud
        frequent = sums.where(F.col(name).isNotNull()).orderBy(F.desc("_n"), name).limit(MOST)
        counts = {category: (n, frauds) for category, n, frauds in frequent.collect()}
        encodings[name] = learn(counts, total, frauds)
    return encodings


def _number(name: str, encoding: Encoding | None) -> Column:
    from pyspark.sql import functions as F

    if encoding is None:
        return F.col(name).cast("double")
    pairs = [F.lit(word) for item in encoding.values.items() for word in item]
    value = F.try_element_at(F.create_map(*pairs), F.col(name)) if pairs else F.lit(None)
    return F.coalesce(value, F.lit(encoding.other))
