"""Who gets the alias `champion`: a version that won it on the same rows, and no other.

A version that cannot be compared stands as a version, and says why; giving it the alias is for
people. A version that won keeps that among its tags until it has the alias: where the run was cut
off in between, the next one on the same input gives it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.errors import FraudlakeError
from fraudlake.instants import parse_instant
from fraudlake.lake.tables import LABELS
from fraudlake.training import measures

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.registry import Registry
    from fraudlake.training.trial import Trial

log = logging.getLogger("fraudlake")

COMPARISON = "comparison"
_WON_FROM = "won_from"
_NOBODY = "nobody"


@dataclass(frozen=True)
class Verdict:
    """What a comparison with the champion came to.

    Attributes
    ----------
    champion
        The version it was held against; None where no version had the alias.
    wins
        Whether the new version takes over.
    text
        What was found and what follows, for the log, the result and the version's tags.
    """

    champion: int | None
    wins: bool
    text: str

    @property
    def tags(self) -> dict[str, str | None]:
        """Tags of the version; None where it is to have none."""
        won = str(self.champion or _NOBODY) if self.wins else None
        return {COMPARISON: self.text, _WON_FROM: won}


def judge(registry: Registry, trial: Trial, test: DataFrame, average_precision: float) -> Verdict:
    """Hold a new model against the champion: the higher average precision on the same test rows.

    Parameters
    ----------
    test
        Test rows of the trial.
    average_precision
        The new model's on them.
    """
    from fraudlake.scoring.apply import score_rows

    champion = registry.champion()
    if champion is None:
        others = ", ".join(map(str, registry.versions()))
        if not others:
            return Verdict(None, True, "the first version: it takes over")
        return _not_compared(
            registry, None, f"no version has the alias champion, and there are versions {others}"
        )
    if reason := _incomparable(registry, champion, trial):
        return _not_compared(registry, champion, reason)
    scored = score_rows(test, registry.files(champion), None, ["label"])
    theirs = measures.ranking(scored)["average_precision"]
    wins = average_precision > theirs
    text = (
        f"average precision {average_precision:.4f}, champion {champion} {theirs:.4f} on the same "
        f"rows: {'the new version takes over' if wins else f'champion {champion} stays'}"
    )
    log.info("train: %s", text)
    return Verdict(champion, wins, text)


def competes(registry: Registry) -> Verdict:
    """Of a version in a contest, which is not held against the champion."""
    text = "trained in a contest: not compared with the champion"
    return Verdict(registry.champion(), False, text)


def _not_compared(registry: Registry, champion: int | None, reason: str) -> Verdict:
    text = (
        f"not compared: {reason}; the new version stands as a version and decides nothing. Look at "
        f"it with score model=VERSION; to have it decide, fraudlake promote lake={registry.lake} "
        "version=VERSION by=NAME, and start stream and serve with its feature set"
    )
    log.warning("train: %s", text)
    return Verdict(champion, False, text)


def _incomparable(registry: Registry, champion: int, trial: Trial) -> str | None:
    """Why the champion cannot be held against a model of this trial; None where it can."""
    try:
        holder = registry.load(champion)
    except FraudlakeError as error:
        return f"champion {champion} cannot be opened ({error})"
    if holder.definition != trial.feature_set.hash:
        return (
            f"champion {champion} has features of another definition ({holder.definition}, here "
            f"{trial.feature_set.hash})"
        )
    from fraudlake.registry.location import NAME_VARIABLE

    labels = holder.manifest.settings.get("labels_id")
    if registry.shared and labels and labels != trial.lake.identity(LABELS):
        return (
            f"champion {champion} was trained on the labels of another lake with this root "
            f"({registry.lake}), or of this one before it was made anew; where both are in use, "
            f"give each a model of its own by {NAME_VARIABLE}"
        )
    start, end = (holder.manifest.settings.get(key) for key in ("train_from", "train_to"))
    if not start or not end:
        return f"champion {champion} does not say on which days it was trained"
    if parse_instant(start) < trial.split.test_to and parse_instant(end) > trial.split.test_from:
        return f"champion {champion} was trained on days of this test ({start} to {end})"
    return None


def settle(
    registry: Registry, version: int, verdict: Verdict, again: Callable[[], Verdict]
) -> None:
    """Give a version the alias that it won.

    Parameters
    ----------
    verdict
        By which it was registered.
    again
        Judges it once more: asked where another version took over in the meantime.
    """
    while verdict.wins and not registry.take_over(version, verdict.champion, verdict.text):
        verdict = again()
        registry.note(version, verdict.tags)
    if verdict.wins:
        registry.note(version, {_WON_FROM: None})


def finish(registry: Registry, version: int) -> None:
    """Give a version the alias that it won in a run that was cut off before it could."""
    told = registry.describe(version)
    champion, won_from, why = registry.champion(), told.get(_WON_FROM), told.get(COMPARISON, "")
    if won_from is None:
        # Versions of before this tag: the only one there is can have nothing to be held against.
        if champion is None and registry.versions() == [version]:
            registry.take_over(version, None, why)
        return
    loser = None if won_from == _NOBODY else int(won_from)
    if champion == version or registry.take_over(version, loser, why):
        registry.note(version, {_WON_FROM: None})
    else:
        log.warning(
            "train: version %d won from %s in a run that was cut off, and champion %s was not "
            "compared with it: it stands as a version. Train with a later test to have the two "
            "compared, or fraudlake promote lake=%s version=%d by=NAME",
            version,
            won_from,
            champion or "(none)",
            registry.lake,
            version,
        )
