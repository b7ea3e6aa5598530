"""Avro values as text, without Spark: both framings, and what is neither."""

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from fastavro import schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from fraudlake.errors import ConfigError
from fraudlake.ingest import avro

SCHEMA = {
    "type": "record",
    "name": "Payment",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {
            "name": "amount",
            "type": {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2},
        },
        {"name": "channel", "type": ["null", "string"]},
        {"name": "lat", "type": "double"},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "mark", "type": "bytes"},
    ],
}
PAYMENT = {
    "id": 9223372036854775807,
    "time": datetime(2018, 4, 1, 0, 0, 31, 5, UTC),
    "amount": Decimal("57.10"),
    "channel": "wéb",
    "lat": 0.1,
    "day": date(2018, 4, 1),
    "mark": b"\xff",
}
CONFLUENT = b"\x00\x00\x00\x00\x11"


def encoded(record, schema=SCHEMA):
    stream = io.BytesIO()
    schemaless_writer(stream, schema, record)
    return stream.getvalue()


def single_object(schema=SCHEMA):
    mark = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return b"\xc3\x01" + int(mark, 16).to_bytes(8, "little")


@pytest.fixture
def decode(tmp_path):
    (tmp_path / "17.avsc").write_text(json.dumps(SCHEMA))
    return avro.Decoder(avro.schemas(tmp_path))


def test_the_mark_of_the_specification():
    """The fingerprint of "int" that Avro's specification gives as an example."""
    assert fingerprint('"int"', "CRC-64-AVRO") == "8f5c393f1ad57572"


@pytest.mark.parametrize("frame", [CONFLUENT, single_object()])
def test_both_framings(decode, frame):
    text, broken = decode(frame + encoded(PAYMENT))
    assert broken is None
    assert json.loads(text) == {
        "id": 9223372036854775807, "time": "2018-04-01 00:00:31.000005+00:00", "amount": "57.10",
        "channel": "wéb", "lat": 0.1, "day": "2018-04-01", "mark": "/w==",
    }  # fmt: skip


def test_numbers_that_json_lacks_are_text(decode):
    text, _ = decode(CONFLUENT + encoded(PAYMENT | {"lat": float("nan")}))
    assert json.loads(text)["lat"] == "nan"


def test_records_in_records(tmp_path):
    inner = {"type": "record", "name": "Data", "fields": [{"name": "lat", "type": "double"}]}
    many = {"type": "array", "items": inner}
    outer = {"type": "record", "name": "Event", "fields": [{"name": "data", "type": many}]}
    (tmp_path / "17.avsc").write_text(json.dumps(outer))
    event = {"data": [{"lat": float("inf")}, {"lat": 0.5}]}
    text, _ = avro.Decoder(avro.schemas(tmp_path))(CONFLUENT + encoded(event, outer))
    assert json.loads(text) == {"data": [{"lat": "inf"}, {"lat": 0.5}]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "names a schema of avro="),
        (b"", "names a schema of avro="),
        (b'{"id": 1}', "names a schema of avro="),
        (b"\x00\x00\x00\x00\x12" + encoded(PAYMENT), "names a schema of avro="),
        (CONFLUENT, "of its schema (EOFError)"),
        (CONFLUENT + encoded(PAYMENT)[:-1], "of its schema (EOFError)"),
        (CONFLUENT + encoded(PAYMENT) + b"\x00", "not more bytes"),
        (CONFLUENT + b"\xff" * 30, "of its schema ("),
        (CONFLUENT + encoded(PAYMENT).replace("wéb".encode(), b"w\xff\xffb"), "UnicodeDecodeError"),
    ],
)
def test_what_is_not_of_the_schema_is_a_broken_record(decode, value, said):
    text, broken = decode(value)
    assert said in broken
    assert text == avro._encoded(value or b"")


def test_a_folder_of_schemas_serves_all_their_writers(tmp_path):
    newer = {**SCHEMA, "fields": [{"name": "new", "type": "int"}, *SCHEMA["fields"]]}
    (tmp_path / "17.avsc").write_text(json.dumps(SCHEMA))
    (tmp_path / "newer.avsc").write_text(json.dumps(newer))
    decode = avro.Decoder(avro.schemas(tmp_path))
    text, _ = decode(single_object(newer) + encoded(PAYMENT | {"new": 3}, newer))
    assert json.loads(text)["new"] == 3
    assert "new" not in json.loads(decode(single_object() + encoded(PAYMENT))[0])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.avsc", "{", "expected the Avro schema of a record"),
        ("a.avsc", '["null", "what"]', "expected the Avro schema of a record"),
        ("a.avsc", '{"type": "enum", "name": "x", "symbols": ["A"]}', "type 'enum'"),
        ("a.json", "{}", "without a file in it, expected"),
    ],
)
def test_what_is_no_schema_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=said):
        avro.schemas(tmp_path)
