"""What a version must show before it decides: the content of `conf/gates/NAME.yaml`.

The gate looks at nothing but figures: those a version was registered with, and what came of holding
it against the champion. `train` asks it before a takeover, `promote` before a person's word.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fraudlake import resources
from fraudlake.config import explain
from fraudlake.errors import ConfigError

COMPARED = "compared"  # tag of a version: its `Comparison`
GATE_VARIABLE = "FRAUDLAKE_GATE"
RATIO = "false_positive_ratio."  # metrics of groups begin so
_CHANCE = 2.0  # so many times what chance makes of a calibration error is no error

Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Comparison:
    """What came of holding a version against the champion.

    Attributes
    ----------
    champion
        The version it was held against; None where no version was to be had.
    own, theirs
        Average precision of both on the same test rows; None where they were not compared.
    error
        Standard error of the mean of their daily differences; None with fewer than two days.
    reason
        Why they were not compared; empty where they were, or where there was nobody.
    """

    champion: int | None
    own: float | None = None
    theirs: float | None = None
    error: float | None = None
    reason: str = ""

    def text(self) -> str:
        """As a tag keeps it; `Comparison.read` reads it."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str | None) -> Comparison | None:
        """What `text` gave; None of None.

        >>> Comparison.read(Comparison(3, 0.7, 0.6).text())
        Comparison(champion=3, own=0.7, theirs=0.6, error=None, reason='')
        """
        return None if text is None else cls(**json.loads(text))


class Gate(BaseModel):
    """Limits, and who must agree. Without any, every model that flags something would do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    margin: Number = Field(0.0, description="average precision a version must gain")
    standard_errors: Number = Field(
        1.0, description="and so many standard errors of the daily differences"
    )
    calibration_error: Number = Field(
        0.005, description="expected calibration error allowed, beside what chance makes"
    )
    groups: dict[str, tuple[float, ...]] = Field(
        {}, description="columns to measure by: bounds of a number, or [] for each value"
    )
    false_positive_ratio: float = Field(
        2.0, ge=1, description="a group's false-positive rate over that of all, at most"
    )
    alert_cost: Number = Field(
        0.0, description="what looking at a flagged transaction costs, in the amounts' unit"
    )
    approvals: int = Field(0, ge=0, description="persons who must agree before a version decides")
    trainer_approves: bool = Field(
        True, description="whether the one who trained a version may be one of them"
    )

    @field_validator("groups")
    @classmethod
    def _ascending(cls, value: dict[str, tuple[float, ...]]) -> dict[str, tuple[float, ...]]:
        wrong = [
            f"{name}: got bounds {list(bounds)}, expected them ascending"
            for name, bounds in value.items()
            if any(low >= high for low, high in pairwise(bounds))
        ]
        if wrong:
            raise ConfigError(wrong)
        return value

    def made_from(self) -> dict[str, object]:
        """What decides the figures of a version, as plain values; empty where nothing is set."""
        values = {"groups": self.groups, "alert_cost": self.alert_cost}
        return {name: value for name, value in values.items() if value}

    def refusals(
        self, metrics: Mapping[str, float], comparison: Comparison | None, champion: int | None
    ) -> list[str]:
        """Why a version may not decide, one sentence for each reason; none where it may.

        Parameters
        ----------
        metrics
            Of the version (`train`).
        comparison
            With the champion; None where it was never asked for.
        champion
            The version that decides now; None where none does.
        """
        known = {"tp", "fp", "nan_scores", "expected_calibration_error"}
        if missing := sorted(known - metrics.keys()):
            names = ", ".join(missing)
            return [
                f"measures: got no {names}, expected them: train it anew, it is of an older release"
            ]
        found = [*self._quality(metrics), *self._harmed(metrics)]
        if champion is not None and (one := self._not_better(comparison, champion)):
            found.append(one)
        return found

    def _quality(self, metrics: Mapping[str, float]) -> list[str]:
        found = []
        if missing := int(metrics["nan_scores"]):
            found.append(
                f"scores: got NaN for {missing} test rows, expected a score for each: the fit went "
                "astray; train with a smaller learning rate, or look at the features"
            )
        if not metrics["tp"] + metrics["fp"]:
            found.append(
                "alerts: got no test row flagged, expected some: train with a larger budget "
                "(alerts=), more rounds, or features that tell more rows apart"
            )
        error = metrics["expected_calibration_error"]
        chance = _CHANCE * metrics["expected_calibration_error_by_chance"]
        if not error <= self.calibration_error + chance:
            found.append(
                f"calibration: got an expected calibration error of {error:.5f}, expected at most "
                f"{self.calibration_error + chance:.5f} (calibration_error of the gate, "
                f"{self.calibration_error:g}, and {_CHANCE:g} times what chance makes): train on "
                "days more like those of the test, or on more of them"
            )
        return found

    def _harmed(self, metrics: Mapping[str, float]) -> list[str]:
        found = []
        for name, ratio in sorted(metrics.items()):
            if name.startswith(RATIO) and not ratio <= self.false_positive_ratio:
                column, _, group = name.removeprefix(RATIO).partition(".")
                found.append(
                    f"groups: got a false-positive rate of {column} {group} {ratio:.2f} times that "
                    f"of all, expected at most {self.false_positive_ratio:g} times: look at the "
                    "features that stand for the group"
                )
        return found

    def _not_better(self, comparison: Comparison | None, champion: int) -> str | None:
        if comparison is None:
            return (
                "comparison: got none with the champion, expected one on the same rows: train it "
                "outside a contest, or let it win one"
            )
        if comparison.reason:
            return f"comparison: not compared: {comparison.reason}"
        if comparison.champion != champion:
            return (
                f"comparison: got one with champion {comparison.champion or '(none)'}, expected "
                f"one with {champion}, which is champion by now: train on later days"
            )
        if comparison.own is None or comparison.theirs is None:
            return None
        gain = comparison.own - comparison.theirs
        noise = self.standard_errors * (comparison.error or 0)
        if gain > max(self.margin, noise):
            return None
        return (
            f"average precision: got {comparison.own:.4f}, champion {champion} has "
            f"{comparison.theirs:.4f} on the same rows, expected a gain of more than "
            f"{max(self.margin, noise):.4f} (margin {self.margin:g}, {self.standard_errors:g} "
            f"standard errors of the daily differences {noise:.4f}): train a better one, or test "
            "on more days"
        )


def load_gate(name: str | None = None) -> Gate:
    """Read and check `conf/gates/NAME.yaml` (or the YAML file at a path).

    Parameters
    ----------
    name
        If left out, what the environment variable `FRAUDLAKE_GATE` says, else `default`.

    Raises
    ------
    ConfigError
        The file is missing, or every problem found in it.

    Examples
    --------
    >>> load_gate("default").approvals
    0
    """
    path = resources.find("gates", name or os.environ.get(GATE_VARIABLE) or "default")
    try:
        return Gate.model_validate(yaml.safe_load(path.read_text()) or {})
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError([f"{path.name}: got {reason!r}, expected YAML"]) from None
    except ValidationError as error:
        raise ConfigError([f"{path.name}: {line}" for line in explain(error, Gate)]) from None
