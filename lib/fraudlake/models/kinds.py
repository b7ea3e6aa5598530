"""Every kind of model, each one entry. To add one, write its parts and add its name and entry here.

A name without an entry, an entry without one of its parts and a scorer that does not explain are
errors for the type checker.
"""

from __future__ import annotations

from typing import Any, Literal, TypeGuard, assert_never, get_args

from fraudlake.models.kind import Kind

Name = Literal["xgboost", "mlp"]
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
        case _:
            assert_never(name)
