"""The definition of every feature, said a second time as plainly as Python can: what tests hold to.

Quadratic, one row at a time, with `datetime`, `Decimal`, fractions and `math`. It shares nothing
with the kernels but the declared `Feature`; what an operation makes of the transactions in a window
says its `plain`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Feature, Question, Row, is_missing


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

    Raises
    ------
    ValueError
        A feature is of a kind that is not said here.
    """
    result = []
    for row in transactions:
        values: dict[str, Any] = {}
        known = [s for s in statements if s["known_at"] <= row["event_time"]]
        for f in feature_set.features:
            if f.operation:
                inside = [o for o in transactions if _counts(f, row, o, f.keys(entities))]
                inside.sort(key=lambda o: (o["event_time"], o["tx_id"]))
                frauds = [_is_fraud(o["tx_id"], known) for o in inside if f.over_labels]
                value = f.operation.plain(Question(f, row, inside, frauds))
                if value is None:
                    values[f.name] = f.empty
                else:
                    values[f.name] = int(value) if f.sql_type == "bigint" else float(value)
            elif f.kind != "ratio":
                values[f.name] = _alone(f, row)
        for f in feature_set.features:
            if f.kind == "ratio":
                above, below = values[f.column], values[f.other]
                divides = not is_missing(above) and not is_missing(below) and below
                values[f.name] = above / below if divides else f.empty
        result.append(
            {"tx_id": row["tx_id"]} | {f.name: values[f.name] for f in feature_set.features}
        )
    return result


def _alone(feature: Feature, row: Row) -> float | int | str | None:
    """Of the transaction by itself."""
    if feature.kind == "calendar":
        at = row["event_time"]
        return int({"night": at.hour in range(7), "weekend": at.isoweekday() > 5}[feature.name])
    value = row[feature.column] if feature.column else None
    if feature.kind == "same":
        missing = value is None or row[feature.other] is None
        return None if missing else int(value == row[feature.other])
    if feature.kind == "category":
        return value
    if feature.kind == "column":
        return None if value is None else float(value)
    raise ValueError(
        f"{feature.name}: got kind {feature.kind!r}, expected one that the oracle says: column, "
        "category, same, calendar, ratio, or window with an operation"
    )


def _counts(feature: Feature, row: Row, other: Row, keys: Sequence[str]) -> bool:
    """Whether another transaction (or the row itself) lies in the row's window."""
    if any(row[key] is None or row[key] != other[key] for key in keys):
        return False
    end = row["event_time"] - timedelta(microseconds=feature.delay)
    begin = end - timedelta(microseconds=feature.window)
    if not begin < other["event_time"] <= end:
        return False
    if feature.delay:
        return True
    if not feature.ties:
        return other["event_time"] < row["event_time"]
    if other["tx_id"] == row["tx_id"]:
        return feature.current
    return (other["event_time"], other["tx_id"]) < (row["event_time"], row["tx_id"])


def _is_fraud(tx_id: int, known: Sequence[Row]) -> bool:
    """What the last statement about a transaction says; no statement, no fraud."""
    about = [s for s in known if s["tx_id"] == tx_id]
    last = max(about, key=lambda s: (s["known_at"], s["source"]), default={"is_fraud": False})
    return last["is_fraud"]
