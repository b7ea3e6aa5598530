"""Where a search looks: the content of `conf/search/NAME.yaml`."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    ValidationError,
    model_validator,
)

from fraudlake import resources
from fraudlake.config import explain
from fraudlake.errors import ConfigError
from fraudlake.models.kind import Contender

if TYPE_CHECKING:
    import optuna


class Range(BaseModel):
    """Values of one setting: a stretch of whole numbers or of numbers, or a choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    whole: tuple[int, int] | None = Field(None, alias="int", description="from, to, both included")
    number: tuple[float, float] | None = Field(None, alias="float", description="from, to")
    choice: tuple[Any, ...] | None = Field(None, min_length=2, description="values")
    log: bool = Field(False, description="draw by orders of magnitude")

    @model_validator(mode="after")
    def _is_one(self) -> Range:
        given = [one for one in (self.whole, self.number, self.choice) if one is not None]
        if len(given) != 1:
            raise ValueError("one of int: [from, to], float: [from, to], choice: [value, ...]")
        ends = self.whole or self.number
        if ends and not ends[0] < ends[1]:
            raise ValueError("a range that rises, [from, to]")
        if self.log and not (ends and ends[0] > 0):
            raise ValueError("log for ranges above 0 alone")
        return self

    def draw(self, trial: optuna.Trial, name: str) -> Any:
        """A value, by Optuna."""
        if self.whole:
            return trial.suggest_int(name, *self.whole, log=self.log)
        if self.number:
            return trial.suggest_float(name, *self.number, log=self.log)
        # Optuna takes no lists.
        texts = [json.dumps(value) for value in self.choice or ()]
        return json.loads(trial.suggest_categorical(name, texts))

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values that a contender must take for it to take all."""
        return self.choice or self.whole or self.number or ()


class Space(RootModel[dict[str, Range]]):
    """Setting, by the contender's own names with dots between them → its values."""

    model_config = ConfigDict(frozen=True)

    def misfits(self, contender: Contender) -> list[str]:
        """Why a contender cannot be looked for in it, one sentence for each problem."""
        problems = []
        if "workers" in self.root:
            problems.append("space: got workers, expected settings alone: rows lie by them")
        for name, values in self.root.items():
            for value in values.ends:
                try:
                    changed(contender, {name: value})
                except ConfigError as error:
                    problems += [f"space: {problem}" for problem in error.problems]
                    break
        return problems

    def draw(self, trial: optuna.Trial) -> dict[str, Any]:
        """A value of every setting."""
        return {name: values.draw(trial, name) for name, values in self.root.items()}

    def distributions(self) -> dict[str, optuna.distributions.BaseDistribution]:
        """What Optuna calls the ranges."""
        from optuna.trial import FixedTrial

        found: dict[str, optuna.distributions.BaseDistribution] = {}
        for name, values in self.root.items():
            first = values.ends[0]
            fixed = FixedTrial({name: json.dumps(first) if values.choice else first})
            values.draw(fixed, name)  # type: ignore[arg-type]
            found |= fixed.distributions
        return found


def changed(contender: Contender, values: Mapping[str, Any]) -> Contender:
    """A contender with some settings of others' values.

    Raises
    ------
    ConfigError
        A setting that it does not have, or a value that it does not take.

    Examples
    --------
    >>> from fraudlake.models.contender import load_contender
    >>> found = changed(load_contender("xgboost"), {"rounds": 7, "parameters.max_depth": 2})
    >>> found.rounds, found.parameters.max_depth
    (7, 2)
    """
    content = copy.deepcopy(contender.model_dump())
    for name, value in values.items():
        *path, last = name.split(".")
        place: Any = content
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise ConfigError(
                [f"{name}: got no setting of contender {contender.name}, expected one of its own"]
            )
        place[last] = value
    try:
        return type(contender).model_validate(content)
    except ValidationError as error:
        raise ConfigError(explain(error, type(contender))) from None


def load_space(name: str) -> Space:
    """Read and check `conf/search/NAME.yaml` (or the YAML file at a path).

    Raises
    ------
    ConfigError
        The file is missing, or every problem found in it.

    Examples
    --------
    >>> sorted(load_space("forest").root)
    ['features', 'max_depth', 'min_rows', 'rows']
    """
    path = resources.find("search", name)
    read: Callable[[str], Any] = yaml.safe_load
    try:
        return Space.model_validate(read(path.read_text()) or {})
    except ValidationError as error:
        raise ConfigError([f"{path.name}: {line}" for line in explain(error, Space)]) from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError([f"{path.name}: got {reason!r}, expected YAML"]) from None
