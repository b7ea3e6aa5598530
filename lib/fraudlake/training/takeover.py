"""Who gets the alias `champion`: a version that won it on the same rows and passed the gate.

A version that cannot be compared, or is refused, stands as a version, and says why; giving it the
alias is for people. A version that won keeps that among its tags until it has the alias: where the
run was cut off in between, the next one on the same input gives it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.errors import FraudlakeError
from fraudlake.instants import parse_instant
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FEATURES, LABELS
from fraudlake.models.gate import COMPARED, Comparison
from fraudlake.training import days, measures, split

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.registry import Registry
    from fraudlake.training.days import Days
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
    comparison
        With the version that had the alias; None where it was not asked for.
    wins
        Whether the new version takes over.
    text
        What was found and what follows, for the log, the result and the version's tags.
    """

    comparison: Comparison | None
    wins: bool
    text: str

    @property
    def champion(self) -> int | None:
        """The version it was held against; None where no version had the alias."""
        return self.comparison.champion if self.comparison else None

    @property
    def tags(self) -> dict[str, str | None]:
        """Tags of the version; None where it is to have none."""
        won = str(self.champion or _NOBODY) if self.wins else None
        found = self.comparison.text() if self.comparison else None
        return {COMPARISON: self.text, COMPARED: found, _WON_FROM: won}


def judge(
    registry: Registry,
    trial: Trial,
    test: DataFrame,
    metrics: Mapping[str, float],
    own_days: Days,
) -> Verdict:
    """Hold a new model against the champion on the same test rows, and ask the gate.

    Parameters
    ----------
    test
        Test rows of the trial.
    metrics
        The new model's on them.
    own_days
        And by day (`days.by_day`).
    """
    champion, gate = registry.champion(), trial.gate
    comparison = _compare(registry, trial, test, metrics["average_precision"], own_days)
    refusals = gate.refusals(metrics, comparison, champion)
    if comparison.reason:
        return _not_compared(registry, comparison, refusals)
    here = f"fraudlake promote lake={registry.lake} version=VERSION by=NAME"
    stays = f"champion {champion} stays" if champion else "it does not take over"
    if refusals:
        follows = f"{stays}. {'. '.join(refusals)}"
    elif gate.approvals:
        follows = f"{stays} until {gate.approvals} persons agree: {here}"
    else:
        follows = "the new version takes over" if champion else "it takes over"
    found = "the first version"
    if champion:
        found = (
            f"average precision {comparison.own:.4f}, champion {champion} {comparison.theirs:.4f} "
            "on the same rows"
        )
    text = f"{found}: {follows}"
    log.log(logging.WARNING if refusals and not champion else logging.INFO, "train: %s", text)
    return Verdict(comparison, not (refusals or gate.approvals), text)


def weigh(registry: Registry, trial: Trial, version: int) -> None:
    """Hold a version that won a contest against the champion, and keep what came of it.

    Nothing is promoted: `promote` finds there what its gate asks for.
    """
    lake, dataset = trial.lake, trial.dataset
    versions = trial.versions or trial.newest()
    features, labels = (lake.read(t, versions[t.name]) for t in (FEATURES, LABELS))
    test = split.test_rows(features, labels, dataset.card, trial.split).where("label IS NOT NULL")
    metrics = registry.metrics(version)
    comparison = Comparison(registry.champion())
    if registry.champion() != version:
        own = days.by_day(measures.scored(test, registry.files(version), ["event_time", "label"]))
        comparison = _compare(registry, trial, test, metrics["average_precision"], own)
    registry.note(version, {COMPARED: comparison.text()})


def _compare(
    registry: Registry, trial: Trial, test: DataFrame, average_precision: float, own: Days
) -> Comparison:
    champion = registry.champion()
    if champion is None:
        others = ", ".join(map(str, registry.versions()))
        reason = f"no version has the alias champion, and there are versions {others}"
        return Comparison(None, reason=reason if others else "")
    if why := _incomparable(registry, champion, trial):
        return Comparison(champion, reason=why)
    with cached(measures.scored(test, registry.files(champion), ["event_time", "label"])) as scored:
        theirs = measures.ranking(scored)["average_precision"]
        error = days.difference_error(own, days.by_day(scored), "average_precision")
    return Comparison(champion, average_precision, theirs, error)


def competes() -> Verdict:
    """Of a version in a contest, which is not held against the champion."""
    return Verdict(None, False, "trained in a contest: not compared with the champion")


def _not_compared(registry: Registry, comparison: Comparison, refusals: Sequence[str]) -> Verdict:
    further = "".join(f". {one}" for one in refusals if comparison.reason not in one)
    text = (
        f"not compared: {comparison.reason}; the new version stands as a version and decides "
        "nothing. Look at it with score model=VERSION; to have it decide, fraudlake promote "
        f"lake={registry.lake} version=VERSION by=NAME overrule=true why=REASON, and start stream "
        f"and serve with its feature set{further}"
    )
    log.warning("train: %s", text)
    return Verdict(comparison, False, text)


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
            "compared, or fraudlake promote lake=%s version=%d by=NAME overrule=true why=REASON",
            version,
            won_from,
            champion or "(none)",
            registry.lake,
            version,
        )
