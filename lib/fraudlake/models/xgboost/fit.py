"""Boosted trees on many tasks at once, by XGBoost's own Spark estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake import session
from fraudlake.models.kind import Fitted

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
    """Two fits, each on all tasks together (`kind.Fit`).

    The estimator reads the rows twice, once to count the distinct labels, and takes partitions as
    they are where their number is that of the workers.
    """
    early = _trees(rows.where("NOT held_out"), features, contender, seed)
    return Fitted(early, _trees(rows, features, contender, seed))


def _trees(
    rows: DataFrame, features: Sequence[str], contender: XGBoostContender, seed: int
) -> bytes:
    """The booster in UBJ.

    The estimator takes a column of some names, such as `weight`, for what it calls so: features go
    in by number.
    """
    from pyspark.sql import functions as F
    from xgboost.spark import SparkXGBClassifier

    session.require_slots(rows.sparkSession, contender.workers, f"contender {contender.name}")
    numbered = {f"f{place}": F.col(name) for place, name in enumerate(features)}
    estimator = SparkXGBClassifier(
        features_col=list(numbered),
        label_col="label",
        num_workers=contender.workers,
        n_estimators=contender.rounds,
        tree_method="hist",
        random_state=seed,
        verbosity=0,
        verbose=False,
        **contender.parameters.model_dump(),
    )
    inputs = rows.select("label", *(value.alias(name) for name, value in numbered.items()))
    booster = estimator.fit(inputs).get_booster()
    booster.feature_names = list(features)
    return bytes(booster.save_raw("ubj"))
