"""Rules, scored: the points of those that fire. They are the reasons too."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import ValidationError

from fraudlake.models.rules.rule import Rules, parse
from fraudlake.models.scorer import Scorer


class RulesScorer(Scorer):
    """The margin is the sum of points, from 0; a rule's points are shared by the features that it
    looks at, in equal parts.
    """

    def _open(self, weights: bytes) -> None:
        try:
            self._rules = Rules.model_validate_json(weights).rules
        except ValidationError as error:
            raise ValueError(f"got {error}, expected JSON: rules, each with when, score") from None
        self._place = {name: place for place, name in enumerate(self.features)}
        named = {name for rule in self._rules for name in rule.features}
        if unknown := sorted(named - self._place.keys()):
            raise ValueError(
                f"got rules over {', '.join(unknown)}, expected them over the model's features: "
                f"{', '.join(self.features)}"
            )

    def _points(self, x: np.ndarray) -> np.ndarray:
        """What each rule adds to each row, float64 [n, rules]."""
        points = np.zeros((len(x), len(self._rules)))
        for place, rule in enumerate(self._rules):
            fires = np.ones(len(x), dtype=bool)
            for comparison in parse(rule.when):
                fires &= comparison.holds(x[:, self._place[comparison.feature]])
            if isinstance(rule.score, str):
                added = np.nan_to_num(x[fires, self._place[rule.score]], nan=0.0)
            else:
                added = rule.score
            points[fires, place] = added
        return points

    def _margins(self, x: np.ndarray) -> np.ndarray:
        # One rule after the other: np.sum picks its order by the array's shape.
        return np.add.accumulate(self._points(x), axis=1)[:, -1]

    def _contributions(self, x: np.ndarray) -> np.ndarray:
        shares = np.zeros((len(x), len(self.features)))
        for rule, points in zip(self._rules, self._points(x).T, strict=True):
            for name in rule.features:
                shares[:, self._place[name]] += points / len(rule.features)
        return shares

    def _base(self) -> float:
        return 0.0

    def reasons(self, x: np.ndarray) -> tuple[Sequence[str], np.ndarray, np.ndarray]:
        """The rules by their `reason`, with the value of the first feature that each looks at."""
        names = [rule.reason or rule.when for rule in self._rules]
        first = [self._place[rule.features[0]] for rule in self._rules]
        points = self._points(self._entered(x))
        return names, x[:, first], self.manifest.calibration.slope * points
