"""Rules are as they were written: nothing is learned from rows but, as for all, the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake.models.kind import Fitted
from fraudlake.models.rules.rule import Rules

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.rules.contender import RulesContender


def fit(
    rows: DataFrame,  # noqa: ARG001
    features: Sequence[str],  # noqa: ARG001
    contender: RulesContender,
    seed: int,  # noqa: ARG001
    scratch: str,  # noqa: ARG001
) -> Fitted:
    """The rules as JSON (`kind.Fit`)."""
    weights = Rules(rules=contender.rules).model_dump_json(indent=1).encode()
    return Fitted(weights, weights)
