"""Boosted trees on many tasks at once, by XGBoost's own Spark estimator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake import session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.contender import XGBoostContender


def fit(rows: DataFrame, features: Sequence[str], contender: XGBoostContender, seed: int) -> bytes:
    """Train on all tasks together; equal rows, contender and seed give equal trees.

    Parameters
    ----------
    rows
        `label` (1, 0) and the feature columns as floats, in `contender.workers` partitions with the
        labels mixed (`trial.gather`), persisted: the estimator reads them twice, once to count the
        distinct labels, and takes partitions as they are where their number is that of the workers.

    Returns
    -------
    bytes
        The booster in UBJ.

    Raises
    ------
    SetupError
        Fewer free slots than workers.
    """
    from xgboost.spark import SparkXGBClassifier

    session.require_slots(rows.sparkSession, contender.workers, f"contender {contender.name}")
    estimator = SparkXGBClassifier(
        features_col=list(features),
        label_col="label",
        num_workers=contender.workers,
        n_estimators=contender.rounds,
        tree_method="hist",
        random_state=seed,
        verbosity=0,
        verbose=False,
        **contender.parameters.model_dump(),
    )
    return bytes(estimator.fit(rows).get_booster().save_raw("ubj"))
