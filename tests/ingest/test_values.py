"""How raw records write a value: what each key makes of a text, by Spark and by Python.

Each case is a column; ingest has many of them in one record, `serve` each in a request.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from fraudlake.datasets import Dataset, load_dataset
from fraudlake.errors import ConfigError
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.ingest import checks, lines
from fraudlake.ingest.values import number, single, time
from fraudlake.serve.request import TransactionReader
from fraudlake.writing import UNITS, Epoch, Numbers, Times

NOW = datetime(2026, 1, 1, 10, tzinfo=UTC)
PARIS = {"timezone": "Europe/Paris"}
NEW_YEAR = datetime(2024, 1, 1, 0, 0, 8, tzinfo=UTC)
MONEY = "decimal(18,2)"
SKIPPED = "a time that Europe/Paris had: its clocks skipped this one (`gap: shift` on the column"
SIGNED = "(`signed: true` on the column, if refunds are negative)"


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def at(pattern, text, expected=NEW_YEAR, **keys):
    return {"type": "timestamp", "pattern": pattern, **keys}, text, expected


def count(unit, value, expected=NEW_YEAR, **keys):
    return {"type": "timestamp", "unit": unit, **keys}, value, expected


def paid(value, expected, **keys):
    return (
        {"type": MONEY, **keys},
        value,
        Decimal(expected) if expected[:1] in "-0123456789" else expected,
    )


ANY = ["iso", "s", "ms", "us", "ns", "dd.MM.yyyy HH:mm:ss", {"unit": "d", "origin": "1899-12-30"}]
TIMES = [
    at("dd.MM.yyyy HH:mm:ss", "01.01.2024 00:00:08"),
    at("dd.MM.yyyy HH:mm:ss", "1.1.2024 00:00:08", "timestamp as dd.MM.yyyy HH:mm:ss"),
    at("d.M.yyyy H:m:s", "1.1.2024 0:0:8"),
    at("yyyy-MM-dd HH:mm:ss", "2024-02-30 00:00:08", "timestamp as yyyy-MM-dd HH:mm:ss"),
    at("yyyy-MM-dd HH:mm:ss", "2024-01-01 24:00:08", "timestamp as yyyy-MM-dd HH:mm:ss"),
    at("yyyy/MM/dd HH:mm", "2024/01/01 00:00", utc(2024, 1, 1)),
    at("yyyy/MM/dd[ HH:mm[:ss]]", "2024/01/01 00:00:08"),
    at("yyyy/MM/dd[ HH:mm[:ss]]", "2024/01/01", utc(2024, 1, 1)),
    at("MM/dd/yyyy hh:mm:ss a", "01/01/2024 12:00:08 AM"),
    at("MM/dd/yyyy h:mm a", "07/04/2024 1:05 p.m.", utc(2024, 7, 4, 13, 5)),
    at("MM/dd/yyyy hh:mm a", "07/04/2024 13:05 PM", "timestamp as MM/dd/yyyy hh:mm a"),
    at("yyyyMMddHHmmss", "20240101000008"),
    at("yyyyMMddHHmmss", 20240101000008),
    at("yyyyMMdd'T'HHmmssX", "20240101T000008Z"),
    at("yyyyMMdd", 20240101, utc(2023, 12, 31, 23), **PARIS),
    at("yyyy-MM-dd'T'HH:mm:ssXXX'['VV']'", "2024-01-01T01:00:08+01:00[Europe/Paris]"),
    at("EEE, dd MMM yyyy HH:mm:ss z", "Mon, 01 Jan 2024 00:00:08 GMT"),
    at("yyyy-MM-dd HH:mm:ss z", "2023-12-31 19:00:08 EST"),
    at("yyyy-MM-dd HH:mm:ss z", "2024-01-01 00:00:08 IST", "timestamp as yyyy-MM-dd HH:mm:ss z"),
    at("yyyy-MM-dd HH:mm:ss,SSS", "2024-01-01 00:00:08,123", NEW_YEAR.replace(microsecond=123000)),
    at("d MMMM yy HH:mm", "4 July 24 00:00", utc(2024, 7, 4)),
    at("dd-MMM-yy", "04-JUL-24", utc(2024, 7, 4)),
    at("dd-MMM-yy", "04-Jux-24", "timestamp as dd-MMM-yy"),
    at("dd/MM/yyyy HH:mm Z", "01/01/2024 02:00 +0200", utc(2024, 1, 1)),
    at("yyyy 'at' HH'h' dd MM", "2024 at 00h 01 01", utc(2024, 1, 1)),
    at("iso", "2024-01-01T00:00:08.123456789+0000", NEW_YEAR.replace(microsecond=123456)),
    at(["dd.MM.yyyy", "iso"], "yesterday", "timestamp as dd.MM.yyyy or 2018-04-01T12:30:00+02:00"),
    *(at(ANY, text) for text in ("1704067208", 1704067208000, 1704067208000000)),
    *(at(ANY, text) for text in ("1704067208000000000", "01.01.2024 00:00:08")),
    at(ANY, "45292.5", utc(2024, 1, 1, 12)),
    at(["ms", "yyyyMMddHHmmss"], "20240101000008"),
    count("s", "1704067208"),
    count("s", 1704067208.5, NEW_YEAR.replace(microsecond=500000)),
    count("s", "1.704067208E9"),
    count("ms", 1704067208000),
    count("us", 1704067208000000),
    count("ns", "1704067208000000999"),
    count("s", "-1", utc(1969, 12, 31, 23, 59, 59)),
    count("s", "99999999999999999999", "timestamp as a number of s since 1970-01-01"),
    count("s", "12:30", "timestamp as a number of s since 1970-01-01"),
    count("h", 3, utc(2017, 1, 1, 3), origin="2017-01-01"),
    count("h", 3, utc(2017, 1, 1, 2), origin="2017-01-01", **PARIS),
    count("h", 3, utc(2017, 1, 1, 3), origin="2017-01-01T00:00:00Z", **PARIS),
    count("min", "90", utc(2013, 9, 1, 1, 30), origin="2013-09-01"),
    count("s", "100543", utc(2013, 9, 2, 3, 55, 43), origin="2013-09-01"),
    count("d", 19723, utc(2024, 1, 1)),
    count("d", "45474.25", utc(2024, 7, 1, 4), origin="1899-12-30", **PARIS),  # calendar days
    count("14d", "3", utc(2016, 2, 12), origin="2016-01-01"),
    count("month", 0, utc(2017, 2, 1), origin="2017-02-01"),
    count("month", "7.0", utc(2017, 8, 31, 22), origin="2017-02-01", **PARIS),  # no length of time
    count("month", 13, utc(2018, 2, 28, 6), origin="2017-01-31T06:00:00Z", **PARIS),
    count("month", -1, utc(2016, 12, 31, 6), origin="2017-01-31T06:00:00"),
    count("3month", 2, utc(2020, 7, 1), origin="2020-01-01"),
    count("month", "1.5", "timestamp as a number of months since 2017-02-01", origin="2017-02-01"),
    *(count("month", n, "timestamp as a number of months since") for n in ("1e9", 97000, -24000)),
    # Clocks that are put forward and back.
    at("dd.MM.yyyy HH:mm", "31.03.2024 02:30", SKIPPED, **PARIS),
    at("dd.MM.yyyy HH:mm", "31.03.2024 02:30", utc(2024, 3, 31, 1, 30), gap="shift", **PARIS),
    at("dd.MM.yyyy HH:mm", "31.03.2024 01:59", utc(2024, 3, 31, 0, 59), **PARIS),
    at("dd.MM.yyyy HH:mm", "31.03.2024 03:00", utc(2024, 3, 31, 1, 0), **PARIS),
    at("dd.MM.yyyy HH:mm", "27.10.2024 02:30", utc(2024, 10, 27, 0, 30), **PARIS),
    at("iso", "2024-03-31T02:30:00", SKIPPED, **PARIS),
    at("iso", "2024-03-31T02:30:00Z", utc(2024, 3, 31, 2, 30), **PARIS),
    at("iso", "2024-03-31T02:30:00", utc(2024, 3, 31, 1, 30), gap="shift", **PARIS),
    at("iso", "2018-11-04", utc(2018, 11, 4, 3), timezone="America/Sao_Paulo"),  # no midnight
    at("dd.MM.yyyy", "04.11.2018", utc(2018, 11, 4, 3), timezone="America/Sao_Paulo"),
    count("d", "45382.1041666666667", SKIPPED, origin="1899-12-30", **PARIS),
]
COMMA = {"decimal": ",", "thousands": "."}
DOLLAR = {"strip": ["$", "USD"], "thousands": ",", "negative": ["brackets", "trailing"]}
NUMBERS = [
    paid(2621, "26.21", scale=2),
    paid("000000002621", "26.21", scale=2),
    paid("-5", "-0.05", scale=2),
    paid("2621.0", "26.21", scale=2),
    paid("26.211", f"{MONEY}, at most 2 decimals", scale=2),
    paid("1500", "1500.00", scale=0),
    paid(4205, "4.21", scale=3, round="half_up"),
    paid(4205, "4.20", scale=3, round="half_even"),
    paid("4205", f"{MONEY}, at most 2 decimals", scale=3),
    paid("4201", "4.20", scale=3, round="half_even"),
    paid("x", f"{MONEY}, a number of minor units", scale=2),
    paid("26,21", "26.21", decimal=","),
    paid("26.21", f"{MONEY} such as 1234,56", decimal=","),
    paid("1.234.567,5", "1234567.50", **COMMA),
    paid("1234567,50", "1234567.50", **COMMA),
    paid("1.23", f"{MONEY} such as 1.234,56", **COMMA),
    paid("12.34,56", f"{MONEY} such as 1.234,56", **COMMA),
    paid("1,23,456.50", "123456.50", thousands=","),
    paid("1\u202f234 567,50", "1234567.50", decimal=",", thousands=" "),
    paid("1'234\u2019567.50", "1234567.50", thousands="'"),
    paid("1,234.567", f"{MONEY}, at most 2 decimals", thousands=","),
    paid("1,234.567", "1234.57", thousands=",", round="half_up"),
    *(paid(text, "1234.50", **DOLLAR) for text in ("$1,234.50", "usd 1234.50", "1,234.50 USD")),
    *(paid(text, "-12.50", **DOLLAR) for text in ("$-12.50", "-$12.50", "($12.50)", "$(12.50)")),
    *(paid(text, "-12.50", **DOLLAR) for text in ("12.50-", "12.50- USD", "12.50 USD -")),
    *(paid(text, f"{MONEY} such as 1,234.56, beside it $ or USD", **DOLLAR)
      for text in ("EUR 12.50", "$", "(-12.50)", "-12.50-", "(12.50", "1$2", "1" + " " * 70 + "$")),
    paid("(12.50)", f"{MONEY} such as 1234.56, beside it $", strip="$"),
    paid("12.50-", f"{MONEY}", round="half_up"),
    paid("R$ 1.234,50", "1234.50", strip=["R$"], **COMMA),
    paid(26.211, "26.21", round="half_even"),
    paid(26.215, "26.22", round="half_up"),
    paid(26.205, "26.20", round="half_even"),
    paid(-26.205, "-26.21", round="half_up"),
    paid(26.211, f"{MONEY}, at most 2 decimals"),
    ({"type": "double", "decimal": ","}, "48,85", 48.85),
    ({"type": "bigint", "thousands": " "}, "1 234 567", 1234567),
    ({"type": "int", "thousands": ","}, "1,234.5", "int such as 1,234.56"),
    ({"type": "bigint", "thousands": ",", "nulls": [-999]}, "-999.0", None),
]  # fmt: skip
WORDS = [
    ({"type": "boolean", "true": ["Yes"], "false": ["No"]}, "yes", True),
    ({"type": "boolean", "true": ["Yes"], "false": ["No"]}, "No", False),
    ({"type": "boolean", "true": ["Yes"], "false": ["No"]}, 1, "boolean (true: yes; false: no)"),
    ({"type": "boolean", "false": [-1]}, "-1.0", False),
    ({"type": "boolean", "false": [-1]}, 1, True),
    ({"type": "boolean", "true": [0], "false": [1]}, 0, True),
    ({"type": "boolean", "true": [True]}, True, True),
    ({"type": "string", "nulls": ["NULL", "\\N"]}, "NULL", None),
    ({"type": "string", "nulls": ["NULL", "\\N"]}, "null", "null"),
    ({"type": "string"}, "NA", None),  # the data set's
    ({"type": "string", "nulls": []}, "NA", "NA"),  # Namibia
    ({"type": "bigint"}, "NA", None),
    ({"type": "timestamp", "unit": "s", "nulls": [0]}, 0, None),
]  # fmt: skip
CASES = [*TIMES, *NUMBERS, *WORDS]
BASE = {
    "tx_id": {"source": "tx_id", "type": "bigint"},
    "event_time": {"source": "event_time", "type": "timestamp"},
    "amount": {"source": "amount", "type": MONEY},
    "card_id": {"source": "card_id", "type": "string"},
}
RECORD = {"tx_id": 1, "event_time": "2024-01-01", "amount": 1, "card_id": "c1"}
FEATURES = FeatureSet.model_validate({"features": [{"column": "amount"}]})


def described(columns, **keys):
    given = {"name": "shop", "format": "jsonl", "entities": {"card": "card_id"}, "card": "card_id"}
    return Dataset.model_validate({**given, "columns": BASE | columns, **keys})


COLUMNS = {
    f"v{n}": {"source": f"v{n}", "required": False, "token": True, **keys}
    for n, (keys, _, _) in enumerate(CASES)
}
DATASET = described(COLUMNS, nulls=["NA"])
AT_ONCE = 30  # columns of a record: the time that Spark takes for a plan grows faster than they do


@pytest.fixture(scope="module")
def ingested(spark):
    """Records → rows, as ingest and stream have them."""

    def rows(dataset, records, now=NOW):
        raw = [(json.dumps(record), f"{n:03}") for n, record in enumerate(records)]
        frame = spark.createDataFrame(raw, "raw string, source_file string")
        parsed = lines.parse(frame, lines.json_objects(dataset))
        found = checks.checked(parsed, checks.steps(parsed.columns, dataset, now)).collect()
        return sorted(found, key=lambda row: row.source_file)

    return rows


@pytest.fixture(scope="module")
def told(ingested):
    """Column → its value, or what is said against it."""
    found = {}
    for start in range(0, len(COLUMNS), AT_ONCE):
        names = list(COLUMNS)[start : start + AT_ONCE]
        dataset = described({name: COLUMNS[name] for name in names}, nulls=["NA"])
        (row,) = ingested(dataset, [RECORD | {n: CASES[int(n[1:])][1] for n in names}])
        said = dict(reason.split(": ", 1) for reason in row.reasons)
        found |= {name: said.get(name, row[name]) for name in names}
    return found


def zoned(value):
    return value.astimezone(UTC) if isinstance(value, datetime) else value


@pytest.mark.parametrize("n", range(len(CASES)), ids=lambda n: str(CASES[n][:2]))
def test_ingest(told, n):
    expected = CASES[n][2]
    found = zoned(told[f"v{n}"])
    if isinstance(found, str) and isinstance(expected, str) and found != expected:
        assert f", expected {expected}" in found
    else:
        assert (type(found), found) == (type(expected), expected)


@pytest.fixture(scope="module")
def reader():
    return TransactionReader(DATASET, FEATURES)


@pytest.mark.parametrize("n", range(len(CASES)), ids=lambda n: str(CASES[n][:2]))
def test_serve_gives_the_same_answer(reader, n):
    """Where the text of a value is declared; a value that it is not for is of its type alone."""
    keys, value, expected = CASES[n]
    body = json.dumps(RECORD | {f"v{n}": value}).encode()
    try:
        found = reader(body)[f"v{n}"]
    except ConfigError as error:
        (found,) = error.problems
        assert isinstance(expected, str)
        if keys.get("pattern") or keys.get("unit") or keys.get("decimal"):
            assert f", expected {expected.split(', at most')[0]}" in found
    else:
        assert (type(found), found) == (type(expected), expected)


ARRIVALS = [  # text, arrival, instant
    ("1231235959", utc(2025, 12, 31, 23, 59), utc(2025, 12, 31, 23, 59, 59)),
    ("1231235959", utc(2026, 1, 1, 0, 1), utc(2025, 12, 31, 23, 59, 59)),
    ("0101000001", utc(2025, 12, 31, 23, 59), utc(2026, 1, 1, 0, 0, 1)),
    ("0102120000", utc(2026, 1, 1, 13), utc(2026, 1, 2, 12)),
    ("0102120000", utc(2026, 1, 1, 11), utc(2025, 1, 2, 12)),
    ("0229120000", utc(2025, 1, 5), utc(2024, 2, 29, 12)),
    ("0229120000", utc(2026, 5, 5), None),
]


@pytest.mark.parametrize(("text", "arrival", "instant"), ARRIVALS)
def test_a_time_without_a_year(ingested, text, arrival, instant):
    keys = {"pattern": "MMddHHmmss", "year": "arrival"}
    dataset = described({"at": {"source": "at", "type": "timestamp", **keys}})
    assert single.time_of(text, dataset.columns["at"], "UTC", arrival) == instant
    (row,) = ingested(dataset, [RECORD | {"event_time": "2020-01-01", "at": text}], arrival)
    assert zoned(row["at"]) == instant
    assert bool(row.reasons) == (instant is None)


def test_an_hour_that_a_year_did_not_have_is_not_last_years():
    how = Times(pattern="MMdd HH:mm", year="arrival")
    with pytest.raises(ValueError, match="skipped"):  # in 2023 clocks were put forward on the 26th
        single.time_of("0331 02:30", how, "Europe/Paris", utc(2024, 4, 1))


def test_units_and_patterns_go_round():
    """An instant, written in each way, is read as itself."""
    dice = random.Random(7)
    patterns = {
        "yyyyMMddHHmmss": "%Y%m%d%H%M%S",
        "dd/MM/yy hh:mm:ss a": "%d/%m/%y %I:%M:%S %p",
        "MMMM d, yyyy HH:mm:ss": "%B %d, %Y %H:%M:%S",
        "EEE MMM dd HH:mm:ss yyyy": "%a %b %d %H:%M:%S %Y",
    }
    for _ in range(300):
        instant = utc(2000, 1, 1) + timedelta(seconds=dice.randrange(25 * 365 * 86400))
        for pattern, form in patterns.items():
            text = instant.strftime(form)
            assert single.time_of(text, Times(pattern=pattern), "UTC", NOW) == instant, (
                pattern,
                text,
            )
        micros = (instant - utc(1970, 1, 1)) // timedelta(microseconds=1)
        for unit, size in UNITS.items():
            value = format(Decimal(micros) / size, "f")
            at = single.time_of(value, Times(unit=unit), "UTC", NOW)
            assert abs(at - instant) <= timedelta(microseconds=1), (unit, value)


def test_minor_units_and_signs_go_round():
    dice = random.Random(7)
    for _ in range(300):
        cents = dice.randrange(-(10**12), 10**12)
        money = Decimal(cents) / 100
        assert single.number_of(str(cents), Numbers(scale=2), None) == money
        german = f"{abs(money):,.2f}".translate(str.maketrans(",.", ".,"))
        how = Numbers(decimal=",", thousands=".", strip=("€",), negative=("brackets",))
        text = f"({german} €)" if money < 0 else f"€ {german}"
        assert single.number_of(text, how, None) == money


def test_minor_units_of_a_currency(ingested):
    columns = {
        "currency": {"source": "currency", "type": "string"},
        "amount": {"source": "amount", "type": MONEY, "scale": "currency", "round": "half_even"},
    }
    dataset = described(columns)
    given = {
        "EUR": "26.21", "978": "26.21", "jpy": "2621.00", "392": "2621.00", "KWD": "2.62",
        "036": "26.21", "36": "26.21", "HUF": "26.21", "CLF": "0.26",
    }  # fmt: skip
    records = [RECORD | {"amount": 2621, "currency": code} for code in (*given, "XXX", None)]
    rows = ingested(dataset, records)
    assert [str(row.amount) for row in rows[:-2]] == list(given.values())
    said = "expected decimal(18,2), a number of minor units of the currency in currency, a code of"
    assert said in rows[-2].reasons[0]
    read = TransactionReader(dataset, FEATURES)
    for record, row in zip(records[:-2], rows, strict=False):
        assert read(json.dumps(record).encode())["amount"] == row.amount
    for record in records[-2:]:
        with pytest.raises(ConfigError, match="currency"):
            read(json.dumps(record).encode())


def test_minor_units_of_a_feed(ingested):
    """Stripe's, and a currency that is in no standard; the others stay as they are."""
    amount = load_dataset("stripe_charges").columns["amount"]
    digits = {**dict(amount.digits), "btc": 8}
    columns = {
        "currency": {"source": "currency", "type": "string"},
        "amount": {"source": "amount", "type": MONEY, "scale": "currency", "digits": digits},
    }
    dataset = described(columns)
    given = {
        "isk": "26.00", "352": "26.00", "UGX": "26.00", "MGA": "2600.00", "969": "2600.00",
        "JPY": "2600.00", "EUR": "26.00", "HUF": "26.00",
    }  # fmt: skip
    records = [RECORD | {"amount": 2600, "currency": code} for code in given]
    records.append(RECORD | {"amount": 250000000, "currency": "BTC"})
    rows = ingested(dataset, records)
    assert [str(row.amount) for row in rows] == [*given.values(), "2.50"]
    read = TransactionReader(dataset, FEATURES)
    for record, row in zip(records, rows, strict=True):
        assert read(json.dumps(record).encode())["amount"] == row.amount


