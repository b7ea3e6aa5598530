"""One transaction as JSON: read exactly, or refused with everything that is wrong with it."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fraudlake.columns import Column
from fraudlake.datasets import Dataset, load_dataset
from fraudlake.errors import ConfigError
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.kernels import xxhash
from fraudlake.serve.request import TransactionReader

GOOD = {
    "tx_id": 7,
    "event_time": "2018-04-01T12:30:00.123456+02:00",
    "customer_id": 2**63 - 1,
    "terminal_id": 0,
    "amount": 12.5,
}


@pytest.fixture(scope="module")
def read():
    return TransactionReader(load_dataset("handbook"), load_feature_set("handbook"))


@pytest.fixture(scope="module")
def read_full():
    return TransactionReader(load_dataset("simulated"), load_feature_set("full"))


def problems(read, body):
    with pytest.raises(ConfigError) as error:
        read(body if isinstance(body, bytes) else json.dumps(body).encode())
    return error.value.problems


def test_values_are_typed(read):
    found = read(json.dumps(GOOD).encode())
    assert found == {
        **GOOD,
        "event_time": datetime(2018, 4, 1, 10, 30, 0, 123456, UTC),
        "amount": Decimal("12.5"),
    }


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("9007199254740993.01", "9007199254740993.01"),
        ("1e3", "1000.00"),
        ("5", "5.00"),
        ("12.3400", "12.34"),
        ("-0.0", "0.00"),
    ],
)
def test_money_is_read_as_it_is_written(read, written, read_as):
    """No binary float comes between: it would round what is beyond 2^53 cents."""
    body = json.dumps(GOOD).replace("12.5", written).encode()
    assert str(read(body)["amount"]) == read_as


def test_events_without_amounts_have_none():
    handbook, features = load_dataset("handbook"), load_feature_set("handbook")
    columns = {name: how for name, how in handbook.columns.items() if name != "amount"}
    reader = TransactionReader(
        handbook.model_copy(update={"columns": columns}), features.only(["night"])
    )
    event = {name: value for name, value in GOOD.items() if name != "amount"}
    assert reader(json.dumps(event).encode()).keys() == event.keys()
    assert "amount: unknown key" in problems(reader, GOOD)[0]


def test_an_id_that_is_text_has_the_number_that_ingest_gives_it():
    handbook = load_dataset("handbook")
    columns = handbook.columns | {"tx_id": Column(source=["shop", "id"], type="string")}
    dataset = Dataset.model_validate(dict(handbook) | {"columns": columns})
    reader = TransactionReader(dataset, load_feature_set("handbook"))
    found = reader(json.dumps(GOOD | {"tx_id": " s1 T-000123\t"}).encode())
    number = int(xxhash.of_texts([b"s1 T-000123"])[0]) & 0x7FFF_FFFF_FFFF_FFFF
    assert (found["tx_id"], found["tx_ref"]) == (number, "s1 T-000123")
    for wrong in (7, None, " ", "\ud800"):
        (problem,) = problems(reader, GOOD | {"tx_id": wrong})
        assert problem.startswith("tx_id: got ")
    assert "unknown key" in problems(reader, GOOD | {"tx_id": "a", "tx_ref": "a"})[0]
    assert "411111******1111" in problems(reader, GOOD | {"tx_id": "4111 1111 1111 1111"})[0]


def test_a_hashed_card_is_its_hash(monkeypatch, tmp_path):
    handbook = load_dataset("handbook")
    columns = handbook.columns | {"customer_id": Column(source="card", type="string", hash=True)}
    given = dict(handbook) | {"columns": columns, "secret": {"env": "CARD_KEY"}}
    dataset, feature_set = Dataset.model_validate(given), load_feature_set("handbook")
    for secret in ("", "short"):
        monkeypatch.setenv("CARD_KEY", secret)
        with pytest.raises(ConfigError, match=rf"got {len(secret)} bytes from .* CARD_KEY, exp"):
            TransactionReader(dataset, feature_set)
    monkeypatch.setenv("CARD_KEY", "sixteen bytes ok")
    body = json.dumps(GOOD | {"customer_id": " 4111111111111111"}).encode()
    found = TransactionReader(dataset, feature_set)(body)["customer_id"]
    assert found == "dbd984b54ae8c99c4be0a7a469d8c68a"
    (tmp_path / "key").write_text("sixteen bytes ok\n")
    of_file = Dataset.model_validate(given | {"secret": {"file": str(tmp_path / "key")}})
    assert TransactionReader(of_file, feature_set)(body)["customer_id"] == found


def test_times_without_an_offset_are_in_the_zone_of_the_data_set():
    dataset = load_dataset("handbook").model_copy(update={"timezone": "Europe/Paris"})
    read = TransactionReader(dataset, load_feature_set("handbook"))
    for text, hour in (("2018-07-01 12:00:00", 10), ("2018-01-01 12:00:00", 11)):
        assert read(json.dumps(GOOD | {"event_time": text}).encode())["event_time"].hour == hour


@pytest.mark.parametrize(
    ("key", "written", "said"),
    [
        ("tx_id", '"7"', "tx_id: got '7', expected a whole number of 64 bits"),
        ("tx_id", "7.0", "expected a whole number of 64 bits"),
        ("tx_id", "true", "expected a whole number of 64 bits"),
        ("tx_id", str(2**63), "expected a whole number of 64 bits"),
        ("tx_id", "-1", "expected at least 0"),
        ("customer_id", "null", "customer_id: got None, expected a whole number"),
        ("amount", "12.345", "with at most 2 decimals"),
        ("amount", "1e-999999999", "with at most 2 decimals"),
        ("amount", "1e999999999", "a number below 10^16"),
        ("amount", "1e" + "9" * 30, "body: expected a JSON object"),
        ("amount", '"12.5"', "a number below 10^16"),
        ("amount", "-0.01", "amount: got Decimal('-0.01'), expected at least 0"),
        ("amount", "NaN", "body: expected a JSON object, got none (NaN is no JSON)"),
        ("event_time", '"yesterday"', "event_time: got 'yesterday', expected text such as 2018"),
        ("event_time", "1522578600", "expected text such as 2018"),
        ("event_time", '"1999-12-31T23:59:59"', "expected a time from 2000-01-01 on"),
        ("event_time", '"0001-01-01T00:00:00+14:00"', "expected text such as 2018"),
        ("customer", "3", "customer: unknown key, expected one of tx_id"),
    ],
)
def test_what_is_wrong_is_said(read, key, written, said):
    body = json.dumps(GOOD | {key: "HERE"}).replace('"HERE"', written).encode()
    (problem,) = problems(read, body)
    assert said in problem


def test_a_time_beyond_tomorrow(read):
    late = datetime.now(UTC) + timedelta(days=2)
    (problem,) = problems(read, GOOD | {"event_time": late.isoformat()})
    assert "expected a time no later than a day from now" in problem


@pytest.mark.parametrize("body", [b"", b"\xff", b"[" * 60_000, b"[1]", b'"a"', b"9" * 5000])
def test_what_is_no_object(read, body):
    (problem,) = problems(read, body)
    assert problem.startswith("body: ")


def test_all_problems_at_once(read):
    found = problems(read, {"tx_id": "x", "amount": -1, "customer": 3})
    assert len(found) == 6


def test_optional_columns_and_text(read_full):
    """What no feature uses may be left out; what may be missing may; the rest may not."""
    used = {
        "tx_id": 1, "event_time": "2026-01-01", "customer_id": 1, "card_id": 2, "terminal_id": 3,
        "merchant_id": 4, "merchant_category": " 5411\t", "country": "FR", "latitude": 1,
        "longitude": -2.5, "amount": 1,
    }  # fmt: skip
    found = read_full(json.dumps(used).encode())
    assert found["merchant_category"] == "5411"
    assert (found["latitude"], found["longitude"]) == (1.0, -2.5)
    assert found["device_id"] is found["channel"] is found["ip_address"] is None
    for wrong in (
        {"country": " "}, {"country": "\ud800"}, {"country": 5}, {"latitude": 90.5},
        {"longitude": True}, {"channel": "phone"}, {"device_id": "x"},
    ):  # fmt: skip
        (problem,) = problems(read_full, used | wrong)
        assert problem.startswith(next(iter(wrong)))
    huge = json.dumps(used).replace('"latitude": 1', '"latitude": 1e400').encode()
    assert problems(read_full, huge) == [
        "latitude: got Decimal('1E+400'), expected a finite number"
    ]
