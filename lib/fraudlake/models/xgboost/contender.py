"""What `conf/models/NAME.yaml` says of boosted trees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from fraudlake.models.kind import Contender, Positive


class XGBoostParameters(BaseModel):
    """Booster parameters by XGBoost's own names; the objective is always `binary:logistic`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    learning_rate: float = Field(0.1, gt=0, le=1)
    max_depth: int = Field(3, ge=1, le=16)
    max_bin: int = Field(4096, ge=2, description="cuts a feature may have; 256 lose the rare tail")
    base_score: float = Field(0.5, gt=0, lt=1, description="probability before the first tree")
    min_child_weight: float = Field(1.0, ge=0)
    subsample: float = Field(1.0, gt=0, le=1)
    colsample_bytree: float = Field(1.0, gt=0, le=1)
    reg_lambda: float = Field(1.0, ge=0)
    gamma: float = Field(0.0, ge=0)
    max_delta_step: float = Field(0.0, ge=0)
    scale_pos_weight: float = Field(1.0, gt=0, description="weight of a fraud")
    monotone_constraints: dict[str, Literal[-1, 0, 1]] = Field(
        default_factory=dict,
        description="feature → 1 where the score may only rise with it, -1 where only fall",
    )


class XGBoostContender(Contender):
    """Boosted trees, trained by XGBoost's histogram method on `workers` tasks at once."""

    kind: Literal["xgboost"]
    rounds: Positive = Field(100, description="trees, or with `patience` the most of them")
    patience: int = Field(
        0, ge=0, description="stop where so many trees have not lowered the held-out log loss"
    )
    focal_gamma: float = Field(0.0, ge=0, le=10, description="of the focal loss; 0: log loss")
    device: Literal["cpu", "cuda"] = Field("cpu", description="what the trees are grown on")
    parameters: XGBoostParameters = Field(
        default_factory=lambda: XGBoostParameters.model_validate({})
    )

    def misfits(self, features: Mapping[str, str]) -> list[str]:
        """Constraints on what is no feature."""
        return [
            f"parameters.monotone_constraints: got {name!r}, expected one of {', '.join(features)}"
            for name in self.parameters.monotone_constraints
            if name not in features
        ]
