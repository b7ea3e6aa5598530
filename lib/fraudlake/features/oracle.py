"""The definition of every feature, said a second time as plainly as Python can: what tests hold to.

Quadratic, one row at a time, with `datetime`, `Decimal` and fractions. It shares nothing with
`kernels` but the declared `Feature`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from fraudlake.features.definition import Feature, FeatureSet

Row = Mapping[str, Any]


def oracle(
    transactions: Sequence[Row],
    statements: Sequence[Row],
    feature_set: FeatureSet,
    entities: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Features of every transaction, by looking at all others.

    Parameters
    ----------
    transactions
        `tx_id`, `event_time` (UTC), the entity columns and the columns the features name.
    statements
        Labels: `tx_id`, `is_fraud`, `known_at`, `source`.
    entities
        Entity → its column.

    Returns
    -------
    list of dict
        `tx_id` and the features, in the order of `transactions`.
    """
    return [
        {"tx_id": row["tx_id"]}
        | {f.name: _value(f, row, transactions, statements, entities) for f in feature_set.features}
        for row in transactions
    ]


def _value(
    feature: Feature,
    row: Row,
    transactions: Sequence[Row],
    statements: Sequence[Row],
    entities: Mapping[str, str],
) -> float | int | None:
    now: datetime = row["event_time"]
    if feature.name == "weekend":
        return int(now.isoweekday() in (6, 7))
    if feature.name == "night":
        return int(now.hour in range(7))
    if feature.kind == "column":
        value = row[feature.column]
        return None if value is None else float(value)
    inside = [
        other for other in transactions if _counts(feature, row, other, entities[feature.entity])
    ]
    if feature.operation == "count":
        return len(inside)
    if feature.operation == "rate":
        known = [s for s in statements if s["known_at"] <= now]
        values = [Fraction(_is_fraud(other["tx_id"], known)) for other in inside]
    else:
        values = [Fraction(o[feature.column]) for o in inside if o[feature.column] is not None]
    if not values:
        return feature.empty
    return float(sum(values) if feature.operation == "sum" else sum(values) / len(values))


def _counts(feature: Feature, row: Row, other: Row, key: str) -> bool:
    """Whether another transaction (or the row itself) lies in the row's window."""
    if row[key] is None or row[key] != other[key]:
        return False
    end = row["event_time"] - timedelta(microseconds=feature.delay)
    begin = end - timedelta(microseconds=feature.window)
    if not begin < other["event_time"] <= end:
        return False
    if feature.delay:
        return True
    if other["tx_id"] == row["tx_id"]:
        return feature.current
    return (other["event_time"], other["tx_id"]) < (row["event_time"], row["tx_id"])


def _is_fraud(tx_id: int, known: Sequence[Row]) -> bool:
    """What the last statement about a transaction says; no statement, no fraud."""
    about = [s for s in known if s["tx_id"] == tx_id]
    last = max(about, key=lambda s: (s["known_at"], s["source"]), default={"is_fraud": False})
    return last["is_fraud"]
