"""Late, repeated and broken records, and the text of lines; no Spark."""

import json
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.datasets import load_dataset
from fraudlake.simulate import BREAKS, KINDS, Faults, World
from fraudlake.simulate.faults import DUPLICATE, LATE_DAYS, MALFORMED, RECORD, REPEAT_DAYS
from fraudlake.simulate.files import file_lines

WORLD = World(seed=2, customers=1500, merchants=600, fraud=0.03)
FIRST, LAST = 20458, 20469
FIELDS = [
    "transaction_id",
    "event_time",
    "customer_id",
    "card_id",
    "terminal_id",
    "merchant_id",
    "merchant_category",
    "channel",
    "device_id",
    "ip_address",
    "country",
    "latitude",
    "longitude",
    "amount",
    "is_fraud",
    "label_known_at",
    "fraud_kind",
]


def simulate(faults, customers=None):
    """Day of arrival → rows (value, form, late, kind)."""
    customers = np.arange(WORLD.customers) if customers is None else customers
    return {
        day: file_lines(WORLD, faults, customers, day, FIRST, LAST).to_pylist()
        for day in range(FIRST, LAST + 1)
    }


def day_of(line):
    instant = datetime.fromisoformat(json.loads(line)["event_time"])
    return int(instant.timestamp()) // 86400


def flat(files):
    return [(day, row) for day, rows in files.items() for row in rows]


@pytest.fixture(scope="module")
def clean():
    return simulate(Faults())


@pytest.fixture(scope="module")
def faulty():
    return simulate(Faults(late=0.05, duplicates=0.04, malformed=0.03))


def test_a_sound_line_is_the_record_that_the_data_set_describes(clean):
    dataset = load_dataset("simulated")
    assert dataset.format == "jsonl"
    assert set(dataset.raw_fields()) | set(dataset.ignore) == set(FIELDS)
    ids = set()
    for day, row in flat(clean):
        record = json.loads(row["value"], parse_float=Decimal)
        assert list(record) == FIELDS
        assert day_of(row["value"]) == day
        assert record["amount"].as_tuple().exponent == -2
        assert record["amount"] > 0
        assert record["is_fraud"] == (row["kind"] > 0)
        assert (record["fraud_kind"] or "") == KINDS[row["kind"]].name
        online = record["channel"] == "online"
        assert (record["device_id"] is None) != online
        assert (record["ip_address"] is None) != online
        assert datetime.fromisoformat(record["label_known_at"]).tzinfo == UTC
        assert record["transaction_id"] not in ids
        ids.add(record["transaction_id"])
        for column in dataset.columns.values():
            assert record[column.source] is not None or not column.required
            assert column.values is None or record[column.source] in column.values


def test_faults_leave_the_transactions_as_they_are(clean, faulty):
    sound = sorted(r["value"] for _, r in flat(faulty) if r["form"] == RECORD)
    assert sound == sorted(r["value"] for _, r in flat(clean))


def test_late_records_come_in_a_later_file_and_none_is_lost(clean, faulty):
    delays = Counter()
    for day, row in flat(faulty):
        if row["form"] == RECORD:
            delay = day - day_of(row["value"])
            assert row["late"] == (delay > 0)
            delays[delay] += 1
    assert set(delays) == set(range(LATE_DAYS + 1))
    late = 1 - delays[0] / delays.total()
    assert 0.035 < late < 0.055


def test_duplicates_are_exact_copies_that_come_with_the_record_or_after(faulty):
    arrived = {r["value"]: day for day, r in flat(faulty) if r["form"] == RECORD}
    gaps = Counter(day - arrived[r["value"]] for day, r in flat(faulty) if r["form"] == DUPLICATE)
    assert set(gaps) == set(range(REPEAT_DAYS + 1))
    assert gaps.total() / len(arrived) == pytest.approx(0.04, rel=0.15)


def test_every_way_to_break_a_line_occurs_and_none_leaves_a_sound_record(faulty, clean):
    broken = [r["value"] for _, r in flat(faulty) if r["form"] == MALFORMED]
    assert len(broken) / len(flat(clean)) == pytest.approx(0.03, rel=0.15)
    assert set(Counter(map(why_broken, broken))) == set(BREAKS)


def valid_time(text):
    try:
        return bool(datetime.fromisoformat(text))
    except ValueError:
        return False


# What is wrong with a record, found without the simulator's help; the first that holds.
SYMPTOMS = {
    "no_object": lambda r: not isinstance(r, dict),
    "id_missing": lambda r: "transaction_id" not in r,
    "id_no_number": lambda r: not isinstance(r["transaction_id"], int),
    "id_too_large": lambda r: r["transaction_id"] >= 2**63,
    "customer_missing": lambda r: "customer_id" not in r,
    "customer_null": lambda r: r["customer_id"] is None,
    "terminal_no_number": lambda r: not isinstance(r["terminal_id"], int),
    "time_missing": lambda r: "event_time" not in r,
    "time_no_time": lambda r: "T" not in r["event_time"],
    "time_impossible": lambda r: not valid_time(r["event_time"]),
    "amount_no_number": lambda r: not isinstance(r["amount"], Decimal),
    "amount_negative": lambda r: r["amount"] < 0,
    "amount_decimals": lambda r: r["amount"].as_tuple().exponent < -2,
    "amount_too_large": lambda r: r["amount"] >= 10**16,
    "label_wrong": lambda r: r["is_fraud"] not in (0, 1),
}


def why_broken(line):
    if line == "":
        return "empty_line"
    try:
        record = json.loads(line, parse_float=Decimal)
    except ValueError:
        return "cut_off" if line.startswith('{"transaction_id"') else "no_json"
    return next((name for name, holds in SYMPTOMS.items() if holds(record)), "nothing")


def test_files_are_the_same_whoever_computes_which_customers(faulty):
    parts = [
        simulate(Faults(late=0.05, duplicates=0.04, malformed=0.03), customers)
        for customers in np.array_split(np.arange(WORLD.customers), 3)
    ]
    for day, rows in faulty.items():
        split = sorted(row["value"] for part in parts for row in part[day])
        assert split == sorted(row["value"] for row in rows)


def test_a_later_run_goes_on_where_an_earlier_one_ended(clean):
    middle, customers = FIRST + 5, np.arange(WORLD.customers)
    later = file_lines(WORLD, Faults(), customers, middle, middle, LAST).to_pylist()
    assert later == clean[middle]


def test_lines_of_a_file_are_in_order_of_the_time_of_day(clean):
    for rows in clean.values():
        times = [json.loads(r["value"])["event_time"] for r in rows]
        assert times == sorted(times)


def test_a_single_day_has_no_later_file():
    rows = file_lines(WORLD, Faults(1.0, 1.0, 0.0), np.arange(300), FIRST, FIRST, FIRST).to_pylist()
    forms = Counter(r["form"] for r in rows)
    assert forms[RECORD] == forms[DUPLICATE] > 0
    assert not any(r["late"] for r in rows)
