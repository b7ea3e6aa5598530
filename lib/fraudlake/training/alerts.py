"""What analysts would see of scores: flagged transactions, checked cards, money, groups.

Computed in Spark: no row leaves its task, only sums and top lists do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fraudlake.training.measures import probability_errors

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_GROUPS_SHOWN = 50
_EXPECTED_ALARMS = 5  # fewer expected in a group, and its false-positive rate is chance


def at_threshold(
    scored: DataFrame,
    threshold: float,
    *,
    slope: float,
    intercept: float,
    alert_cost: float,
    budget: int,
) -> dict[str, float]:
    """What flagging score ≥ threshold comes to, in one pass.

    Parameters
    ----------
    scored
        `score`, `_no_score`, `label` (`measures.scored`); with `_amount` (decimal; null and
        refunds count as nothing) money is measured too.
    slope, intercept
        Calibration of the scores (`measures.probability_errors`).
    alert_cost
        What looking at one flagged transaction costs, in the amounts' unit.
    budget
        Transactions that may be flagged in the whole window, for what could have been had.

    Returns
    -------
    dict
        - `tp`, `fp`, `fn`, `tn`; `precision` tp / (tp + fp), `recall` tp / (tp + fn), `f1`
          2 tp / (2 tp + fp + fn), each 0 where that is 0 / 0, as scikit-learn has it;
          `false_positive_rate` fp / (fp + tn);
        - `recall_possible`: of a perfect scorer within the budget;
        - where frauds have amounts: `fraud_amount`; `expected_cost`, the frauds' amounts that were
          missed and `alert_cost` for each transaction flagged; `saved_amount`, `fraud_amount` less
          that; `saved_amount_possible`, of a perfect scorer within the budget, which flags only
          what is worth its alert;
        - `nan_scores`, rows without a score; Brier score and log loss
          (`measures.probability_errors`).

    References
    ----------
    Bahnsen, Stojanovic, Aouada, Ottersten (2013), Cost Sensitive Credit Card Fraud Detection using
    Bayes Minimum Risk: a fraud missed costs its amount, an alert its handling.
    """
    from pyspark.sql import functions as F

    flag, fraud = F.col("score") >= threshold, F.col("label") == 1
    counts = {"tp": flag & fraud, "fp": flag & ~fraud, "fn": ~flag & fraud, "tn": ~flag & ~fraud}
    sums = {name: F.count_if(condition) for name, condition in counts.items()}
    sums |= {"nan_scores": F.count_if("_no_score"), **probability_errors(slope, intercept)}
    if "_amount" in scored.columns:
        cost = F.lit(Decimal(str(alert_cost)))
        worth = F.greatest(F.when(fraud, F.col("_amount")), F.lit(0))
        gain = F.greatest(worth - cost, F.lit(0))
        sums |= {"_all": F.sum(worth), "_caught": F.sum(F.when(flag, worth)), "_gain": F.sum(gain)}
    row = scored.agg(*(column.alias(name) for name, column in sums.items())).collect()[0].asDict()
    total, caught, gain_of_all = (row.pop(name, None) for name in ("_all", "_caught", "_gain"))
    tp, fp, fn, tn = (row[name] for name in counts)
    found = {
        **row,
        "precision": tp / max(tp + fp, 1),
        "recall": tp / max(tp + fn, 1),
        "f1": 2 * tp / max(2 * tp + fp + fn, 1),
        "false_positive_rate": fp / max(fp + tn, 1),
        "recall_possible": min(tp + fn, budget) / max(tp + fn, 1),
    }
    if not total:
        return found
    if budget < tp + fn:
        best = scored.select(gain.alias("gain")).orderBy(F.desc("gain")).limit(budget)
        ((gain_of_all,),) = best.agg(F.sum("gain")).collect()
    saved = float(caught or 0) - alert_cost * (tp + fp)
    return {
        **found,
        "fraud_amount": float(total),
        "saved_amount": saved,
        "saved_amount_possible": float(gain_of_all),
        "expected_cost": float(total) - saved,
    }


def cards_flagged(scored: DataFrame, card: str, threshold: float) -> int:
    """How many cards have a flagged transaction, each counted once a day (UTC)."""
    from pyspark.sql import functions as F

    flagged = scored.where(F.col("score") >= threshold)
    return flagged.select(card, F.to_date("event_time")).distinct().count()


def first_fraud_recall(scored: DataFrame, card: str, threshold: float) -> float:
    """Share of the cards with fraud whose first fraud in the window (by time, `tx_id`) is flagged.

    Parameters
    ----------
    scored
        `tx_id`, `event_time`, `score`, `label`, and the card's column; at least one fraud.
    """
    from pyspark.sql import functions as F

    first = F.min_by("score", F.struct("event_time", "tx_id")).alias("score")
    cards = scored.where("label = 1").groupBy(card).agg(first)
    ((flagged, number),) = cards.agg(
        F.count_if(F.col("score") >= threshold), F.count("*")
    ).collect()
    return flagged / number


def by_group(
    scored: DataFrame, threshold: float, groups: Mapping[str, Sequence[float]]
) -> list[dict[str, Any]]:
    """Who is flagged and who is caught, by group, in one pass.

    Parameters
    ----------
    groups
        Column of `scored` → bounds that cut it, ascending; none: each of its values is a group, the
        50 with the most rows.

    Returns
    -------
    list of dict
        `column`, `group` (`below 7`, `7 to 30`, `30 and more`, a value, or `none`), `rows`,
        `frauds`, `recall` and `false_positive_rate` (None where there is no fraud, or nothing
        else), `false_positive_ratio`: that rate over the rate of all rows, None where the group
        would have fewer than 5 false alarms at the rate of all: it would be chance.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    if not groups:
        return []
    names = [
        F.struct(F.lit(column).alias("column"), _group(column, bounds).alias("group"))
        for column, bounds in groups.items()
    ]
    flag, fraud = F.col("score") >= threshold, F.col("label") == 1
    counted = (
        scored.select(
            flag.alias("flag"), fraud.alias("fraud"), F.explode(F.array(*names)).alias("of")
        )
        .groupBy("of.column", "of.group")
        .agg(
            F.count("*").alias("rows"),
            F.count_if("fraud").alias("frauds"),
            F.count_if(F.expr("flag AND fraud")).alias("tp"),
            F.count_if(F.expr("flag AND NOT fraud")).alias("fp"),
        )
    )
    whole = Window.partitionBy("column")
    largest = whole.orderBy(F.desc("rows"), "group")
    rate = F.sum("fp").over(whole) / F.sum(F.col("rows") - F.col("frauds")).over(whole)
    ranked = counted.select("*", rate.alias("rate"), F.row_number().over(largest).alias("rank"))
    found = ranked.where(F.col("rank") <= _GROUPS_SHOWN).orderBy("column", "group").collect()
    return [_rates(row.asDict()) for row in found]


