"""What `serve` takes, ingest and stream take as the same; what they refuse, `serve` refuses."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from tests.ingest.conftest import LONG

from fraudlake.datasets import Dataset
from fraudlake.errors import ConfigError
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.ingest import checks, lines
from fraudlake.serve.request import TransactionReader

COLUMNS = {name: column | {"source": name} for name, column in LONG["columns"].items()}
DATASET = Dataset.model_validate(LONG | {"columns": COLUMNS, "label": None, "ignore": []})
FEATURES = FeatureSet.model_validate({"features": [{"column": "amount"}, {"category": "channel"}]})
GOOD = {
    "tx_id": "17", "event_time": '"2018-04-01 00:00:31Z"', "customer_id": "596", "amount": "57.16",
    "channel": '"web"',
}  # fmt: skip
# Column, and how its value is written in JSON.
WRITTEN = [
    *(("tx_id", text) for text in ("0", "-1", "-0", "9223372036854775807", "9223372036854775808")),
    *(("tx_id", text) for text in ("null", "[1]", '{"a": 1}', '""', '"x"', "1.5", "NaN")),
    *(("tries", text) for text in ("2147483647", "2147483648", "null")),
    *(("amount", t) for t in ("0", "-0.0", "1e3", "12.3400", "12.345", "-0.01", "1e-22", "1e15")),
    *(("amount", t) for t in ("285.79999999999995", "999999999999.99", "1000000000000.001")),
    *(("amount", text) for text in ("1000000000000000.01", "1e30", "Infinity", "null", "007")),
    *(("latitude", text) for text in ("-90", "90.5", "1e-400", "1e400", "null", "NaN")),
    *(("channel", text) for text in ('"web"', '" web\\t"', '"pigeon"', '""', "null", "5")),
    *(("note", text) for text in ('"  hello "', '"\\u0000"', '"é€𝄞"', '" "', "null")),
    *(("present", text) for text in ("true", "false", "null", "2", '"maybe"')),
    *(
        ("event_time", f'"{text}"')
        for text in (
            "2018-04-01", "2018-04-01T02:00:31.1+02:00", "2018-04-01T00:00:31-0330",
            "2018-04-01 00:00:31 UTC", "2018-04-01 00:00:31.123456789Z", "2018-04-01 00:00:31 +02",
            "2018-04-01 00:00:31", "2018-10-28 02:30:00", "2018-03-25 02:30:00", "20180401",
            "2018-W13-7", "2018-04-01T12", "2018-04-01T12:30", "2018-04-01T24:00:00Z",
            "2018-02-30 00:00:00", "1999-12-31T23:59:59Z", "2999-01-01",
            "2018-04-01T00:00:31+25:00",
            "2018-04-01T00:00:31,5Z", "2018-04-01x00:00:31Z", "0001-06-01T00:00:00Z", "",
        )
    ),
    ("event_time", "1522578600"),
    # Card numbers, in columns of numbers, of text and of money; in those that hold tokens.
    *(("customer_id", t) for t in ("4111111111111111", "-4111111111111111", "4111111111111112")),
    *(("weight", t) for t in ("4111111111111111", "4.111111111111111e15", "4111111111111111.25")),
    *(("weight", t) for t in ("4111111111112", "6304000000000000000", "1.5e15")),
    *(("amount", t) for t in ("5105105105105100", "510510510510510", "378282246310005.00")),
    *(("note", f'"{t}"') for t in ("4111 1111 1111 1111", "f4111111111111111")),
    *(("token", text) for text in ("4111111111111111", "378282246310005")),
    ("pay_id", '"4111111111111111"'),
]  # fmt: skip
# Of what they take, `serve` refuses this: it takes values of a column's type alone.
OF_ITS_TYPE_ALONE = [
    ("tx_id", '"17"'), ("tx_id", "17.0"), ("amount", '"12.5"'), ("latitude", '"1.5"'),
    ("present", "1"), ("present", '"true"'), ("channel", '"Web"'), ("note", "5"), ("note", "[1]"),
]  # fmt: skip


def body(column, written):
    return "{" + ", ".join(f'"{k}": {v}' for k, v in (GOOD | {column: written}).items()) + "}"


BODIES = {
    **{case: body(*case) for case in WRITTEN + OF_ITS_TYPE_ALONE},
    "a key given twice": body("note", '"a", "note": "a"'),
    "twice within": body("note", '{"a": 1, "a": 2}'),
    "one that is not known, twice": body("x", '1, "x": 2'),
    "no object": "[1]",
    "more behind it": body("note", '"a"') + "1",
    "no quotes": body("note", "hello"),
    "single quotes": body("note", "'hello'"),
    "empty": " ",
}


@pytest.fixture(scope="module")
def told(spark):
    """Body → (values, reasons), as ingest and stream have it."""
    rows = [(text, str(number)) for number, text in enumerate(BODIES.values())]
    frame = spark.createDataFrame(rows, "raw string, source_file string")
    records = lines.parse(frame, lines.json_objects(DATASET))
    found = {row.source_file: row for row in checks.check(records, DATASET).collect()}
    return {key: found[str(number)] for number, key in enumerate(BODIES)}


def served(text):
    try:
        return TransactionReader(DATASET, FEATURES)(text.encode()), []
    except ConfigError as error:
        return None, error.problems


@pytest.mark.parametrize("case", BODIES, ids=str)
def test_one_verdict(told, case):
    row, (values, problems) = told[case], served(BODIES[case])
    if case in OF_ITS_TYPE_ALONE:
        assert problems
        assert bool(row.reasons) == (case == ("channel", '"Web"'))
    elif case == "one that is not known, twice":
        assert row.reasons
        assert problems
    else:
        assert bool(row.reasons) == bool(problems), (row.reasons, problems)
    if values:
        times = {n: v.astimezone(UTC) for n, v in row.asDict().items() if isinstance(v, datetime)}
        assert values == {name: (row.asDict() | times)[name] for name in values}


@pytest.mark.parametrize(
    ("column", "written"),
    [
        ("customer_id", "4111111111111111"),
        ("token", "41111111111111112345678"),
        ("note", '"4111 1111 1111 1111"'),
        ("channel", '"4111111111111111"'),
        ("4111111111111111", "1"),
    ],
)
def test_no_answer_says_a_card_number(column, written):
    _, problems = served(body(column, written))
    assert problems
    assert "411111111" not in "".join(problems).replace(" ", "")


def test_a_key_given_twice_is_named():
    text = json.dumps({"tx_id": 1})[:-1] + ', "tx_id": 2}'
    assert served(text)[1] == ["body: expected a JSON object, got none ('tx_id' 2 times)"]
