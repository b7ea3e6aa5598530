"""What `conf/models/NAME.yaml` says of a feed-forward network."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fraudlake.models.kind import Contender, Positive


class MlpContender(Contender):
    """Feed-forward network, trained on `workers` processes that average their gradients."""

    kind: Literal["mlp"]
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