def test_signed_amounts(ingested):
    for keys, reasons in (
        ({}, [f"amount: got '-5', expected at least 0 {SIGNED}"]),
        ({"minimum": 0}, ["amount: got '-5', expected at least 0"]),
        ({"signed": True}, []),
        ({"signed": True, "minimum": -1}, ["amount: got '-5', expected at least -1"]),
    ):  # fmt: skip
        dataset = described({"amount": {"source": "amount", "type": MONEY, **keys}})
        (row,) = ingested(dataset, [RECORD | {"amount": -5}])
        assert row.reasons == reasons
        body = json.dumps(RECORD | {"amount": -5}).encode()
        if reasons:
            with pytest.raises(ConfigError) as caught:
                TransactionReader(dataset, FEATURES)(body)
            assert caught.value.problems == [reasons[0].replace("'-5'", "-5")]
        else:
            assert TransactionReader(dataset, FEATURES)(body)["amount"] == row.amount == -5


def test_labels(ingested):
    label = {
        "source": "verdict", "delay": "1d", "true": ["Fraud"], "false": ["ok", -1],
        "unknown": ["pending", "NULL"], "known_at": {"source": "closed", "unit": "ms"},
    }  # fmt: skip
    given = {"fraud": True, "OK": False, "-1.0": False, "Pending": None, "NULL": None, None: None}
    records = [RECORD | {"verdict": word, "closed": 1704153608000} for word in given]
    rows = ingested(described({}, label=label), [*records, RECORD | {"verdict": "1"}])
    assert [row.is_fraud for row in rows[:-1]] == list(given.values())
    assert [row.reasons for row in rows[:-1]] == [[]] * len(given)
    assert zoned(rows[0].known_at) == NEW_YEAR + timedelta(days=1)
    (reason,) = rows[-1].reasons
    assert reason == "is_fraud: got '1', expected boolean (true: fraud; false: ok, -1)"


