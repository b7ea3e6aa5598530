"""Forests by XGBoost: one round of trees side by side, whose leaves are means of the label.

From a base score of 0, by squared error, with a step of 1 and no penalty, a leaf is the share of
frauds among its rows. The gain of a split is then the fall of the label's variance p (1 - p), half
of Gini's impurity: the trees are CART's (Breiman et al. 1984). A bootstrap has .632 of the rows in
it; XGBoost draws them without replacement (docs/decisions/0034-known-estimators.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake.models.xgboost.fit import grow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.forest.contender import ForestContender
    from fraudlake.models.kind import Fitted


def fit(
    rows: DataFrame,
    features: Sequence[str],
    contender: ForestContender,
    seed: int,
    scratch: str,
) -> Fitted:
    """Two forests (`kind.Fit`)."""
    parameters = {
        "objective": "reg:squarederror",
        "num_parallel_tree": contender.trees,
        "learning_rate": 1.0,
        "reg_lambda": 0.0,
        "base_score": 0.0,
        "max_depth": contender.max_depth,
        # Of squared error every row's hessian is 1.
        "min_child_weight": contender.min_rows,
        "subsample": contender.rows,
        "colsample_bynode": contender.features,
        "max_bin": contender.max_bin,
    }
    return grow(rows, features, contender, seed, scratch, parameters, rounds=1)
