"""What `conf/models/NAME.yaml` says of a set of rules."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

from fraudlake.models.kind import Contender
from fraudlake.models.rules.rule import Rules


class RulesContender(Contender, Rules):
    """Points of the rules that fire, added up. Only the calibration is fitted."""

    kind: Literal["rules"]

    def misfits(self, features: Mapping[str, str]) -> list[str]:
        """Features that are not in the set, or are words."""
        problems = []
        for place, rule in enumerate(self.rules):
            for name in rule.features:
                if name not in features:
                    close = get_close_matches(name, features, n=1)
                    hint = f"; did you mean {close[0]}?" if close else ""
                    said = f"a feature of the set, which `fraudlake list features/NAME` says{hint}"
                elif features[name] == "string":
                    said = "a feature that is a number: this one is a category"
                else:
                    continue
                problems.append(f"{self.name}: rules.{place}: got {name}, expected {said}")
        return problems
