"""Boosted trees on many tasks at once, by XGBoost's own Spark estimator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudlake import session
from fraudlake.models.kind import Contender, Fitted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.xgboost.contender import XGBoostContender


def fit(
    rows: DataFrame,
    features: Sequence[str],
    contender: XGBoostContender,
    seed: int,
    scratch: str,  # noqa: ARG001
) -> Fitted:
    """Two boosters (`kind.Fit`)."""
    from xgboost.spark import SparkXGBClassifier

    parameters = {"n_estimators": contender.rounds, **contender.parameters.model_dump()}
    return grow(rows, features, contender, seed, SparkXGBClassifier, parameters)


def grow(
    rows: DataFrame,
    features: Sequence[str],
    contender: Contender,
    seed: int,
    estimator: Callable[..., Any],
    parameters: Mapping[str, Any],
) -> Fitted:
    """Two fits by an estimator of `xgboost.spark`, each on all tasks together, as boosters in UBJ.

    A classifier reads the rows twice, once to count the distinct labels, and every estimator takes
    partitions as they are where their number is that of the workers. It takes a column of some
    names, such as `weight`, for what it calls so: features go in by number.
    """
    from pyspark.sql import functions as F

    session.require_slots(rows.sparkSession, contender.workers, f"contender {contender.name}")
    numbered = {f"f{place}": F.col(name) for place, name in enumerate(features)}
    inputs = [F.col("label"), *(value.alias(name) for name, value in numbered.items())]
    trees = estimator(
        features_col=list(numbered),
        label_col="label",
        num_workers=contender.workers,
        tree_method="hist",
        random_state=seed,
        verbosity=0,
        verbose=False,
        **parameters,
    )

    def fitted(rows: DataFrame) -> bytes:
        booster = trees.fit(rows.select(*inputs)).get_booster()
        booster.feature_names = list(features)
        return bytes(booster.save_raw("ubj"))

    return Fitted(fitted(rows.where("NOT held_out")), fitted(rows))
