"""What `conf/models/NAME.yaml` says of a logistic regression."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fraudlake.models.kind import Contender


class LogisticContender(Contender):
    """One weight a feature, standardised, fitted on `workers` tasks at once."""

    kind: Literal["logistic"]
    penalty: float = Field(
        1.0,
        gt=0,
        description="of half the squared weights, beside the log loss of all rows: "
        "scikit-learn's 1/C",
    )
