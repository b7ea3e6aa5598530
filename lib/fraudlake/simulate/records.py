"""Columns of transactions → JSON lines, in Arrow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fraudlake.simulate.behaviour import DAY, Columns
from fraudlake.simulate.draws import Ints
from fraudlake.simulate.faults import BREAKS
from fraudlake.simulate.fraud import KINDS
from fraudlake.simulate.world import CATEGORIES

_CENTS = pa.array([f".{n:02d}" for n in range(100)])
_MILLIS = pa.array([f'.{n:03d}Z"' for n in range(1000)])
_SECONDS = pa.array(
    [f"T{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(DAY // 1000)]
)
_OCTETS = pa.array([f".{n}" for n in range(256)])


def json_lines(columns: Columns, broken: Ints) -> pa.Array:
    """One line a row.

    Parameters
    ----------
    columns
        What `behaviour.transactions` returns.
    broken
        Position in `faults.BREAKS` of the way in which a line is broken, −1 where it is sound.
    """
    fields = _fields(columns)
    ways = list(BREAKS.values())
    used = [n for n in np.unique(broken) if n >= 0]
    for number in used:
        if field := ways[number].field:
            fields[field] = _break(fields[field], broken == number, ways[number])
    joined = pc.binary_join_element_wise(*fields.values(), ",", null_handling="skip")
    lines = _join("{", joined, "}")
    for number in used:
        if not ways[number].field:
            lines = _break(lines, broken == number, ways[number])
    return lines


def _fields(columns: Columns) -> dict[str, pa.Array]:
    """Field → `"name":value` of every row, in the order of the record."""
    offline = pa.array(~columns["online"])
    texts = {
        "transaction_id": _whole(columns["transaction_id"]),
        "event_time": _time(columns["event_time"]),
        "customer_id": _whole(columns["customer_id"]),
        "card_id": _whole(columns["card_id"]),
        "terminal_id": _whole(columns["terminal_id"]),
        "merchant_id": _whole(columns["merchant_id"]),
        "merchant_category": _word([c.code for c in CATEGORIES], columns["category"]),
        "channel": _word(["present", "online"], columns["online"]),
        "device_id": pc.if_else(offline, "null", _whole(columns["device_id"])),
        "ip_address": pc.if_else(offline, "null", _address(columns["ip_address"])),
        "country": _join('"', pa.array(columns["country"]), '"'),
        "latitude": _whole(np.round(columns["latitude"], 4)),
        "longitude": _whole(np.round(columns["longitude"], 4)),
        "amount": _amount(columns["amount"]),
        "is_fraud": _whole((columns["fraud_kind"] > 0).astype(np.int64)),
        "label_known_at": _time(columns["label_known_at"]),
        "fraud_kind": _word([k.name for k in KINDS], columns["fraud_kind"]),
    }
    return {name: _join(f'"{name}":', text) for name, text in texts.items()}


def _join(*parts: Any) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _whole(values: np.ndarray) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _word(words: list[str], position: np.ndarray) -> pa.Array:
    quoted = pa.array([f'"{word}"' if word else "null" for word in words])
    return quoted.take(pa.array(position.astype(np.int64)))


def _amount(cents: Ints) -> pa.Array:
    return _join(_whole(cents // 100), _CENTS.take(pa.array(cents % 100)))


def _address(number: Ints) -> pa.Array:
    octets = [_OCTETS.take(pa.array(number >> shift & 255)) for shift in (16, 8, 0)]
    return _join('"10', *octets, '"')


def _time(millis: Ints) -> pa.Array:
    days, position = np.unique(millis // DAY, return_inverse=True)
    dates = pa.array([f'"{day}' for day in days.astype("datetime64[D]").astype(str)])
    return _join(
        dates.take(pa.array(position)),
        _SECONDS.take(pa.array(millis % DAY // 1000)),
        _MILLIS.take(pa.array(millis % 1000)),
    )


def _break(texts: pa.Array, where: np.ndarray, way: Any) -> pa.Array:
    if way.into is None:
        return pc.if_else(pa.array(where), pa.scalar(None, pa.string()), texts)
    broken = texts.filter(pa.array(where))
    changed = pc.replace_substring_regex(broken, way.pattern, way.into, max_replacements=1)
    return pc.replace_with_mask(texts, pa.array(where), changed)
