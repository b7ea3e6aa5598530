"""From the feature table to a registered, calibrated model: the steps every contender takes."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from fraudlake.lake import run_metrics
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FEATURES, LABELS
from fraudlake.models.scorer import ALERTS_A_DAY
from fraudlake.training import alerts, days, measures, takeover
from fraudlake.training.trial import Trial, gather

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.lake import Lake
    from fraudlake.models.calibration import Calibration
    from fraudlake.models.scorer import Scorer
    from fraudlake.registry import Registry

log = logging.getLogger("fraudlake")

CARDS_A_DAY = 100
_EXPLAINED_ROWS = 1000
_IDS = ("features_id", "labels_id")
_COUNTS = {"tp", "fp", "fn", "tn", "nan_scores"} | {
    f"{what}_{window}" for what in ("rows", "frauds", "unlabelled") for window in ("train", "test")
}


def train(
    trial: Trial, registry: Registry, config: Mapping[str, Any], contest: bool = False
) -> dict[str, Any]:
    """Train a contender, measure it on the test rows and register it as the next version.

    What the model is made from gives it a fingerprint: where the registry knows it, nothing is
    trained and the version that stands is reported.

    Parameters
    ----------
    config
        The job's arguments, kept with the run.
    contest
        Whether the version is one of several that compete, so that none becomes champion here.

    Returns
    -------
    dict
        `model_version`, `trained`, `champion` (version that now holds the alias), `comparison`
        (what came of holding the two against each other, and what follows), `contender`,
        `definition`, the measures, and `remarks`: sentences for the user, such as why the
        threshold flags less than the alert budget.

    Raises
    ------
    ConfigError
        The data set's card is no entity, so that the feature table does not hold it.
    DataError
        The windows hold nothing to learn from or to measure on, too few rows to place the
        threshold, or features of another definition.
    SetupError
        Fewer free slots than the contender's workers.
    """
    made_from = trial.made_from()
    fingerprint, version = _find(registry, trial.lake, made_from)
    trained = version is None
    if version is None:
        with ExitStack() as persisted:
            version = _train(trial, registry, fingerprint, made_from, config, persisted, contest)
    elif not contest:
        takeover.finish(registry, version)
    if remark := registry.load(version).shortfall(trial.alerts):
        log.warning("train: %s", remark)
    metrics = registry.metrics(version)
    run_metrics.record(trial.lake, "train", fingerprint, made_from["features_version"], metrics)
    return {
        "model_version": version,
        "trained": trained,
        "champion": registry.champion(),
        "comparison": registry.describe(version).get(takeover.COMPARISON, ""),
        "contender": trial.contender.name,
        "definition": trial.feature_set.hash,
        **{name: int(value) if name in _COUNTS else value for name, value in metrics.items()},
        "remarks": [remark] if remark else [],
    }


def _find(registry: Registry, lake: Lake, made_from: Mapping[str, Any]) -> tuple[str, int | None]:
    """The fingerprint of a training, and the newest version that has it; None where there is none.

    In earlier releases it did not cover the tables' ids. Such a version is this training's where
    no other lake has models, and where the tables are older than it.
    """
    fingerprint = run_metrics.run_id("train", **made_from)
    version = registry.find(fingerprint)
    if version is None and not registry.shared:
        without = {name: value for name, value in made_from.items() if name not in _IDS}
        former = run_metrics.run_id("train", **without)
        version = registry.find(former)
        if version is not None:
            trained_at = datetime.fromisoformat(registry.describe(version)["created_at"])
            if all(lake.created_at(table) < trained_at for table in (FEATURES, LABELS)):
                return former, version
            version = None
    return fingerprint, version


def _train(
    trial: Trial,
    registry: Registry,
    fingerprint: str,
    made_from: dict[str, Any],
    config: Mapping[str, Any],
    persisted: ExitStack,
    contest: bool,
) -> int:
    from fraudlake.models import bundle, kinds
    from fraudlake.models.calibration import Calibration
    from fraudlake.scoring.apply import score_rows

    kind = kinds.kind_of(trial.contender.kind)

    def pack(weights: bytes, line: Calibration, alert_scores: list[float]) -> dict[str, bytes]:
        return bundle.pack(
            trial.contender.kind,
            {name: rows.encodings.get(name) for name in trial.columns},
            trial.feature_set.hash,
            trial.split.label_delay,
            weights,
            line,
            alert_scores,
            rows.aside_days,
            made_from,
        )

    started = time.monotonic()
    with _phase("rows"):
        rows = gather(trial, made_from, persisted)
    with _phase("fit"):
        scratch = f"{trial.lake.folder('snapshots')}/{fingerprint}"
        fitted = kind.fit(rows.train, trial.columns, trial.contender, trial.seed, scratch)
        metrics = dict(fitted.metrics)
    with _phase("calibration and threshold"):
        held_out = rows.train.where("held_out")
        line = _calibrate(
            score_rows(held_out, pack(fitted.early, Calibration(), []), None, ["label"])
        )
        weights = fitted.final if trial.split.gap_days else fitted.early
        card = trial.dataset.card if trial.alerts_by == "card" else None
        carry = [card, "event_time"] if card else []
        aside = score_rows(rows.aside, pack(weights, line, []), None, carry)
        alert_scores = _highest(aside, rows.aside_days, card)
        files = pack(fitted.final, line, alert_scores)
        scorer = bundle.load(files)
    with _phase("test"):
        carry = ["tx_id", "event_time", "_amount", "label", *trial.gate.groups]
        carry += [card] if (card := trial.dataset.card) else []
        rows_scored = measures.scored(rows.test, files, list(dict.fromkeys(carry)))
        scored = persisted.enter_context(cached(rows_scored))
        ranking = measures.ranking(scored)
        by_day = days.by_day(scored)
        metrics |= {
            **{name: value for name, value in ranking.items() if name != "curve"},
            **days.intervals(by_day),
            **_at_threshold(scored, trial, scorer),
            **rows.counts,
        }
        judge = partial(takeover.judge, registry, trial, rows.test, metrics, by_day)
        verdict = takeover.competes() if contest else judge()
        plots = _plots(scored, rows.test, scorer, ranking)
    with _phase("registration"):
        version = registry.register(
            files,
            contender=trial.contender.name,
            fingerprint=fingerprint,
            parameters=_flat(made_from),
            metrics={**metrics, "seconds": time.monotonic() - started},
            tags={n: v for n, v in (made_from | verdict.tags).items() if n != "contender"},
            plots=plots,
            config=config,
            curves=fitted.curves,
        )
        takeover.settle(registry, version, verdict, judge)
    return version


def _at_threshold(scored: DataFrame, trial: Trial, scorer: Scorer) -> dict[str, float]:
    """What analysts would see of the test, flags, cards, money, groups, and the best they could."""
    threshold, line = scorer.threshold(trial.alerts), scorer.manifest.calibration
    test_days = (trial.split.test_to - trial.split.test_from) / timedelta(days=1)
    budget = max(int(trial.alerts * test_days), 1)
    found = alerts.at_threshold(
        scored,
        threshold,
        slope=line.slope,
        intercept=line.intercept,
        alert_cost=trial.gate.alert_cost,
        budget=budget,
    )
    found |= {"threshold": threshold, "alerts_a_day": (found["tp"] + found["fp"]) / test_days}
    if card := trial.dataset.card:
        found["cards_a_day"] = alerts.cards_flagged(scored, card, threshold) / test_days
        name = f"card_precision_at_{CARDS_A_DAY}"
        own, possible = alerts.card_precision(scored, card, CARDS_A_DAY)
        found |= {name: own, f"{name}_possible": possible}
        found["first_fraud_recall"] = alerts.first_fraud_recall(scored, card, threshold)
    for one in alerts.by_group(scored, threshold, trial.gate.groups):
        group = re.sub(r"[^\w. :-]", "_", f"{one['column']}.{one['group']}")
        told = {k: v for k, v in one.items() if k not in ("column", "group") and v is not None}
        found |= {f"{measure}.{group}": value for measure, value in told.items()}
    return found


def _calibrate(held_out: DataFrame) -> Calibration:
    """Platt's line from scores that are not calibrated yet.

    Margins are rounded to a hundredth in log-odds: what is collected does not grow with the rows.
    """
    from pyspark.sql import functions as F

    from fraudlake.models import calibration

    margin = F.round(measures.margin("score"), 2).alias("margin")
    groups = held_out.groupBy(margin, "label").count().orderBy("margin", "label").toPandas()
    line = calibration.fit(groups["margin"], groups["label"], groups["count"])
    if line.reason:
        log.warning("train: scores stay as they are, without calibration: %s", line.reason)
    return line


def _highest(scored: DataFrame, days: float, card: str | None) -> list[float]:
    """The highest scores of so many days, as many as the largest alert budget asks for.

    Of transactions, or of cards on each day where a card's column is given.

    With the next one, or as many more that equal the lowest as tell whether a budget holds.
    """
    from pyspark.sql import functions as F

    most = int(ALERTS_A_DAY * days)
    score = F.nanvl("score", F.lit(0.0)).alias("score")
    scores = scored.select(score)
    if card:
        of = scored.groupBy(card, F.to_date("event_time"))
        scores = of.agg(F.max(score).alias("score")).select("score")
    rows = scores.orderBy(F.desc("score")).limit(most + most // 10 + 2).collect()
    kept = [row[0] for row in rows]
    return kept[: most + 1] + [one for one in kept[most + 1 :] if one == kept[most - 1]]


def _plots(
    scored: DataFrame, test: DataFrame, scorer: Scorer, ranking: Mapping[str, Any]
) -> dict[str, Any]:
    import numpy as np
    from pyspark.sql import functions as F

    from fraudlake.models.encoding import to_matrix
    from fraudlake.reports import plots

    bins = measures.bins(scored)
    top = scored.orderBy(F.desc("score"), "tx_id").limit(_EXPLAINED_ROWS).select("tx_id")
    rows = test.join(F.broadcast(top), "tx_id").toArrow()
    matrix = to_matrix(rows, scorer.features, scorer.encodings)
    sizes = np.abs(scorer.contributions(matrix)).mean(axis=0)
    return {
        "precision_recall": plots.precision_recall(ranking["curve"], ranking["average_precision"]),
        "calibration": plots.calibration(bins),
        "scores": plots.histogram(bins),
        "contributions": plots.contributions(dict(zip(scorer.features, sizes, strict=True))),
    }


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested names joined by a dot.

    >>> _flat({"contender": {"rounds": 100}})
    {'contender.rounds': 100}
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = _flat(value) if isinstance(value, Mapping) else {"": value}
        flat |= {f"{name}.{key}" if key else name: each for key, each in inner.items()}
    return flat


@contextmanager
def _phase(name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    log.info("train: %s in %.1f s", name, time.monotonic() - started)