def _rates(row: dict[str, Any]) -> dict[str, Any]:
    genuine = row["rows"] - row["frauds"]
    rate = row["fp"] / genuine if genuine else None
    told = genuine * row["rate"] >= _EXPECTED_ALARMS
    return {
        **{name: row[name] for name in ("column", "group", "rows", "frauds")},
        "recall": row["tp"] / row["frauds"] if row["frauds"] else None,
        "false_positive_rate": rate,
        "false_positive_ratio": rate / row["rate"] if told and rate is not None else None,
    }


def _group(column: str, bounds: Sequence[float]) -> Column:
    """What a row's group is called."""
    from pyspark.sql import functions as F

    value = F.col(column)
    if not bounds:
        return F.coalesce(value.cast("string"), F.lit("none"))
    name = F.when(value.isNull(), "none").when(value < bounds[0], f"below {bounds[0]:g}")
    for low, high in pairwise(bounds):
        name = name.when(value < high, f"{low:g} to {high:g}")
    return name.otherwise(f"{bounds[-1]:g} and more")


def card_precision(scored: DataFrame, card: str, k: int) -> tuple[float, float]:
    """Card precision at k: the share of frauds among the k cards that analysts check each day.

    And that of a perfect scorer, who has all frauds above all others.

    Each day (UTC) a card stands with its highest score; it is a hit where any of its transactions
    that day is a fraud. The k highest cards are checked (equal scores: smaller card first), hits by
    k is averaged over days, and a card that was a hit leaves the days after.

    Only k · (number of days) candidates a day are collected: no more than k cards leave a day.

    Parameters
    ----------
    scored
        `event_time`, `score`, `label`, and the card's column.
    card
        Name of that column.
    k
        Cards that can be checked in a day.

    References
    ----------
    Le Borgne, Siblini, Lebichot, Bontempi (2022), Reproducible Machine Learning for Credit Card
    Fraud Detection – Practical Handbook, chapter 4.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    day = F.to_date("event_time").alias("day")
    cards = scored.groupBy(day, F.col(card).alias("card")).agg(
        F.max("score").alias("score"), F.max("label").alias("label")
    )
    ((days,),) = cards.select(F.count_distinct("day")).collect()
    found = []
    for best in ("score", "label"):
        order = Window.partitionBy("day").orderBy(F.desc(best), F.asc("card"))
        ranked = cards.withColumn("rank", F.row_number().over(order))
        candidates = ranked.where(F.col("rank") <= k * days).orderBy("day", "rank")
        found.append(_card_precision(candidates.select("day", "card", "label").collect(), k))
    return found[0], found[1]


def _card_precision(candidates: Sequence[Any], k: int) -> float:
    """From (day, card, label) in order of day and rank."""
    detected: set[Any] = set()
    checked: dict[Any, int] = {}
    hits: dict[Any, set[Any]] = {}
    for day, card, label in candidates:
        caught = hits.setdefault(day, set())
        if card in detected or checked.get(day, 0) == k:
            continue
        checked[day] = checked.get(day, 0) + 1
        if label:
            caught.add(card)
            detected.add(card)
    return sum(len(caught) for caught in hits.values()) / (k * len(hits))
