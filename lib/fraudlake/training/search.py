"""Looks for a contender's settings: trials on prequential folds, drawn by Optuna.

Trials are runs of MLflow. A search that was cut off goes on with the next trial, and draws what it
would have drawn: the sampler is seeded anew for each, by the trial's number.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fraudlake.lake import run_metrics
from fraudlake.models.space import Space, changed
from fraudlake.registry.studies import Tried
from fraudlake.training import measures
from fraudlake.training.trial import Rows, Trial, gather

if TYPE_CHECKING:
    import optuna

    from fraudlake.models.kind import Contender
    from fraudlake.registry import Registry
    from fraudlake.training.split import Split

log = logging.getLogger("fraudlake")

MEASURE = "average_precision"
# Wilcoxon's test, one-sided: with fewer folds no trial can be told apart.
_GIVE_UP_BELOW = 0.1
_RANDOM_FIRST = 10


def search(
    trial: Trial,
    space: Space,
    splits: Sequence[Split],
    registry: Registry,
    trials: int,
    config: Mapping[str, Any],
) -> dict[str, Any]:
    """Try settings and find the best.

    Each trial trains on every fold and is measured by the average precision of its test window;
    from the fourth fold on one that is worse than the best so far is given up, by Wilcoxon's
    signed-rank test on the folds. Draws are random first, then by a tree-structured Parzen
    estimator.

    Parameters
    ----------
    trial
        What all have in common; its contender is what the drawn settings are put into.
    splits
        Folds. They should end before the days that are to judge the contender that is found.
    trials
        How many, those of an earlier run on the same input included.

    Returns
    -------
    dict
        `trials`, `new` (tried now), `pruned`, `best` (number of the trial), `average_precision`
        (its mean over the folds), `drawn` (its settings), `contender` (all settings, ready to be
        written), `tried` (every trial: `number`, `mean`, `scores`, `pruned`, `drawn`).

    References
    ----------
    Bergstra, Bardenet, Bengio, Kégl (2011), Algorithms for hyper-parameter optimization.
    """
    trial = replace(trial, versions=trial.newest())
    made_from = [replace(trial, split=fold).made_from() for fold in splits]
    fingerprint = run_metrics.run_id("search", space=space.model_dump(mode="json"), folds=made_from)
    study = registry.study(fingerprint)
    found = list(study.open(trial.contender.name, config))
    before, started = len(found), time.monotonic()
    with ExitStack() as persisted:
        folds: list[Rows] = []
        while len(found) < trials:
            if not folds:
                folds = [
                    gather(replace(trial, split=fold), made, persisted)
                    for fold, made in zip(splits, made_from, strict=True)
                ]
            one = _try(trial, space, splits, folds, found)
            study.note(one, MEASURE)
            found.append(one)
            best = _best(found)
            left = (time.monotonic() - started) / (len(found) - before) * (trials - len(found))
            log.info(
                "search: %d of %d: %s %.4f%s, best %.4f (trial %d); about %.0f min left",
                *(len(found), trials, MEASURE, one.mean, " (given up)" * one.pruned),
                *(best.mean, best.number, left / 60),
            )
    best = _best(found)
    study.close(best, MEASURE)
    contender = changed(trial.contender, best.drawn)
    return {
        "trials": len(found),
        "new": len(found) - before,
        "pruned": sum(one.pruned for one in found),
        "best": best.number,
        MEASURE: best.mean,
        "drawn": dict(best.drawn),
        "contender": contender.model_dump(mode="json", exclude={"name"}),
        "tried": [
            {
                "number": one.number,
                "mean": one.mean,
                "scores": list(one.scores),
                "pruned": one.pruned,
                "drawn": dict(one.drawn),
            }
            for one in found
        ],
    }


def _try(
    trial: Trial, space: Space, splits: Sequence[Split], folds: Sequence[Rows], found: list[Tried]
) -> Tried:
    drawn_by = sampler(space, found, trial.seed)
    ours = drawn_by.ask()
    drawn = space.draw(ours)
    contender = changed(trial.contender, drawn)
    scores: list[float] = []
    pruned = False
    for fold, (split, rows) in enumerate(zip(splits, folds, strict=True)):
        scores.append(_measured(replace(trial, contender=contender, split=split), rows, contender))
        ours.report(scores[-1], fold)
        pruned = fold + 1 < len(splits) and ours.should_prune()
        if pruned:
            break
    return Tried(len(found), drawn, tuple(scores), pruned)


def sampler(space: Space, found: Sequence[Tried], seed: int) -> optuna.Study:
    """A study of Optuna's that knows the trials so far and draws the next one."""
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        # It is called experimental, and has stood since 3.6.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=_GIVE_UP_BELOW, n_startup_steps=4)
    draws = optuna.samplers.TPESampler(seed=seed + len(found), n_startup_trials=_RANDOM_FIRST)
    study = optuna.create_study(direction="maximize", sampler=draws, pruner=pruner)
    distributions = space.distributions()
    for one in found:
        drawn = {
            name: json.dumps(value) if space.root[name].choice else value
            for name, value in one.drawn.items()
        }
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED if one.pruned else TrialState.COMPLETE,
                value=one.mean,
                params=drawn,
                distributions=distributions,
                intermediate_values=dict(enumerate(one.scores)),
            )
        )
    return study


def _measured(trial: Trial, rows: Rows, contender: Contender) -> float:
    """Average precision on a fold's test rows."""
    from fraudlake.models import bundle, kinds
    from fraudlake.models.calibration import Calibration
    from fraudlake.scoring.apply import score_rows

    # Named by all that a fit hangs on: what one that was cut off left there is its own.
    name = run_metrics.run_id("search", **trial.made_from())
    scratch = f"{trial.lake.folder('snapshots')}/{name}"
    fitted = kinds.kind_of(contender.kind).fit(
        rows.train, trial.columns, contender, trial.seed, scratch
    )
    files = bundle.pack(
        contender.kind,
        {name: rows.encodings.get(name) for name in trial.columns},
        trial.feature_set.hash,
        trial.split.label_delay,
        fitted.final,
        Calibration(),
        [],
        rows.aside_days,
        {},
    )
    return measures.ranking(score_rows(rows.test, files, None, ["label"]))[MEASURE]


def _best(found: Sequence[Tried]) -> Tried:
    """The highest mean of those that were tried on all folds; the first is never given up."""
    return max((one for one in found if not one.pruned), key=lambda one: one.mean)
