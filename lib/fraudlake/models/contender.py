"""What competes: the content of `conf/models/NAME.yaml`, one class a kind."""

from __future__ import annotations

from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraudlake import resources
from fraudlake.config import explain
from fraudlake.errors import ConfigError

Positive = Annotated[int, Field(ge=1)]


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


class XGBoostContender(BaseModel):
    """Boosted trees, trained by XGBoost's histogram method on `workers` tasks at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["xgboost"]
    name: str = ""
    workers: Positive = Field(2, description="tasks that train together")
    rounds: Positive = Field(100, description="trees")
    parameters: XGBoostParameters = Field(
        default_factory=lambda: XGBoostParameters.model_validate({})
    )


class MlpContender(BaseModel):
    """Feed-forward network, trained on `workers` processes that average their gradients."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["mlp"]
    name: str = ""
    workers: Positive = Field(2, description="processes that train together")
    hidden: tuple[Positive, ...] = Field(
        (128, 128), description="units of each hidden layer; none is logistic regression"
    )
    dropout: float = Field(0.2, ge=0, lt=1)
    learning_rate: float = Field(
        0.001, gt=0, description="largest step of AdamW, at the peak of one cycle"
    )
    weight_decay: float = Field(0.0, ge=0)
    batch_size: Positive = Field(64, description="rows a worker takes in one step")
    epochs: Positive = Field(20, description="passes over the training rows")


Contender = XGBoostContender | MlpContender
_KINDS: dict[str, type[XGBoostContender | MlpContender]] = {
    "xgboost": XGBoostContender,
    "mlp": MlpContender,
}


def load_contender(name: str) -> Contender:
    """Read and check `conf/models/NAME.yaml` (or the YAML file at a path).

    Raises
    ------
    ConfigError
        The file is missing, or every problem found in it.

    Examples
    --------
    >>> load_contender("xgboost").parameters.base_score
    0.5
    """
    path = resources.find("models", name)
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError([f"{path.name}: got {reason!r}, expected YAML"]) from None
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind not in _KINDS:
        raise ConfigError([f"{path.name}: kind: got {kind!r}, expected one of {', '.join(_KINDS)}"])
    content |= {"name": name}
    problems: list[str] = []
    if kind == "xgboost" and isinstance(content.get("parameters"), dict):
        # On its own, so that an unknown parameter is answered with the names of parameters.
        inner = content.pop("parameters")
        try:
            content["parameters"] = XGBoostParameters.model_validate(inner)
        except ValidationError as error:
            problems += [f"parameters.{line}" for line in explain(error, XGBoostParameters)]
    try:
        contender = _KINDS[kind].model_validate(content)
    except ValidationError as error:
        problems += explain(error, _KINDS[kind])
    if problems:
        raise ConfigError([f"{path.name}: {line}" for line in problems])
    return contender
