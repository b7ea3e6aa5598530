"""Every kind of model, each one entry. To add one, write its parts and add its name and entry here.

A name without an entry, an entry without one of its parts and a scorer that does not explain are
errors for the type checker.
"""

from __future__ import annotations

from typing import Any, Literal, TypeGuard, assert_never, get_args

from fraudlake.models.kind import Kind

# From what a person can follow to what nobody can: in a contest the simpler one wins within noise.
Name = Literal["rules", "logistic", "forest", "isolation", "xgboost", "mlp"]
NAMES: tuple[Name, ...] = get_args(Name)


def is_name(name: object) -> TypeGuard[Name]:
    """Whether there is a kind of this name."""
    return name in NAMES


def kind_of(name: str) -> Kind[Any]:
    """The kind of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    if not is_name(name):
        raise ValueError(f"kind: got {name!r}, expected one of {', '.join(NAMES)}")
    return _entry(name)


def _entry(name: Name) -> Kind[Any]:
    # Their modules import what is heavy when that is used.
    match name:
        case "xgboost":
            from fraudlake.models.xgboost.contender import XGBoostContender
            from fraudlake.models.xgboost.fit import fit as fit_trees
            from fraudlake.models.xgboost.scorer import XGBoostScorer

            return Kind(XGBoostContender, "weights.ubj", XGBoostScorer, fit_trees)
        case "mlp":
            from fraudlake.models.mlp.contender import MlpContender
            from fraudlake.models.mlp.fit import fit as fit_network
            from fraudlake.models.mlp.scorer import MlpScorer

            return Kind(MlpContender, "weights.safetensors", MlpScorer, fit_network)
        case "logistic":
            from fraudlake.models.logistic.contender import LogisticContender
            from fraudlake.models.logistic.fit import fit as fit_line
            from fraudlake.models.mlp.scorer import MlpScorer

            return Kind(LogisticContender, "weights.safetensors", MlpScorer, fit_line)
        case "forest":
            from fraudlake.models.forest.contender import ForestContender
            from fraudlake.models.forest.fit import fit as fit_forest
            from fraudlake.models.xgboost.scorer import XGBoostScorer

            return Kind(ForestContender, "weights.ubj", XGBoostScorer, fit_forest)
        case "isolation":
            from fraudlake.models.isolation.contender import IsolationContender
            from fraudlake.models.isolation.fit import fit as fit_apart
            from fraudlake.models.xgboost.scorer import XGBoostScorer

            return Kind(IsolationContender, "weights.ubj", XGBoostScorer, fit_apart)
        case "rules":
            from fraudlake.models.rules.contender import RulesContender
            from fraudlake.models.rules.fit import fit as as_written
            from fraudlake.models.rules.scorer import RulesScorer

            return Kind(RulesContender, "weights.json", RulesScorer, as_written)
        case _:
            assert_never(name)
