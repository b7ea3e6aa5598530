"""Why a transaction has its score: what spoke for fraud and what against, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import ConfigError, DataError
from fraudlake.features.definition.feature_set import feature_set_of
from fraudlake.features.definition.sentence import sentence
from fraudlake.feeds import TX_REF
from fraudlake.lake.tables import FEATURES, FLAGGED, LABELS, SCORES, TRANSACTIONS
from fraudlake.models.encoding import to_matrix
from fraudlake.models.scorer import check_definition

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row

    from fraudlake.lake import Lake
    from fraudlake.models.scorer import Scorer


@dataclass(frozen=True)
class Reason:
    """One reason of a score.

    Attributes
    ----------
    feature
        The feature, or the rule.
    value
        Of the feature: a number, a text for a category, None for nothing.
    contribution
        What it adds to the score, in calibrated log-odds: above 0 it speaks for fraud.
    sentence
        The same for an analyst.
    """

    feature: str
    value: float | str | None
    contribution: float
    sentence: str


def explain(
    lake: Lake, scorer: Scorer, version: int, model: str, threshold: float, tx: str
) -> dict[str, Any]:
    """Score one transaction again and say why it scores so.

    Parameters
    ----------
    version, model
        Of the scorer: version and name of the registered model, as `scores` has them.
    threshold
        Flag where score ≥ threshold.
    tx
        The transaction's id: its number, or its text where the data set's ids are text.

    Returns
    -------
    dict
        `transaction` (its columns), `label` (the newest statement: `is_fraud`, `known_at`,
        `source`; None where there is none), `model_version`, `score`, `threshold`, `flag`, `base`
        (log-odds that reasons start from), `reasons` (every `Reason` as a dictionary, what speaks
        for fraud first), `flagged` (the flag that stands: `flagged_at`, `model_version`, `score`;
        or None), `rank` (its place among the `rank_of` that this version scored on its day, UTC;
        None where it has not scored it), `verdict` (a sentence).

    Raises
    ------
    DataError
        No such transaction, no features of it, or features that the model was not trained on.
    """
    transaction = _transaction(lake, tx)
    row = _of(lake.read(FEATURES), transaction).first()
    if row is None:
        raise DataError(
            f"tx: got {tx}, a transaction without a row in {FEATURES.name}, expected one: run the "
            "job features first"
        )
    check_definition(version, scorer.definition, row.definition)
    label = lake.read(LABELS).where(f"tx_id = {transaction.tx_id}") if lake.exists(LABELS) else None
    newest = label.orderBy("known_at", "source").tail(1) if label is not None else []
    told = _plain(newest[0], "is_fraud", "known_at", "source") if newest else None
    score, reasons = reasons_of_row(scorer, row.asDict())
    flag = score >= threshold
    return {
        "transaction": _plain(transaction, *transaction.asDict()),
        "label": told,
        "model_version": version,
        "score": score,
        "threshold": threshold,
        "flag": flag,
        "base": scorer.base(),
        "reasons": [asdict(reason) for reason in reasons],
        "flagged": _flag(lake, transaction),
        **_rank(lake, transaction, version, model, score),
        "verdict": verdict(reasons, score, threshold, told["is_fraud"] if told else None),
    }


def reasons_of_row(scorer: Scorer, row: Mapping[str, Any]) -> tuple[float, list[Reason]]:
    """A row's score, and all that adds to it or takes from it, what speaks for fraud first.

    Parameters
    ----------
    row
        Feature → value, as the table `features` has it.
    """
    import pyarrow as pa

    table = pa.table({name: [row[name]] for name in scorer.features})
    matrix = to_matrix(table, scorer.features, scorer.encodings)
    score = float(scorer.score(matrix)[0])
    names, values, contributions = scorer.reasons(matrix)
    known = feature_set_of(scorer.definition)
    features = {feature.name: feature for feature in known.features} if known else {}
    reasons = []
    for name, number, contribution in zip(names, values[0], contributions[0], strict=True):
        value = row.get(name, None if math.isnan(number) else float(number))
        words = sentence(features[name], value) if name in features else _plainly(name, value, row)
        reasons.append(Reason(name, value, float(contribution), words))
    reasons = [reason for reason in reasons if reason.contribution]
    return score, sorted(reasons, key=lambda reason: -reason.contribution)


def verdict(
    reasons: Sequence[Reason], score: float, threshold: float, is_fraud: bool | None
) -> str:
    """What decided, in a sentence: what hid a missed fraud, what made a false alarm.

    Contributions add up in log-odds, so those that decide are the strongest whose leaving out moves
    the score across the threshold.

    Examples
    --------
    >>> reasons = [Reason("a", 1, 2.0, "a is 1"), Reason("b", 2, -3.0, "b is 2")]
    >>> verdict(reasons, 0.2, 0.5, True)
    'a missed fraud: it would have been flagged but for this: b is 2'
    """
    flag = score >= threshold
    what = {
        (True, True): "a fraud that was caught",
        (True, False): "a false alarm",
        (False, True): "a missed fraud",
        (False, False): "rightly not flagged",
    }[flag, bool(is_fraud)]
    if is_fraud is None:
        what = "flagged" if flag else "not flagged"
    decisive = _decisive(reasons, score, threshold)
    if decisive is None:
        rest = "nothing by itself decides it" if flag else "too little speaks for fraud"
        return f"{what}: {rest}, whatever is left out"
    names = "; ".join(reason.sentence for reason in decisive)
    would = "would not have been flagged" if flag else "would have been flagged"
    return f"{what}: it {would} but for this: {names}"


def _decisive(reasons: Sequence[Reason], score: float, threshold: float) -> Sequence[Reason] | None:
    flag = score >= threshold
    needed = abs(_log_odds(score) - _log_odds(threshold))
    ordered = sorted(reasons, key=lambda reason: reason.contribution * (-1 if flag else 1))
    total = 0.0
    for number, reason in enumerate(ordered):
        size = reason.contribution if flag else -reason.contribution
        if size <= 0:
            return None
        total += size
        if total > needed:
            return ordered[: number + 1]
    return None


def _log_odds(probability: float) -> float:
    if not 0 < probability < 1:
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability) - math.log1p(-probability)


def _plainly(name: str, value: Any, row: Mapping[str, Any]) -> str:
    """Of a feature whose definition is not at hand; of a rule its own words."""
    return f"{name} is {value}" if name in row else name


def _transaction(lake: Lake, tx: str) -> Row:
    from pyspark.sql import functions as F

    rows = lake.read(TRANSACTIONS)
    by_text = TX_REF in rows.columns
    if not by_text and not tx.strip().lstrip("-").isdigit():
        raise ConfigError([f"tx: got {tx!r}, expected a whole number, the id of a transaction"])
    found = rows.where(F.col(TX_REF) == tx if by_text else F.col("tx_id") == int(tx)).first()
    if found is None:
        raise DataError(
            f"tx: got {tx}, expected the id of a transaction of {lake.root}; there is none in "
            f"{TRANSACTIONS.name} (it may be in quarantine, or not ingested yet)"
        )
    return found


def _of(rows: DataFrame, transaction: Row) -> DataFrame:
    """A table's rows about it; by its time as well, so that most files are not opened."""
    from pyspark.sql import functions as F

    at_its_time = F.col("event_time") == F.lit(transaction.event_time)
    return rows.where(at_its_time).where(F.col("tx_id") == transaction.tx_id)