def test_a_value_of_several_fields(ingested):
    columns = {
        "event_time": {
            "source": ["Year", "Month", "Day", "Time"], "type": "timestamp",
            "pattern": "yyyy M d HH:mm",
        },
        "card_id": {"source": ["User", "Card"], "type": "string"},
    }  # fmt: skip
    dataset = described(columns, nulls=["NA"])
    given = {
        "tx_id": 1,
        "amount": 1,
        "User": 0,
        "Card": " 7 ",
        "Year": 2024,
        "Month": 1,
        "Day": "4",
    }
    whole, without, null = ingested(
        dataset,
        [given | {"Time": "17:06"}, given, given | {"Time": "17:06", "Card": "NA"}],
    )
    assert (zoned(whole.event_time), whole.card_id) == (utc(2024, 1, 4, 17, 6), "0 7")
    assert without.reasons == ["event_time: missing, expected timestamp as yyyy M d HH:mm"]
    assert null.reasons == ["card_id: missing, expected string"]
    assert "Card" in dataset.required_fields()


def test_a_flat_feed_is_read_by_the_expressions_of_before(spark):
    """What declares nothing costs nothing; in a zone whose clocks change, a look at the clock."""
    from pyspark.sql import functions as F

    text = F.col("text")
    assert str(number.text_of(text, Numbers(), None)) == str(text)
    for zone, same in (("UTC", True), ("Etc/GMT-2", True), ("Europe/Paris", False)):
        plain = time.expression(text, Times(), zone, NOW)
        shifted = time.expression(text, Times(gap="shift"), zone, NOW)
        assert (str(plain) == str(shifted)) == same


