"""Reads what competes: `conf/models/NAME.yaml`, of one of the `kinds`."""

from __future__ import annotations

import yaml
from pydantic import ValidationError

from fraudlake import resources
from fraudlake.config import explain
from fraudlake.errors import ConfigError
from fraudlake.models import kinds
from fraudlake.models.kind import Contender


def load_contender(name: str) -> Contender:
    """Read and check `conf/models/NAME.yaml` (or the YAML file at a path).

    Raises
    ------
    ConfigError
        The file is missing, or every problem found in it.

    Examples
    --------
    >>> load_contender("xgboost").kind
    'xgboost'
    """
    path = resources.find("models", name)
    try:
        content = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError([f"{path.name}: got {reason!r}, expected YAML"]) from None
    kind = content.get("kind") if isinstance(content, dict) else None
    if not kinds.is_name(kind):
        expected = ", ".join(kinds.NAMES)
        raise ConfigError([f"{path.name}: kind: got {kind!r}, expected one of {expected}"])
    model = kinds.kind_of(kind).contender
    try:
        return model.model_validate(content | {"name": name})
    except ValidationError as error:
        raise ConfigError([f"{path.name}: {line}" for line in explain(error, model)]) from None
