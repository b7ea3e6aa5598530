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
    batch_size: Positive = Field(64, description="rows a worker takes at once")
    accumulate: Positive = Field(1, description="batches of which a step takes the mean gradient")
    clip: float | None = Field(
        None, gt=0, description="largest norm of a step's gradient; longer ones are shortened"
    )
    epochs: Positive = Field(20, description="passes over the training rows")
    patience: Positive | None = Field(
        None, description="epochs without a lower loss on the held-out rows that end the training"
    )
    launcher: Literal["horovod", "ddp"] = Field(
        "horovod", description="who starts the workers: Horovod, or Spark with PyTorch's own groups"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where workers compute; auto is a GPU where there is one"
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32", description="of products; weights and steps are float32"
    )
    memory_mb: int = Field(
        1024, ge=64, description="megabytes of rows a worker holds; more are read in each epoch"
    )
    checkpoint_steps: Positive | None = Field(
        None,
        description="steps between two states to go on from; without, the end of each epoch",
        # Changes no weight.
        exclude=True,
    )
