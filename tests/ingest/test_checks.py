"""Every check of one column: what passes, what it becomes, what is said of the rest."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from tests.ingest.conftest import LONG

from fraudlake.ingest import checks

GOOD = {
    "id": "17",
    "time": "2018-04-01 00:00:31Z",
    "customer": "596",
    "amount": "57.16",
    "channel": "web",
    "fraud": "0",
}
MONEY = "decimal(18,2)"
TIME = "timestamp such as 2018-04-01T12:30:00+02:00"


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def soon(**later):
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


# ruff: noqa: E501
PASS = [
    ("id", " 17 ", 17),
    ("id", "17.0", 17),
    ("id", "1.7E7", 17_000_000),
    ("id", "9223372036854775807", 9223372036854775807),
    ("tries", "-2147483648", -2147483648),
    ("amount", "57.1", Decimal("57.10")),
    ("amount", "10.5000", Decimal("10.50")),
    ("amount", "0", Decimal("0.00")),
    ("amount", "1.25E2", Decimal("125.00")),
    ("amount", "285.79999999999995", Decimal("285.80")),  # 5 × 57.16 as a binary float
    ("amount", "999999999999999.99", Decimal("999999999999999.99")),
    ("lat", "-90", -90.0),
    ("lat", "", None),
    ("note", "  hello ", "hello"),
    ("note", "f4111111111111111", "f4111111111111111"),
    ("customer", "4111111111111112", 4111111111111112),
    ("weight", "4111111111112", 4111111111112.0),
    ("token", "4111111111111111", 4111111111111111),
    ("tried", "4111-1111 1111-1111", "4111-1111 1111-1111"),
    ("present", "TRUE", True),
    ("present", "0", False),
    ("time", "2018-04-01T00:00:31.123456Z", utc(2018, 4, 1, 0, 0, 31, 123456)),
    ("time", "2018-04-01T02:00:31.1+02:00", utc(2018, 4, 1, 0, 0, 31, 100000)),
    ("time", "2018-04-01T00:00:31-0330", utc(2018, 4, 1, 3, 30, 31)),
    ("time", "2018-04-01 00:00:31 UTC", utc(2018, 4, 1, 0, 0, 31)),
    ("time", "2018-04-01 00:00:31.123456789Z", utc(2018, 4, 1, 0, 0, 31, 123456)),
    ("time", "2018-04-01 00:00:31", utc(2018, 3, 31, 22, 0, 31)),  # Paris, summer
    ("time", "2018-01-01T00:00:31", utc(2017, 12, 31, 23, 0, 31)),  # Paris, winter
    ("time", "2018-01-01", utc(2017, 12, 31, 23)),
    ("time", "2000-01-01T00:00:00Z", utc(2000, 1, 1)),
]
FAIL = [
    ("id", None, "tx_id: missing, expected bigint"),
    ("id", "  ", "tx_id: missing, expected bigint"),
    ("id", "1.5", "tx_id: got '1.5', expected bigint"),
    ("id", "2.29116E+15", "tx_id: got '2.29116E+15', expected bigint with all of its digits, which this form of it has lost: export the field as text"),
    ("id", "4e3", "tx_id: got '4e3', expected bigint with all of its digits, which this form of it has lost: export the field as text"),
    ("id", "1.2345678901234567E17", "tx_id: got '1.23456***********E17', expected bigint with all of its digits, which this form of it has lost: export the field as text"),
    ("id", "0x11", "tx_id: got '0x11', expected bigint"),
    ("id", "-1", "tx_id: got '-1', expected at least 0"),
    (
        "id",
        "9223372036854775808000",
        "tx_id: got '9223372036854775808000', expected bigint, at most 9223372036854775807 in size",
    ),
    ("id", "NaN", "tx_id: got 'NaN', expected bigint, a finite number"),
    ("tries", "2147483648", "tries: got '2147483648', expected int, at most 2147483647 in size"),
    ("amount", "abc", f"amount: got 'abc', expected {MONEY}"),
    ("amount", "1,50", f"amount: got '1,50', expected {MONEY}"),
    ("amount", "1.234", f"amount: got '1.234', expected {MONEY}, at most 2 decimals"),
    ("amount", "1e-22", f"amount: got '1e-22', expected {MONEY}, at most 2 decimals"),
    (
        "amount",
        "9999999999999.123",
        f"amount: got '9999999999999.123', expected {MONEY}, at most 2 decimals",
    ),
    (
        "amount",
        "1e30",
        f"amount: got '1e30', expected {MONEY}, at most 9999999999999999.99 in size",
    ),
    ("amount", "nan", f"amount: got 'nan', expected {MONEY}, a finite number"),
    ("amount", "-Infinity", f"amount: got '-Infinity', expected {MONEY}, a finite number"),
    ("amount", "-0.01", "amount: got '-0.01', expected at least 0 (`signed: true` on the column, if refunds are negative)"),
    ("amount", "1000000000000000.01", "amount: got '1000000000000000.01', expected at most 1000000000000000"),
    ("channel", "pigeon", "channel: got 'pigeon', expected one of web, shop"),
    ("lat", "90.5", "latitude: got '90.5', expected at most 90"),
    ("lat", "-91", "latitude: got '-91', expected at least -90"),
    ("lat", "1d", "latitude: got '1d', expected double"),
    ("lat", "inf", "latitude: got 'inf', expected double, a finite number"),
    ("lat", "1e999", "latitude: got '1e999', expected double, at most 1.7976931348623157E308 in size"),
    ("present", "maybe", "present: got 'maybe', expected boolean (0, 1, true or false)"),
    ("fraud", "2", "is_fraud: got '2', expected boolean (0, 1, true or false)"),
    ("time", "2018-02-30 00:00:00", f"event_time: got '2018-02-30 00:00:00', expected {TIME}"),
    ("time", "2018-04-01T24:00:00Z", f"event_time: got '2018-04-01T24:00:00Z', expected {TIME}"),
    ("time", "12:30:00", f"event_time: got '12:30:00', expected {TIME}"),
    ("time", "2018", f"event_time: got '2018', expected {TIME}"),
    ("time", "yesterday", f"event_time: got 'yesterday', expected {TIME}"),
    (
        "time",
        "1999-12-31T23:59:59Z",
        "event_time: got '1999-12-31T23:59:59Z', expected a time from 2000-01-01 on",
    ),
    (
        "time",
        "2999-01-01",
        "event_time: got '2999-01-01', expected a time no later than a day from now",
    ),
    (
        "known",
        "2018-04-01T00:00:30Z",
        "known_at: got '2018-04-01T00:00:30Z', expected a time not before event_time",
    ),
    ("known", "later", f"known_at: got 'later', expected {TIME}"),
    ("note", "4111 1111 1111 1111", "note: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("customer", "4111111111111111", "customer_id: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("customer", "-4111111111111111", "customer_id: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("customer", "4.111111111111111E15", "customer_id: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("weight", "4.111111111111111E15", "weight: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("weight", "4111111111111111.25", "weight: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("weight", "6304000000000000000", "weight: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("id", "378282246310005", "tx_id: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("amount", "378282246310005", "amount: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
    ("customer", "4111111111111111x", "customer_id: got '411111******1111x', expected bigint"),
    ("amount", "x" * 200, f"amount: got '{'x' * 77}...', expected {MONEY}"),
    ("amount", "y" * 70 + "4111111111111111", f"amount: got '{'y' * 70}411111*...', expected {MONEY}"),
]  # fmt: skip


@pytest.fixture
def check(spark, shop):
    """Checked records, one for each dictionary of fields, in order."""

    def checked(records, **changes):
        dataset = shop(**{"columns": LONG["columns"]} | changes)
        fields = ", ".join(f"{name}: string" for name in dataset.raw_fields())
        rows = [
            (str(n), "f", [r.get(name) for name in dataset.raw_fields()], None)
            for n, r in enumerate(records)
        ]
        schema = f"raw string, source_file string, fields struct<{fields}>, corrupt string"
        frame = checks.check(spark.createDataFrame(rows, schema), dataset)
        return sorted(frame.collect(), key=lambda row: int(row["raw"]))

    return checked


def test_good_values_are_typed(check, shop):
    columns = {
        column.source: name for name, column in shop(columns=LONG["columns"]).columns.items()
    }
    rows = check([GOOD | {field: text} for field, text, _ in PASS])
    for row, (field, text, value) in zip(rows, PASS, strict=True):
        found = row[columns[field]]
        if isinstance(found, datetime):
            found = found.astimezone(UTC)
        assert (text, found, row["reasons"]) == (text, value, [])


def test_each_fault_is_told(check):
    rows = check([GOOD | {field: text} for field, text, _ in FAIL])
    for row, (field, text, reason) in zip(rows, FAIL, strict=True):
        assert (field, text, row["reasons"]) == (field, text, [reason])


def test_all_faults_of_a_record_are_told(check):
    (row,) = check(
        [{"id": "x", "amount": "-1", "channel": "web", "time": "2018-04-01", "fraud": "?"}]
    )
    assert row["reasons"] == [
        "tx_id: got 'x', expected bigint",
        "customer_id: missing, expected bigint",
        "amount: got '-1', expected at least 0 (`signed: true` on the column, if refunds are negative)",
        "is_fraud: got '?', expected boolean (0, 1, true or false)",
    ]


def test_a_day_from_now_is_the_latest_event_time(check):
    rows = check([GOOD | {"time": soon(hours=23)}, GOOD | {"time": soon(hours=25)}])
    assert [len(row["reasons"]) for row in rows] == [0, 1]


def test_a_label_is_known_when_the_record_says_so_or_after_the_delay(check):
    given, silent, none = check(
        [
            GOOD | {"fraud": "1", "known": "2018-04-01T05:00:00Z"},
            GOOD | {"fraud": "1"},
            GOOD | {"fraud": "", "known": "2018-04-01T05:00:00Z"},
        ]
    )
    assert given["is_fraud"] is True
    assert given["known_at"].astimezone(UTC) == utc(2018, 4, 1, 5)
    assert silent["known_at"].astimezone(UTC) == utc(2018, 4, 4, 0, 0, 31)
    assert (none["is_fraud"], none["known_at"], none["reasons"]) == (None, None, [])


def test_a_data_set_without_labels(check):
    (row,) = check([GOOD], label=None)
    assert (row["is_fraud"], row["known_at"], row["reasons"]) == (None, None, [])


def test_reasons_are_counted_without_their_values(spark):
    from pyspark.sql import functions as F

    reasons = {
        "amount: got 'it''s', expected x', expected decimal(18,2)": "amount: expected decimal(18,2)",
        "tx_id: missing, expected bigint": "tx_id: missing, expected bigint",
        "tx_id: 17 stands already with other content (amount)": (
            "tx_id: stands already with other content (amount)"
        ),
        "record: got 'a\nb', expected one JSON object": "record: expected one JSON object",
    }
    frame = spark.createDataFrame([(reason,) for reason in reasons], "reason string")
    assert [row[0] for row in frame.select(checks.kind(F.col("reason"))).collect()] == list(
        reasons.values()
    )


def test_quarantine_rows_mask_number_and_repeat(spark, shop):
    bad = [
        ("pay 4111111111111111", "a.csv", ["note: got 'x 4111111111111111', expected y"]),
        ("same", "a.csv", ["r"]),
        ("same", "a.csv", ["r"]),
        ("same", "b.csv", ["r"]),
    ]
    schema = "raw string, source_file string, reasons array<string>"
    one, three = (spark.createDataFrame(bad, schema).repartition(n) for n in (1, 3))
    first = {row["record_id"]: row for row in checks.quarantine_rows(one, shop()).collect()}
    again = {row["record_id"] for row in checks.quarantine_rows(three, shop()).collect()}
    assert len(first) == 4
    assert set(first) == again
    assert {row["dataset"] for row in first.values()} == {"shop"}
    masked = next(row for row in first.values() if row["raw"].startswith("pay"))
    assert masked["raw"] == "pay 411111******1111"
    assert masked["reasons"] == ["note: got 'x 411111******1111', expected y"]