def test_a_data_set_says_how_early_a_time_may_be(ingested):
    """Also which of several units a number is of."""
    columns = {"event_time": {"source": "event_time", "type": "timestamp", "pattern": ["s", "ms"]}}
    since = described(columns, earliest="1991-01-02")
    times = (662774400, 662774399, 662774400000)
    rows = ingested(since, [RECORD | {"event_time": time} for time in times])
    said = "event_time: got '662774399', expected timestamp as a number of s since"
    assert [zoned(row.event_time) for row in rows] == [utc(1991, 1, 2), None, utc(1991, 1, 2)]
    assert [len(row.reasons) for row in rows] == [0, 1, 0]
    assert rows[1].reasons[0].startswith(said)
    (row,) = ingested(described({}, earliest="1991-01-02"), [RECORD | {"event_time": "1991-01-01"}])
    said = "event_time: got '1991-01-01', expected a time from 1991-01-02 on"
    assert row.reasons == [said]
    reader = TransactionReader(since, FEATURES)
    assert (
        reader(json.dumps(RECORD | {"event_time": 662774400}).encode())["event_time"].year == 1991
    )
    with pytest.raises(ConfigError, match="a time from 1991-01-02 on"):
        TransactionReader(described({}, earliest="1991-01-02"), FEATURES)(
            json.dumps(RECORD | {"event_time": "1991-01-01"}).encode()
        )


def test_epochs_are_shown_in_words():
    assert str(Epoch(unit="d", origin="1899-12-30")) == "a number of d since 1899-12-30"
