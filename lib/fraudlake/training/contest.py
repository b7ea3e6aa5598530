"""Contenders held against each other on the same folds: who is best, and who is simple enough.

Folds are prequential: each test window lies after the training date of its fold, and the windows
follow one another. Versions are those of `train`, found again by what they were made from: a
contest that was cut off goes on where it was.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import fmean, pstdev, stdev
from typing import TYPE_CHECKING, Any

from fraudlake.errors import ConfigError
from fraudlake.instants import format_duration, format_instant
from fraudlake.models import kinds
from fraudlake.training import split, takeover
from fraudlake.training.train import train

if TYPE_CHECKING:
    from fraudlake.models.kind import Contender
    from fraudlake.registry import Registry
    from fraudlake.training.split import Split
    from fraudlake.training.trial import Trial

log = logging.getLogger("fraudlake")

CHALLENGER = "challenger"
DECIDES = "average_precision"


def folds(
    start: datetime,
    end: datetime,
    train_for: timedelta,
    test_for: timedelta,
    delay: timedelta | None,
    label_delay: timedelta,
) -> list[Split]:
    """Splits whose test windows follow one another up to `end`, whole windows alone.

    Parameters
    ----------
    start
        Where the training of the first one begins.
    train_for, test_for
        Length of each training, and of each test.
    delay, label_delay
        As `split.plan` takes them.

    Raises
    ------
    ConfigError
        A test has no length, there is no room for one, or as `split.plan` says.

    Examples
    --------
    >>> from datetime import UTC
    >>> week, july = timedelta(days=7), datetime(2018, 7, 1, tzinfo=UTC)
    >>> found = folds(july, july + 5 * week, week, week, None, week)
    >>> [one.test_from.day for one in found]
    [15, 22, 29]
    """
    if not test_for:
        raise ConfigError(["test_for: got 0s, expected the length of a test"])
    found: list[Split] = []
    while True:
        begin = start + len(found) * test_for
        one = split.plan(begin, begin + train_for, delay, None, None, label_delay)
        one = replace(one, test_to=one.test_from + test_for)
        if one.test_to > end:
            break
        found.append(one)
    if not found:
        needed = format_duration(train_for + (label_delay if delay is None else delay) + test_for)
        got = f"to: got {format_instant(end)}, expected at least {needed} after from"
        raise ConfigError([f"{got}: train_for, delay and test_for"])
    return found


def simple_first(contenders: Sequence[Contender]) -> list[Contender]:
    """Contenders from the simplest kind to the most involved (`kinds`); one tree before many."""
    places: dict[str, int] = {name: place for place, name in enumerate(kinds.NAMES)}

    def place(contender: Contender) -> tuple[int, int]:
        return places[contender.kind], getattr(contender, "trees", 0)

    return sorted(contenders, key=place)


@dataclass(frozen=True)
class Choice:
    """What a contest came to.

    Attributes
    ----------
    best
        The contender with the highest mean.
    winner
        The simplest one that is not told apart from it.
    text
        Why, in words.
    """

    best: str
    winner: str
    text: str


def choose(scores: Mapping[str, Sequence[float]]) -> Choice:
    """The simplest contender whose distance from the best is within noise.

    Noise is one standard error of the mean of the differences, fold by fold (the rule of one
    standard error: Breiman et al. 1984, 3.4.3). One fold alone says nothing of it: the best wins.

    Parameters
    ----------
    scores
        Contender, the simplest first → its measure on each fold.

    Examples
    --------
    >>> choose({"logistic": [0.60, 0.64], "forest": [0.61, 0.63]}).winner
    'logistic'
    """
    best = max(scores, key=lambda name: fmean(scores[name]))
    for name, own in scores.items():
        if name == best:
            break
        differences = [one - other for one, other in zip(scores[best], own, strict=True)]
        if len(differences) < 2:
            continue
        noise = stdev(differences) / len(differences) ** 0.5
        if fmean(differences) <= noise:
            text = (
                f"{name} wins: {best} is {fmean(differences):.4f} above it in the mean, within one "
                f"standard error of their differences ({noise:.4f}), and {name} is simpler"
            )
            return Choice(best, name, text)
    return Choice(
        best, best, f"{best} wins: it has the highest mean, and no simpler one is as good"
    )


def compete(
    trial: Trial,
    contenders: Sequence[Contender],
    splits: Sequence[Split],
    registry: Registry,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Train every contender on every fold and choose one.

    The winner's version of the last fold is held against the champion, for the gate, and gets the
    alias `challenger`, unless it is the champion, which stays who it is.

    Parameters
    ----------
    trial
        What all have in common; its contender and split are not looked at. Features and labels are
        those of now for all, whatever others write meanwhile.
    config
        The job's arguments, kept with each run.

    Returns
    -------
    dict
        `folds` (test windows), `contenders` (the simplest first: its name, `versions`, and of each
        measure the mean, `…_std` over the folds, and the values), `best`, `winner`, `version`
        (the winner's of the last fold), `choice` (why, in words), `trained` (versions that were not
        there before).
    """
    ordered, started, trained = simple_first(contenders), time.monotonic(), 0
    results: dict[str, list[dict[str, Any]]] = {one.name: [] for one in ordered}
    trial = replace(trial, versions=trial.newest())
    total, done = len(ordered) * len(splits), 0
    for fold in splits:
        for contender in ordered:
            one = replace(trial, contender=contender, split=fold)
            result = train(one, registry, config, contest=True)
            results[contender.name].append(result)
            trained, done = trained + result["trained"], done + 1
            left = (time.monotonic() - started) / done * (total - done)
            log.info(
                "compete: %d of %d: %s on %s: %s %.4f; about %.0f min left",
                *(done, total, contender.name, format_instant(fold.test_from), DECIDES),
                *(result[DECIDES], left / 60),
            )
    choice = choose({name: [r[DECIDES] for r in found] for name, found in results.items()})
    version = results[choice.winner][-1]["model_version"]
    winner = next(one for one in ordered if one.name == choice.winner)
    takeover.weigh(registry, replace(trial, contender=winner, split=splits[-1]), version)
    if registry.champion() != version:
        registry.promote(version, CHALLENGER, by="compete", why=choice.text)
    return {
        "folds": [[format_instant(s.test_from), format_instant(s.test_to)] for s in splits],
        "contenders": [{"contender": name, **_summary(results[name])} for name in results],
        "best": choice.best,
        "winner": choice.winner,
        "version": version,
        "choice": choice.text,
        "trained": trained,
    }


def _summary(found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean, standard deviation and values over the folds of each measure."""
    summary: dict[str, Any] = {"versions": [one["model_version"] for one in found]}
    for name in _measured(found):
        values = [one[name] for one in found]
        summary |= {name: fmean(values), f"{name}_std": pstdev(values), f"{name}_values": values}
    return summary


def _measured(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """Measures that every fold has."""
    wanted = (
        *("auc", DECIDES, "card_precision_at_100", "card_precision_at_100_possible"),
        *("recall", "recall_possible", "saved_amount", "saved_amount_possible"),
        *("expected_calibration_error", "brier", "seconds"),
    )
    return [name for name in wanted if all(name in one for one in found)]
