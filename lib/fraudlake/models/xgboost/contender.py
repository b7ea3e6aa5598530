"""What `conf/models/NAME.yaml` says of boosted trees."""

from __future__ import annotations

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


class XGBoostContender(Contender):
    """Boosted trees, trained by XGBoost's histogram method on `workers` tasks at once."""

    kind: Literal["xgboost"]
    rounds: Positive = Field(100, description="trees")
    parameters: XGBoostParameters = Field(
        default_factory=lambda: XGBoostParameters.model_validate({})
    )
