"""Boosted trees on many tasks at once, in a stage that Spark runs again where a task is lost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudlake import session
from fraudlake.launch import barrier, checkpoints
from fraudlake.models.kind import Contender, Fitted
from fraudlake.models.xgboost import boost

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.xgboost.contender import XGBoostContender


def fit(
    rows: DataFrame,
    features: Sequence[str],
    contender: XGBoostContender,
    seed: int,
    scratch: str,
) -> Fitted:
    """Two boosters (`kind.Fit`)."""
    given = contender.parameters.model_dump()
    signs = given.pop("monotone_constraints")
    parameters = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "device": contender.device,
        **given,
        "monotone_constraints": tuple(signs.get(name, 0) for name in features),
    }
    return grow(
        rows, features, contender, seed, scratch, parameters, contender.rounds,
        contender.patience, contender.focal_gamma,
    )  # fmt: skip


def grow(
    rows: DataFrame,
    features: Sequence[str],
    contender: Contender,
    seed: int,
    scratch: str,
    parameters: Mapping[str, Any],
    rounds: int,
    patience: int = 0,
    focal_gamma: float = 0.0,
) -> Fitted:
    """Two boosters by parameters of `xgboost.train`, both in one stage: `boost.train`."""
    session.require_slots(rows.sparkSession, contender.workers, f"contender {contender.name}")
    settings = {**parameters, "tree_method": "hist", "seed": seed}
    with checkpoints.folder(rows.sparkSession, scratch) as uri:
        found = barrier.run(
            rows.select(*features, "label", "held_out"),
            boost.train,
            list(features), settings, rounds, patience, focal_gamma, uri,
        )  # fmt: skip
    return Fitted(found["early"], found["final"], json.loads(found["metrics"]))