def _flag(lake: Lake, transaction: Row) -> dict[str, Any] | None:
    if not lake.exists(FLAGGED):
        return None
    row = _of(lake.read(FLAGGED), transaction).first()
    return _plain(row, "flagged_at", "model_version", "score") if row else None


def _plain(row: Row, *names: str) -> dict[str, Any]:
    """Columns of a row; times with their zone, which Spark leaves out."""
    values = {name: row[name] for name in names}
    return {n: v.astimezone(UTC) if isinstance(v, datetime) else v for n, v in values.items()}


def _rank(
    lake: Lake, transaction: Row, version: int, model: str, score: float
) -> dict[str, int | None]:
    from pyspark.sql import functions as F

    if not lake.exists(SCORES):
        return {"rank": None, "rank_of": None}
    day = F.date_trunc("day", F.lit(transaction.event_time))
    on_day = (F.col("event_time") >= day) & (F.col("event_time") < day + F.expr("interval 1 day"))
    own = (F.col("model") == model) & (F.col("model_version") == version)
    rows = lake.read(SCORES).where(on_day & own)
    higher, every, its = rows.agg(
        F.count_if(F.col("score") > score),
        F.count("*"),
        F.count_if(F.col("tx_id") == transaction.tx_id),
    ).collect()[0]
    return {"rank": higher + 1, "rank_of": every} if its else {"rank": None, "rank_of": None}
