"""Feeds in the layout of what people have: a YAML, a record, and what it becomes."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import yaml

from fraudlake.datasets import load_dataset
from fraudlake.ingest import checks, lines

# fmt: off
# ruff: noqa: E501
# Columns beside those named here: tx_id from `id`, a string card_id from `card`.
LAYOUTS = {
    "a simulator's step, in hours": (
        "event_time: {source: step, type: timestamp, unit: h, origin: 2017-01-01}",
        {"step": 3, "amount": 9839.64, "label": 0}, "2017-01-01 03:00:00", "9839.64", False,
    ),
    "seconds since the first payment": (
        "event_time: {source: Time, type: timestamp, unit: s, origin: 2013-09-01}",
        {"Time": "107", "amount": "26.21", "label": '"0"'.strip('"')},
        "2013-09-01 00:01:47", "26.21", False,
    ),
    "a date in four fields, dollars, Yes and No": (
        ("event_time: {source: [Year, Month, Day, Time], type: timestamp, pattern: yyyy M d HH:mm}\n"
        "amount: {source: amount, type: 'decimal(18,2)', strip: $, signed: true}\n"
        "label: {true: [Yes], false: [No]}"),
        {"Year": 2024, "Month": 1, "Day": 4, "Time": "17:06", "amount": "$-1013.82", "label": "No"},
        "2024-01-04 17:06:00", "-1013.82", False,
    ),
    "fields of ISO 8583": (
        ("event_time: {source: '7', type: timestamp, pattern: MMddHHmmss, year: arrival}\n"
        "currency: {source: '49', type: string}\n"
        "amount: {source: '4', type: 'decimal(18,2)', scale: currency}"),
        {"7": "0101000008", "4": "000000002621", "49": "392", "label": None},
        "2026-01-01 00:00:08", "2621.00", None,
    ),
    "microseconds of a change stream": (
        "event_time: {source: created_at, type: timestamp, unit: us}",
        {"created_at": 1704067208000001, "amount": "26.21", "label": None},
        "2024-01-01 00:00:08.000001", "26.21", None,
    ),
    "a payment provider's event": (
        ("event_time: {source: created, type: timestamp, unit: s}\n"
        "amount: {source: amount, type: 'decimal(18,2)', scale: 2}"),
        {"created": 1704067208, "amount": 2621, "label": True},
        "2024-01-01 00:00:08", "26.21", True,
    ),
    "a spreadsheet of a bank in Germany": (
        ("event_time: {source: t, type: timestamp, pattern: dd.MM.yyyy HH:mm, timezone: Europe/Berlin}\n"
        "amount: {source: amount, type: 'decimal(18,2)', decimal: ',', thousands: '.', "
        "strip: [EUR], negative: trailing, signed: true}"),
        {"t": "31.01.2024 12:00", "amount": "1.026,21- EUR", "label": 1},
        "2024-01-31 11:00:00", "-1026.21", True,
    ),
    "labels that are -1, three decimals": (
        ("event_time: {source: t, type: timestamp}\n"
        "amount: {source: amount, type: 'decimal(18,2)', round: half_even}\n"
        "label: {false: [-1], unknown: [0]}"),
        {"t": "2024-01-01", "amount": "26.215", "label": "-1.0"}, "2024-01-01 00:00:00", "26.22", False,
    ),
    "a verdict that is open": (
        ("event_time: {source: t, type: timestamp, pattern: 'EEE, dd MMM yyyy HH:mm:ss z'}\n"
        "label: {true: [Y], false: [N], unknown: [pending, NULL]}"),
        {"t": "Mon, 01 Jan 2024 00:00:08 GMT", "amount": 1, "label": "Pending"},
        "2024-01-01 00:00:08", "1.00", None,
    ),
}
# fmt: on
HEAD = """
format: jsonl
nulls: [NA, NULL]
entities: {card: card_id}
card: card_id
"""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_is_read_by_yaml_alone(spark, tmp_path, layout):
    text, fields, when, amount, fraud = LAYOUTS[layout]
    own = [line for line in text.split("\n") if not line.startswith("label")]
    label = [line for line in text.split("\n") if line.startswith("label")] or ["label: {}"]
    usual = [
        "tx_id: {source: id, type: bigint}",
        "card_id: {source: card, type: string, required: false}",
        "amount: {source: amount, type: 'decimal(18,2)'}",
    ]
    usual = [line for line in usual if line.split(":")[0] not in text]
    path = tmp_path / "feed.yaml"
    path.write_text(
        HEAD
        + "columns:\n"
        + "".join(f"  {line}\n" for line in [*usual, *own])
        + label[0].replace("{", "{source: label, delay: 1d, ").replace(", }", "}")
    )
    assert yaml.safe_load(path.read_text())
    dataset = load_dataset(str(path))
    raw = [(json.dumps(fields | {"id": 1, "card": "NA"}), "f")]
    records = lines.parse(
        spark.createDataFrame(raw, "raw string, source_file string"), lines.json_objects(dataset)
    )
    steps = checks.steps(records.columns, dataset, datetime(2026, 1, 1, 10, tzinfo=UTC))
    (row,) = checks.checked(records, steps).collect()
    assert row.reasons == []
    found = row.event_time.astimezone(UTC).replace(tzinfo=None)
    assert (str(found), row.amount, row.is_fraud) == (when, Decimal(amount), fraud)
    assert row.card_id is None
