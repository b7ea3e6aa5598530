"""What a kind of model consists of. `kinds` has the kinds that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from fraudlake.models.scorer import Scorer

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Positive = Annotated[int, Field(ge=1)]


class Contender(BaseModel):
    """What competes: the content of `conf/models/NAME.yaml`. Each kind adds its own settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    name: str = ""
    workers: Positive = Field(2, description="tasks that train together")

    def misfits(self, features: Mapping[str, str]) -> list[str]:  # noqa: ARG002
        """Why it cannot be trained on features (name → SQL type), one sentence for each problem."""
        return []


@dataclass(frozen=True)
class Fitted:
    """Two fits of one contender.

    Attributes
    ----------
    early, final
        Weights file of the model: without the held-out rows, for the calibration, and on all rows.
    metrics
        Of the final fit.
    curves
        Values by epoch, the first after the first; those of a metric end with it.
    """

    early: bytes
    final: bytes
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)


C_contra = TypeVar("C_contra", bound=Contender, contravariant=True)
C = TypeVar("C", bound=Contender)


class Fit(Protocol[C_contra]):
    """How a contender is trained; equal arguments give equal weights.

    Parameters
    ----------
    rows
        `tx_id`, `label` (1, 0), `held_out` and the features as floats, in `contender.workers`
        partitions with the labels mixed, persisted.
    scratch
        A folder of its own, seen by all tasks; what it writes there it takes away, but for what the
        next training with equal arguments goes on from.

    Raises
    ------
    SetupError
        Fewer free slots than workers.
    """

    def __call__(
        self,
        rows: DataFrame,
        features: Sequence[str],
        contender: C_contra,
        seed: int,
        scratch: str,
    ) -> Fitted:
        """Train twice."""


@dataclass(frozen=True)
class Kind(Generic[C]):
    """One kind of model.

    Attributes
    ----------
    contender
        Its class of YAML files.
    weights
        Name of the weights file in a bundle: `weights.` and UBJ, safetensors or JSON.
    scorer
        What opens the weights, scores rows and explains them by contributions.
    fit
        What trains a contender.
    """

    contender: type[C]
    weights: str
    scorer: type[Scorer]
    fit: Fit[C]
