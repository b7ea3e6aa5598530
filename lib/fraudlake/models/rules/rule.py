"""A rule: comparisons of features with numbers, joined by `and`, and the points it adds."""

from __future__ import annotations

import math
import operator
import re
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_NAME = r"[A-Za-z]\w*"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_COMPARISON = re.compile(
    rf"\s*(?P<feature>{_NAME})\s*(?:(?P<sign>>=|<=|!=|=|>|<)\s*(?P<number>{_NUMBER})"
    r"|\s+is\s+(?P<missing>missing))\s*",
    re.ASCII,
)
_SIGNS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    "!=": operator.ne,
}


class Comparison(NamedTuple):
    """A feature and a number, or a feature that is missing (`sign` is empty).

    Nothing but `is missing` is true of a missing value.
    """

    feature: str
    sign: str
    number: float

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Whether it is true of each value, float32 [n] → bool [n].

        The number is rounded as the values are: 220.1 is not more than 220.1.
        """
        there = ~np.isnan(values)
        if not self.sign:
            return ~there
        return there & _SIGNS[self.sign](values, np.float32(self.number))


def parse(when: str) -> tuple[Comparison, ...]:
    """Read a condition; nothing in it is ever run.

    Raises
    ------
    ValueError
        Says what is expected, and which part is not.

    Examples
    --------
    >>> parse("amount > 220 and night = 1")[1]
    Comparison(feature='night', sign='=', number=1.0)
    """
    comparisons = []
    for part in re.split(r"\band\b", when):
        found = _COMPARISON.fullmatch(part)
        if found is None:
            raise ValueError(
                "FEATURE SIGN NUMBER or FEATURE is missing, joined by and, with a sign of "
                f"{' '.join(_SIGNS)} (or is a rule of its own): {part.strip()!r} is neither"
            )
        comparisons.append(
            Comparison(found["feature"], found["sign"] or "", float(found["number"] or "nan"))
        )
    return tuple(comparisons)


def _condition(when: str) -> str:
    parse(when)
    return when


def _points(score: Any) -> Any:
    number = isinstance(score, (int, float)) and not isinstance(score, bool)
    if number and math.isfinite(score):
        return float(score)
    if isinstance(score, str) and re.fullmatch(_NAME, score, re.ASCII):
        return score
    raise ValueError("a number of points, or the name of the feature whose value is added")


class Rule(BaseModel):
    """What fires, what it adds to the score, and what an analyst reads then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Annotated[str, AfterValidator(_condition)] = Field(
        description="a condition, such as amount > 220 and night = 1"
    )
    score: Annotated[float | str, BeforeValidator(_points)] = Field(
        description="points, or the feature whose value they are"
    )
    reason: str = Field("", description="what it means; if left out, the condition")

    @property
    def features(self) -> list[str]:
        """The features that it looks at, each once."""
        named = [comparison.feature for comparison in parse(self.when)]
        return list(dict.fromkeys([*named, self.score] if isinstance(self.score, str) else named))


def _some(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    if not rules:
        raise ValueError("at least one rule")
    return rules


class Rules(BaseModel):
    """A set of rules: the weights file, and what a contender says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: Annotated[tuple[Rule, ...], AfterValidator(_some)] = Field(
        description="each `when`, `score` and, for the analyst, `reason`"
    )
