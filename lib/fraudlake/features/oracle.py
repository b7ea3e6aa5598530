"""The definition of every feature, said a second time as plainly as Python can: what tests hold to.

Quadratic, one row at a time, with `datetime`, `Decimal`, fractions and `math`. It shares nothing
with the kernels but the declared `Feature`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from fraudlake.features.definition.feature import Feature
from fraudlake.features.definition.feature_set import FeatureSet

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
    result = []
    for row in transactions:
        values: dict[str, Any] = {}
        for f in feature_set.features:
            if f.kind == "window":
                inside = [o for o in transactions if _counts(f, row, o, f.keys(entities))]
                inside.sort(key=lambda o: (o["event_time"], o["tx_id"]))
                values[f.name] = _over(f, row, inside, statements)
            elif f.kind != "ratio":
                values[f.name] = _alone(f, row)
        for f in feature_set.features:
            if f.kind == "ratio":
                above, below = values[f.column], values[f.other]
                values[f.name] = f.empty if above is None or not below else above / below
        result.append(
            {"tx_id": row["tx_id"]} | {f.name: values[f.name] for f in feature_set.features}
        )
    return result


def _alone(feature: Feature, row: Row) -> float | int | str | None:
    """Of the transaction by itself."""
    if feature.name == "weekend":
        return int(row["event_time"].isoweekday() in (6, 7))
    if feature.name == "night":
        return int(row["event_time"].hour in range(7))
    value = row[feature.column]
    if feature.kind == "same":
        missing = value is None or row[feature.other] is None
        return None if missing else int(value == row[feature.other])
    return value if value is None or feature.kind == "category" else float(value)


def _over(  # noqa: PLR0911  # one operation after the other
    feature: Feature, row: Row, inside: Sequence[Row], statements: Sequence[Row]
) -> float | int | None:
    """Of the events in its window, oldest first."""
    now: datetime = row["event_time"]
    if feature.operation == "count":
        return len(inside)
    if feature.operation == "distinct":
        return len({o[feature.column] for o in inside} - {None})
    if feature.operation in ("age", "since") and inside:
        event = inside[0 if feature.operation == "age" else -1]
        return (now - event["event_time"]) / timedelta(seconds=1)
    if feature.operation == "rate" and inside:
        known = [s for s in statements if s["known_at"] <= now]
        return float(Fraction(sum(_is_fraud(o["tx_id"], known) for o in inside), len(inside)))
    if feature.operation == "speed":
        return _speed(feature, row, inside)
    if feature.operation == "time_of_day" and inside:
        return _time_of_day(now, [o["event_time"] for o in inside])
    if feature.operation == "decay":
        inside = [o for o in inside if o[feature.column] is not None]
        end = now - timedelta(microseconds=feature.delay)
        half_life = timedelta(microseconds=feature.half_life)
        ages = [(end - o["event_time"]) / half_life for o in inside]
        weighted = [float(o[feature.column]) * 2**-a for o, a in zip(inside, ages, strict=True)]
        return math.fsum(weighted) if inside else feature.empty
    if not inside or not feature.column or feature.operation == "rate":
        return feature.empty
    values = [Fraction(o[feature.column]) for o in inside if o[feature.column] is not None]
    own = row[feature.column]
    found = _of_values(feature, None if own is None else Fraction(own), values)
    return feature.empty if found is None else float(found)


def _of_values(  # noqa: PLR0911  # as above
    feature: Feature, own: Fraction | None, values: Sequence[Fraction]
) -> Fraction | float | None:
    """Of the values in the window, and the transaction's own; None where that says nothing."""
    n = len(values)
    if feature.operation == "last":
        return values[-feature.nth] if n >= feature.nth else None
    if not n:
        return None
    if feature.operation in ("min", "max"):
        return min(values) if feature.operation == "min" else max(values)
    total = sum(values, Fraction(0))
    mean = total / n
    if feature.operation == "sum":
        return total
    if feature.operation == "mean":
        return mean
    if feature.operation == "ratio":
        return own / mean if own is not None and mean else None
    if n < 2:
        return None
    variance = sum(((v - mean) ** 2 for v in values), Fraction(0)) / (n - 1)
    if feature.operation == "std":
        return math.sqrt(variance)
    return float(own - mean) / math.sqrt(variance) if own is not None and variance else None


def _speed(feature: Feature, row: Row, inside: Sequence[Row]) -> float | None:
    """km/h from the last known place; the angle between the two places by the haversine."""
    columns = (feature.column, feature.other)
    placed = [o for o in inside if all(o[c] is not None for c in columns)]
    if not placed or any(row[c] is None for c in columns):
        return feature.empty
    (lat_1, lon_1), (lat_2, lon_2) = (
        [math.radians(o[c]) for c in columns] for o in (placed[-1], row)
    )
    haversine = math.sin((lat_2 - lat_1) / 2) ** 2
    haversine += math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    kilometres = 2 * 6371.0088 * math.asin(math.sqrt(min(haversine, 1)))
    elapsed = max(row["event_time"] - placed[-1]["event_time"], timedelta(seconds=1))
    return kilometres / (elapsed / timedelta(hours=1))


def _time_of_day(now: datetime, times: Sequence[datetime]) -> float:
    """κ (1 − cos(angle to the mean direction)); κ of a mean vector over one event more."""

    def angle(at: datetime) -> float:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return 2 * math.pi * ((at - midnight) / timedelta(days=1))

    x = math.fsum(math.cos(angle(t)) for t in times)
    y = math.fsum(math.sin(angle(t)) for t in times)
    r = math.hypot(x, y) / (len(times) + 1)
    if r < 0.53:
        kappa = 2 * r + r**3 + 5 / 6 * r**5
    elif r < 0.85:
        kappa = -0.4 + 1.39 * r + 0.43 / (1 - r)
    else:
        kappa = 1 / (r**3 - 4 * r**2 + 3 * r)
    return kappa * (1 - math.cos(angle(now) - math.atan2(y, x)))


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
