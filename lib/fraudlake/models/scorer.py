"""What every model can do once it is loaded: score rows, explain them, place a threshold.

A row's score and contributions have the same bits whatever rows stand around it. Batch and stream
cut the same rows into different batches, and are compared to the bit.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from fraudlake.errors import ConfigError, DataError
from fraudlake.instants import Duration
from fraudlake.models.encoding import Encoding

_FLOAT32_MAX = float(np.finfo(np.float32).max)

ALERTS_A_DAY = 1000  # the largest budget: so many scores of each day set aside are kept
NO_SCORE = 2.0  # a threshold above every score: nothing is flagged


class Line(BaseModel):
    """Calibration as it stands in `scorer.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    slope: float = Field(gt=0)
    intercept: float


class Weights(BaseModel):
    """Name and SHA-256 of the weights file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(pattern=r"^weights\.[a-z]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class BundleManifest(BaseModel):
    """The content of `scorer.json`: all there is to know of a model beside its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    kind: str
    features: tuple[str, ...] = Field(min_length=1)
    definition: str
    label_delay: Duration
    calibration: Line
    alert_scores: tuple[float, ...]
    alert_days: float = Field(gt=0)
    weights: Weights
    settings: dict[str, Any]
    encodings: dict[str, Encoding] = Field(default_factory=dict)


class Scorer(ABC):
    """A loaded model. Made by `bundle.load`; each kind of model is a subclass.

    Attributes
    ----------
    kind : str
        Name of its kind (`models.kinds`).
    features : tuple of str
        Columns of a matrix, in order.
    definition : str
        Hash of the feature definitions the model was trained on.
    label_delay : timedelta
        Label delay of the training data.
    encodings : dict
        Feature → `Encoding`, for features that are categories.
    digest : str
        SHA-256 of the bundle.

    Matrices are float64 [n, features], NaN where a value is missing. They are cast to float32 once,
    on entry, where values beyond its range become its largest.
    """

    def __init__(self, manifest: BundleManifest, weights: bytes, digest: str) -> None:
        self.manifest = manifest
        self.kind = manifest.kind
        self.features = manifest.features
        self.definition = manifest.definition
        self.label_delay = manifest.label_delay
        self.encodings = manifest.encodings
        self.digest = digest
        self._open(weights)

    @abstractmethod
    def _open(self, weights: bytes) -> None:
        """Read the weights file, without running code; raises `ValueError` where it is no such."""

    @abstractmethod
    def _margins(self, x: np.ndarray) -> np.ndarray:
        """What `margins` gives: float32 [n, f], n ≥ 1 → float64 [n]."""

    @abstractmethod
    def _contributions(self, x: np.ndarray) -> np.ndarray:
        """What each feature adds to the margin: float32 [n, f], n ≥ 1 → float64 [n, f]."""

    @abstractmethod
    def _base(self) -> float:
        """The margin that contributions start from."""

    def margins(self, x: np.ndarray) -> np.ndarray:
        """What is calibrated, float64 [n]: log-odds, or what rises with them (shares of fraud of a
        forest, points of rules).
        """
        x = self._entered(x)
        return self._margins(x) if len(x) else np.empty(0)

    def score(self, x: np.ndarray) -> np.ndarray:
        """Calibrated probability of fraud, sigmoid(slope · margin + intercept), float64 [n]."""
        # Not np.exp: its vector and scalar loops may differ in the last bit, so a row's bits would
        # hang on its place in the batch. expit runs one scalar function for every element.
        from scipy.special import expit

        line = self.manifest.calibration
        return expit(line.slope * self.margins(x) + line.intercept)

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """What each feature adds, in calibrated log-odds, float64 [n, f].

        `base()` + the sum of a row = slope · margin + intercept, within 1e-4 for trees (XGBoost
        sums in float32) and within float64 rounding for all others.
        """
        x = self._entered(x)
        sizes = self._contributions(x) if len(x) else np.empty(x.shape)
        return self.manifest.calibration.slope * sizes

    def reasons(self, x: np.ndarray) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        """What speaks for and against rows: its names, and for each row its values and what it adds
        in calibrated log-odds, both [n, names]. The features, unless a kind knows better.
        """
        return self.features, x, self.contributions(x)

    def base(self) -> float:
        """Calibrated log-odds at the baseline.

        The trees' mean over the training rows, the network's output for a row of means, or no
        rule's points.
        """
        line = self.manifest.calibration
        return line.slope * self._base() + line.intercept

    def threshold(self, alerts_per_day: float) -> float:
        """The score that flags `alerts_per_day` transactions a day on the days set aside for it.

        Or so many cards, each once a day, where the model was trained with `alerts_by=card`: a card
        stands there with its highest score of the day, and all its transactions at or above the
        threshold are flagged.

        The k-th highest score of those days, k = ⌊alerts_per_day · days⌋; to be used as
        score ≥ threshold, so equal scores are flagged together. With them there may be a tenth of k
        more alerts than k, at least one more. Where there would be more than that, the next higher
        score is taken, so there are fewer than k; where there is no higher one, `NO_SCORE`, which
        flags nothing. `shortfall` says so.

        Raises
        ------
        ConfigError
            k is 0, or more scores than the model keeps.
        """
        return self._placed(alerts_per_day)[0]

    def shortfall(self, alerts_per_day: float) -> str | None:
        """Why the threshold flags less than the budget, for the user; None where it does not.

        Raises
        ------
        ConfigError
            As `threshold`.
        """
        return self._placed(alerts_per_day)[1]

    def _placed(self, alerts_per_day: float) -> tuple[float, str | None]:
        days, scores = self.manifest.alert_days, self.manifest.alert_scores
        number = min(len(scores), most := int(ALERTS_A_DAY * days))
        # 2.3 · 10 is 22.999999999999996.
        k = math.floor(alerts_per_day * days + 1e-9) if math.isfinite(alerts_per_day) else 0
        if not 1 <= k <= number:
            problem = (
                f"alerts: got {alerts_per_day:g} a day, expected {1 / days:.3g} to "
                f"{number / days:.6g}: the model keeps the {number} highest scores of {days:g} days"
            )
            raise ConfigError([problem])
        score = scores[k - 1]
        higher, equal = sum(one > score for one in scores), scores.count(score)
        if score == scores[-1] and len(scores) == most:
            # An older model's scores end there, however many equal ones follow: take as many again.
            equal *= 2
        if higher + equal <= k + max(1, k // 10):
            return score, None
        unit = self.manifest.settings.get("alerts_by", "transaction")
        said = (
            f"alerts: got a budget of {alerts_per_day:g} a day, flags {higher / days:.4g} a day on "
            f"the days set aside: {equal} {unit}s there, or more, have one score, {score:g}, "
            f"and with them it would be {(higher + equal) / days:.4g} a day"
        )
        return (scores[higher - 1] if higher else NO_SCORE), said

    def _entered(self, x: np.ndarray) -> np.ndarray:
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise ValueError(
                f"got a matrix of shape {x.shape}, expected [rows, {len(self.features)}]: "
                f"{', '.join(self.features)}"
            )
        return np.clip(x, -_FLOAT32_MAX, _FLOAT32_MAX).astype(np.float32)


def check_definition(model_version: int, trained_on: str, definition: str) -> None:
    """Refuse to score features that the model was not trained on.

    Raises
    ------
    DataError
        The two definition hashes differ.
    """
    if trained_on != definition:
        raise DataError(
            f"model version {model_version} was trained on feature definition {trained_on}, got "
            f"{definition}: build the features it was trained on, or train a model on these"
        )
