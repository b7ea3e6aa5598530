"""What a model version must pass before it scores."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fraudlake.errors import DataError
from fraudlake.models import bundle, golden
from fraudlake.models.scorer import NO_SCORE, check_definition

log = logging.getLogger("fraudlake")


@dataclass(frozen=True)
class Model:
    """One model version, checked and ready to score.

    Attributes
    ----------
    version : int
    files : dict
        Its bundle.
    digest : str
        SHA-256 of the bundle.
    threshold : float
        Flag where score ≥ threshold.
    shortfall : str or None
        Why that flags less than the alert budget, where it does.
    """

    version: int
    files: dict[str, bytes] = field(repr=False)
    digest: str
    threshold: float
    shortfall: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"version {self.version}"


class ModelSource(Protocol):
    """Where models come from: the registry, or a cache of it."""

    def files(self, version: int) -> dict[str, bytes]:
        """The bundle of a version, as it was registered."""

    def describe(self, version: int) -> Mapping[str, Any]:
        """What was noted of a version, `golden` among it."""


def admit(
    source: ModelSource,
    version: int,
    definition: str,
    columns: Collection[str],
    alerts: float,
) -> Model:
    """Fetch a model version and make every check that scoring relies on.

    Parameters
    ----------
    source
        The registry, or what was kept of it.
    definition
        Hash of the feature definitions that the stream computes.
    columns
        Names of the features that it computes.
    alerts
        Alert budget, flagged transactions a day.

    Raises
    ------
    FraudlakeError
        Files that are not those that were registered; another definition; a feature that nobody
        computes; wrong scores on the golden batch; a budget that the model has no threshold for, or
        none that flags anything.
    """
    files = source.files(version)
    scorer = bundle.load(files)
    check_definition(version, scorer.definition, definition)
    if lacking := [name for name in scorer.features if name not in columns]:
        raise DataError(
            f"model version {version}: got the features {', '.join(lacking)}, which the stream "
            "does not compute, expected features of its feature set"
        )
    noted = source.describe(version).get("golden")
    golden.check(scorer, json.loads(noted) if noted else None)
    threshold, shortfall = scorer.threshold(alerts), scorer.shortfall(alerts)
    if threshold == NO_SCORE:
        raise DataError(f"model version {version} would flag nothing: {shortfall}")
    if shortfall:
        log.warning("model version %d: %s", version, shortfall)
    return Model(version, files, scorer.digest, threshold, shortfall)
