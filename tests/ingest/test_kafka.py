"""A topic as an input: address and settings, then records of a real broker."""

import json

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from tests.ingest.test_avro import CONFLUENT, PAYMENT, SCHEMA, encoded
from tests.ingest.test_sources import FIELDS, rows, streamed

from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError, SetupError
from fraudlake.ingest import checks, files, ingest, kafka, sources
from fraudlake.lake.tables import QUARANTINE, TRANSACTIONS

GOOD = json.dumps(FIELDS)


def place(row):
    return row["source_file"]


def test_an_address_names_servers_and_topic():
    topic = kafka.named("kafka://a.example:9092,10.0.0.1:9093/card.payments-v1")
    assert (topic.servers, topic.name) == ("a.example:9092,10.0.0.1:9093", "card.payments-v1")


@pytest.mark.parametrize(
    ("path", "properties", "said"),
    [
        ("kafka://host/topic", None, "expected kafka://host:port"),
        ("kafka://host:9092/a/b", None, "expected kafka://host:port"),
        ("kafka:payments", None, "expected kafka://host:port"),
        ("/data", "client.properties", "kafka: got client.properties, expected it only beside"),
        ("kafka://h:1/t", "/nowhere", "kafka: got '/nowhere', expected a text file"),
    ],
)
def test_a_wrong_address_is_told(path, properties, said):
    (problem,) = kafka.problems({"input": path, "kafka": properties, "avro": None})
    assert said in problem


def test_settings_are_read_as_java_reads_them_and_never_shown(tmp_path):
    file = tmp_path / "client.properties"
    file.write_text(
        "# a comment\n\nsecurity.protocol = SASL_SSL\nsasl.mechanism:PLAIN\n"
        'sasl.jaas.config=x.Plain required \\\n    username="a" \\\n  password="p=\\\\q";\n'
    )
    topic = kafka.named("kafka://h:1/t", str(file))
    assert topic.settings == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.jaas.config": 'x.Plain required username="a" password="p=\\q";',
    }
    assert "password" not in repr(topic)


def test_settings_of_other_matters_are_refused_without_their_values(tmp_path):
    file = tmp_path / "client.properties"
    file.write_text("group.id=hidden\nsasl.mechanism=PLAIN\nbootstrap.servers=hidden\nalone\n")
    found = kafka.problems({"input": "kafka://h:1/t", "kafka": str(file), "avro": None})
    assert [line.split(" in ")[0] for line in found] == [
        "kafka: got the setting group.id",
        "kafka: got the setting bootstrap.servers",
        "kafka: got the setting alone",
    ]
    assert "hidden" not in "".join(found)


def test_records_of_a_topic(spark, shop, publish):
    path = publish([GOOD, b"\xff", None, "{", GOOD], partitions=2)
    name = path.rpartition("/")[2]
    found = rows(sources.read(spark, shop("csv"), path))
    places = {row["source_file"]: row for row in found}
    assert sorted(places) == [
        f"kafka://{name}/{p}/{offset:020d}"
        for p, offset in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)]
    ]
    good = places[f"kafka://{name}/0/{0:020d}"]
    assert good["raw"] == GOOD
    assert good["fields"]["amount"] == "57.16"
    assert good["published_at"].year > 2018
    expected = {
        GOOD: None,
        "\ufffd": "got '\ufffd', expected text in UTF-8",
        "": "got '', expected a record, not a blank line",
        "{": "got '{', expected one JSON object",
    }
    assert {row["raw"]: row["corrupt"] for row in found} == expected


def test_a_batch_reads_what_was_there_when_it_was_made(spark, shop, publish):
    path = publish([GOOD])
    frame = sources.read(spark, shop(), path)
    publish([GOOD, GOOD])
    assert frame.count() == 1
    assert sources.listing(spark, shop(), path) == [(f"{path}/0", 3)]
    assert sources.read(spark, shop(), path).count() == 3


def test_a_stream_gives_the_records_of_a_batch_in_bounded_batches(spark, shop, publish, tmp_path):
    path = publish([GOOD, "{", GOOD, GOOD, GOOD], partitions=2)
    stream = sources.read_stream(spark, shop(), path, 1, max_records_per_batch=2)
    found, wanted = streamed(spark, stream, tmp_path), sources.read(spark, shop(), path)
    assert sorted(found.collect(), key=place) == sorted(wanted.collect(), key=place)
    assert len(list((tmp_path / "checkpoint" / "commits").glob("[0-9]*"))) >= 3


def test_records_that_vanished_stop_a_stream_in_words(spark, shop, publish, broker, tmp_path):
    path = publish([GOOD, GOOD])
    stream = sources.read_stream(spark, shop(), path, 1)
    streamed(spark, stream, tmp_path)
    publish([GOOD] * 3)
    gone = TopicPartition(path.rpartition("/")[2], 0, 4)
    admin = AdminClient({"bootstrap.servers": broker})
    for done in admin.delete_records([gone]).values():
        done.result(20)
    with (
        pytest.raises(DataError, match=r"not read yet \(Could not read .* \[2, 5\)"),
        files.readable(),
    ):
        streamed(spark, stream, tmp_path)


def test_no_broker_and_no_topic_are_told_apart(spark, shop, publish, broker, monkeypatch):
    publish([])
    with pytest.raises(SetupError, match="got no topic payments at 127"):
        sources.read(spark, shop(), f"kafka://{broker}/payments")
    monkeypatch.setattr(kafka, "_PATIENCE_S", 1)
    with pytest.raises(SetupError, match="got no answer from Kafka at 127"):
        sources.read_stream(spark, shop(), "kafka://127.0.0.1:1/payments", 1)


def test_avro_values_become_checked_records(spark, shop, publish, tmp_path):
    (tmp_path / "17.avsc").write_text(json.dumps(SCHEMA))
    schema = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "customer", "type": "int"}]}
    (tmp_path / "18.avsc").write_text(json.dumps(schema))
    value = b"\x00\x00\x00\x00\x12" + encoded(PAYMENT | {"customer": 7, "channel": "web"}, schema)
    path = publish([value, CONFLUENT + encoded(PAYMENT), b"\x00\x01"])
    raw = sources.read(spark, shop(), path, avro=str(tmp_path))
    whole, lacking, bad = sorted(checks.check(raw, shop()).collect(), key=place)
    assert (whole["tx_id"], whole["customer_id"], str(whole["amount"])) == (2**63 - 1, 7, "57.10")
    assert not whole["reasons"]
    assert whole["unknown"] == ["day", "mark"]
    assert "customer_id: missing, expected bigint" in lacking["reasons"]
    assert bad["reasons"][0].startswith("record: got 'AAE=', expected an Avro value that names")


def test_a_topic_is_ingested(lake, publish):
    dataset = load_dataset("handbook")
    record = {
        "TRANSACTION_ID": 1, "TX_DATETIME": "2018-04-01 00:00:31", "CUSTOMER_ID": 1,
        "TERMINAL_ID": 2, "TX_AMOUNT": 3.5, "TX_FRAUD": 0,
    }  # fmt: skip
    path = publish([json.dumps(record), json.dumps(record), '{"TRANSACTION_ID": 2}'])
    result = ingest(lake, dataset, path)
    assert (result["transactions"], result["duplicates"], result["quarantine"]) == (1, 1, 1)
    (row,) = lake.read(TRANSACTIONS).collect()
    assert row["source_file"].endswith(f"/0/{0:020d}")
    (bad,) = lake.read(QUARANTINE).collect()
    assert bad["source_file"].endswith(f"/0/{2:020d}")
