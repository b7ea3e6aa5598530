"""Where records lie in what arrives: nested, in envelopes, in arrays; in files of many kinds."""

import bz2
import codecs
import gzip
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.ingest.test_sources import rows, streamed

from fraudlake.datasets import Dataset
from fraudlake.errors import DataError
from fraudlake.ingest import checks, files, ingest, sources
from fraudlake.lake.tables import QUARANTINE, TRANSACTIONS

TIME = "2024-01-01T00:00:08Z"


def described(kind="jsonl", tx="id", time="time", amount="amount", card="card", **changes):
    columns = {
        "tx_id": {"source": tx, "type": "bigint"},
        "event_time": {"source": time, "type": "timestamp"},
        "amount": {"source": amount, "type": "decimal(18,2)"},
        "card_id": {"source": card, "type": "string"},
    }
    entities = {"card": "card_id"}
    content = {"format": kind, "columns": columns, "entities": entities, "card": "card_id"}
    return Dataset.model_validate({"name": "layout", **content, **changes})


def payment(number, **more):
    return {"id": number, "time": TIME, "amount": 26.21, "card": f"c{number}", **more}


STRIPE = {
    "id": "evt_1", "type": "charge.succeeded",
    "data": {"object": {
        "id": 1, "time": TIME, "amount": 26.21, "pm": [{"card": {"fp": "c1"}}, {"x": None}],
    }},
}  # fmt: skip
STRIPE_PATHS = {
    "tx": "data.object.id", "time": "data.object.time", "amount": "data.object.amount",
    "card": "data.object.pm[0].card.fp",
}  # fmt: skip


def debezium(op, number=1, schema=True, **more):
    after = None if op == "d" else payment(number, **more)
    change = {"before": None, "after": after, "op": op, "source": {"db": "bank"}}
    return {"schema": {"type": "struct"}, "payload": change} if schema else change


def adyen(*numbers):
    items = [{"NotificationRequestItem": payment(n, eventCode="AUTHORISATION")} for n in numbers]
    return {"live": "false", "notificationItems": items}


CHANGES = {"path": "payload.after", "where": {"$.payload.op": ["c", "r", "u"]}}
ITEMS = {
    "path": "notificationItems[].NotificationRequestItem",
    "where": {"eventCode": "AUTHORISATION"},
}
# name: (data set, messages, ids read, passed over, reasons of the others, unknown fields)
MESSAGES = {
    "flat name with a dot": (
        described(amount="a.b"),
        [payment(1) | {"a.b": 5, "a": {"b": 6}}, payment(2) | {"a": {"b": 6, "c": 1}}],
        [1, 2], 0, [], ["amount"],
    ),
    "paths": (described(**STRIPE_PATHS), [STRIPE], [1], 0, [], ["id", "type"]),
    "cloudevents": (
        described(time="$.time", record={"path": "data", "where": {"$.type": ["paid"]}}),
        [
            {"type": "paid", "time": TIME, "data": {"id": 1, "amount": 1, "card": "c", "new": 0}},
            {"type": "refused", "time": TIME, "data": {"id": 2}},
            {"type": "paid", "time": TIME, "data": json.dumps(payment(3))},
            {"type": "paid", "time": TIME, "data": "no object"},
        ],
        [1, 3], 1, ["expected an object at data"], ["new", "time"],
    ),
    "debezium": (
        described(record=CHANGES),
        [debezium(op, n) for n, op in enumerate("crud")] + ["", "null", {"payload": {"op": "c"}}],
        [0, 1, 2], 3, ["expected an object at payload.after"], [],
    ),
    "debezium without schema": (
        described(record={"path": "after", "where": {"$.op": ["c", "r", "u"]}}),
        [debezium("c", 1, schema=False), debezium("d", schema=False), "{"],
        [1], 1, ["expected one JSON object"], [],
    ),
    "debezium unwrapped": (
        described(record={"where": {"__deleted": False}}),
        [payment(1, __op="c", __deleted="false"), payment(2, __op="d", __deleted="true")],
        [1], 1, [], ["__op"],
    ),
    "arrays": (
        described(record=ITEMS),
        [adyen(1, 2), adyen(), adyen(3), {"notificationItems": 5}, {"live": 1}],
        [1, 2, 3], 1, ["expected an object at notificationItems[].NotificationRequestItem"] * 2, [],
    ),
    "arrays in arrays": (
        described(record={"path": "days[].payments[]"}),
        [{"days": [{"payments": [payment(1), payment(2)]}, {"payments": []}, {"payments": [7]}]}],
        [1, 2], 1, ["expected an object at days[].payments[]"], [],
    ),
}  # fmt: skip


def lines(messages):
    return "".join((m if isinstance(m, str) else json.dumps(m)) + "\n" for m in messages)


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(spark, tmp_path, name):
    dataset, messages, ids, passed, said, unknown = MESSAGES[name]
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "a.json").write_text(lines(messages))
    records = sources.read(spark, dataset, str(raw))
    field = dataset.columns["tx_id"].source
    found = [
        (row["fields"] and row["fields"][field], row["corrupt"], row.get("passed_over", False))
        for row in rows(records)
    ]
    assert sorted(int(i) for i, corrupt, over in found if not (corrupt or over)) == ids
    assert sum(over for *_, over in found) == passed
    assert [c.rpartition("', ")[2] for _, c, over in found if c and not over] == said
    kept = [row for row in rows(records) if not row.get("passed_over")]
    assert sorted({n for row in kept for n in row["unknown"]}) == unknown
    good = records.where("corrupt IS NULL")
    good = good.where("NOT passed_over") if "passed_over" in records.columns else good
    assert [row["reasons"] for row in rows(checks.check(good, dataset))] == [[]] * len(ids)


def test_messages_of_a_topic(spark, tmp_path, publish):
    """A delete comes with a tombstone; both are passed over, in batch and stream."""
    dataset = described(record=CHANGES)
    changes = [json.dumps(debezium(op, n)) for n, op in enumerate("cd")]
    path = publish([*changes, None])
    records = sources.read(spark, dataset, path)
    stream = streamed(spark, sources.read_stream(spark, dataset, path, 1), tmp_path)
    for found in (records, stream):
        by_place = sorted(rows(found), key=lambda row: row["source_file"])
        assert [row["passed_over"] for row in by_place] == [False, True, True]
        assert by_place[0]["fields"]["id"] == "0"
        assert {row["corrupt"] for row in by_place} == {None}


def test_what_a_path_does_not_lead_to_is_absent(spark, tmp_path):
    dataset = described(**STRIPE_PATHS)
    bare = {"data": {"object": {"amount": None, "pm": []}}}
    (tmp_path / "a.json").write_text(lines([bare]))
    (row,) = rows(sources.read(spark, dataset, str(tmp_path)))
    assert row["absent"] == list(STRIPE_PATHS.values())
    assert row["unknown"] == []
    assert row["fields"]["data.object.amount"] is None


def test_what_is_passed_over_is_counted_and_the_raw_record_goes_in_again(spark, lake, tmp_path):
    """The quarantined text of a payment is its whole message, so that it can be given again."""
    dataset = described(record=ITEMS)
    other = {"NotificationRequestItem": payment(9, eventCode="REPORT")}
    broken = adyen(3)
    broken["notificationItems"][0]["NotificationRequestItem"]["amount"] = "much"
    mixed = {"notificationItems": [*adyen(1, 2, 1)["notificationItems"], other]}
    mixed["notificationItems"] += broken["notificationItems"]
    (tmp_path / "a.json").write_text(lines([mixed, adyen(), ""]))
    counts = ingest(lake, dataset, str(tmp_path))
    names = ("records", "transactions", "duplicates", "quarantine", "passed_over")
    assert [counts[name] for name in names] == [7, 2, 1, 1, 3]
    (kept,) = lake.read(QUARANTINE).collect()
    (tmp_path / "again").mkdir()
    mended = kept["raw"].replace("much", "5")
    (tmp_path / "again" / "b.json").write_text(mended)
    counts = ingest(lake, dataset, str(tmp_path / "again"))
    assert [counts[name] for name in names] == [5, 1, 3, 0, 1]
    assert sorted(row.tx_id for row in lake.read(TRANSACTIONS).collect()) == [1, 2, 3]


def test_of_payments_of_one_message_with_one_id_one_stands(spark, lake, tmp_path):
    dataset = described(record={"path": "items[]"})
    items = [payment(1, amount=amount) for amount in (3, 2, 3)]
    (tmp_path / "a.json").write_text(lines([{"items": items}]))
    counts = ingest(lake, dataset, str(tmp_path))
    assert (counts["transactions"], counts["duplicates"], counts["quarantine"]) == (1, 0, 2)
    assert str(lake.read(TRANSACTIONS).first()["amount"]) == "2.00"


def nested_parquet(path, kind):
    moment = datetime(2024, 1, 1, 0, 0, 8)  # noqa: DTZ001
    item = {"id": 1, "time": moment, "amount": 26.21, "pm": {"card": "c1"}}
    fields = [("id", pa.int64()), ("time", pa.timestamp("ns", "UTC")), ("amount", pa.float64())]
    struct = pa.struct([*fields, ("pm", pa.struct([("card", pa.string())]))])
    types = {"struct": struct, "list": pa.list_(struct)}
    values = {"struct": [item, None], "list": [[item, item | {"id": 2}], []]}
    table = {"op": ["c", "d"], "data": pa.array(values[kind], types[kind])}
    pq.write_table(pa.table(table), path)


@pytest.mark.parametrize(
    ("kind", "record", "ids", "passed"),
    [
        ("struct", None, ["1", None], None),
        ("struct", {"path": "data", "where": {"$.op": ["c"]}}, ["1"], 1),
        ("list", {"path": "data[]"}, ["1", "2"], 1),
    ],
)
def test_structs_of_parquet(spark, tmp_path, kind, record, ids, passed):
    path = tmp_path / "in"
    path.mkdir()
    nested_parquet(path / "a.parquet", kind)
    of = "" if record else "data."
    dataset = described(
        "parquet", f"{of}id", f"{of}time", f"{of}amount", f"{of}pm.card", record=record
    )
    records = sources.read(spark, dataset, str(path))
    kept = [row for row in rows(records) if not row.get("passed_over")]
    assert [row["fields"][f"{of}id"] for row in kept] == ids
    assert kept[0]["fields"][f"{of}time"] == "2024-01-01 00:00:08Z"
    assert kept[0]["fields"][f"{of}pm.card"] == "c1"
    assert json.loads(kept[0]["raw"])["op"] == "c"
    if passed is not None:
        assert records.where("passed_over").count() == passed
    stream = sources.read_stream(spark, dataset, str(path), 1)
    assert rows(streamed(spark, stream, tmp_path)) == rows(records)


TABLE = "id,time,amount,card\n1,2024-01-01T00:00:08Z,26.21,é"
# name: (what `files` says, bytes of a file)
WRITTEN = {
    "semicolons": ({"delimiter": ";"}, TABLE.replace(",", ";").encode()),
    "tabs": ({"delimiter": "\t"}, TABLE.replace(",", "\t").encode()),
    "bars": ({"delimiter": "|", "quote": ""}, TABLE.replace(",", "|").encode()),
    "quotes": ({"quote": "'"}, TABLE.replace("é", "'é'").encode()),
    "no header": (
        {"header": False, "names": ["id", "time", "amount", "card"]},
        TABLE.split("\n")[1].encode(),
    ),
    "comments": ({"comment": "#"}, f"# by hand\n{TABLE}\n#end\n".encode()),
    "UTF-16": ({"encoding": "UTF-16"}, TABLE.replace("\n", "\r\n").encode("utf-16")),
    "UTF-16, the other order": (
        {"encoding": "utf-16"},
        codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"),
    ),
    "windows": ({"encoding": "windows-1252"}, TABLE.encode("cp1252")),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_of_text(spark, tmp_path, name):
    written, content = WRITTEN[name]
    path = tmp_path / "in"
    path.mkdir()
    (path / "a.csv").write_bytes(content)
    dataset = described("csv", files=written)
    records = sources.read(spark, dataset, str(path))
    (row,) = rows(records)
    assert row["corrupt"] is None
    assert row["fields"] == {"id": "1", "time": TIME, "amount": "26.21", "card": "é"}
    if name in ("UTF-16", "no header", "comments"):
        stream = sources.read_stream(spark, dataset, str(path), 1)
        assert rows(streamed(spark, stream, tmp_path)) == [row]


def test_backslashes_before_quotes(spark, tmp_path):
    text = TABLE.replace("é", '"c\\"7"') + '\n2,,,"a\\"\n3,,,\\\n'
    (tmp_path / "a.csv").write_text(text)
    found = rows(sources.read(spark, described("csv", files={"escape": "\\"}), str(tmp_path)))
    said = [(row["fields"] and row["fields"]["card"], row["corrupt"]) for row in found]
    assert said[0] == ('c"7', None)
    assert said[1][1].endswith("expected a closing quote")
    assert said[2] == ("\\", None)


def test_jsonl_in_another_encoding(spark, tmp_path):
    text = lines([payment(1, card="é")]).encode("utf-16")
    (tmp_path / "a.json").write_bytes(text + b"\x00\xd8\n\x00")
    dataset = described(files={"encoding": "utf-16"})
    found = rows(sources.read(spark, dataset, str(tmp_path)))
    assert sorted(row["fields"]["card"] if row["fields"] else "" for row in found) == ["", "é"]
    assert "expected text in UTF-16-LE" in "".join(row["corrupt"] or "" for row in found)


def test_compressed_files(spark, tmp_path):
    text = TABLE.encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text))
    (tmp_path / "b.csv.bz2").write_bytes(bz2.compress(text))
    with pa.CompressedOutputStream(str(tmp_path / "c.csv.zst"), "zstd") as out:
        out.write(text)
    assert sources.read(spark, described("csv"), str(tmp_path)).count() == 3


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.zip", b"PK\x03\x04", r"t\.zip, expected files as they are .* in the zip out of it"),
        ("t.csv", b"PK\x03\x04\x14", r"t\.csv, a zip archive by its first bytes"),
        ("t.csv", TABLE.encode("utf-16"), "no text in UTF-8, .*`files: {encoding: UTF-16}`"),
        ("t.csv", TABLE.replace(",", ";").encode(), r"is it `files: {delimiter: ';'}`\?"),
        ("t.csv", b"0,2024-01-01,26.21,0\n", r"is it `files: {header: false, names: \[...\]}`\?"),
    ],
)
def test_what_is_not_read_is_told_without_its_bytes(spark, tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        sources.read(spark, described("csv"), str(tmp_path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_folders_are_fields(spark, tmp_path, kind):
    record = payment(1)
    del record["time"], record["card"]
    for day in ("2024-01-01", "2024-01-02"):
        path = tmp_path / "in" / f"time={day}" / "card=a%3Ab c"
        path.mkdir(parents=True)
        if kind == "parquet":
            pq.write_table(pa.table({n: [v] for n, v in record.items()}), path / "a")
        else:
            text = lines([record]) if kind == "jsonl" else "id,amount\n1,26.21\n"
            (path / "a").write_text(text)
    dataset = described(kind)
    records = sources.read(spark, dataset, str(tmp_path / "in"))
    found = rows(records)
    assert sorted(row["fields"]["time"] for row in found) == ["2024-01-01", "2024-01-02"]
    assert [(row["fields"]["card"], row["absent"]) for row in found] == [("a:b c", [])] * 2
    stream = sources.read_stream(spark, dataset, str(tmp_path / "in"), 5)
    again = rows(streamed(spark, stream, tmp_path))
    assert sorted(again, key=str) == sorted(found, key=str)


MOMENT = datetime(2024, 1, 1, 0, 0, 8, 5)  # noqa: DTZ001


def test_nanoseconds_and_columns_of_several_types(spark, tmp_path):
    kinds = {
        "a": {"id": [1], "time": pa.array([MOMENT], pa.timestamp("ns")), "card": ["c"]},
        "b": {"id": [2.0], "time": pa.array([MOMENT], pa.timestamp("ns", "UTC")), "card": ["d"]},
        "c": {"id": [3], "time": pa.array([MOMENT], pa.timestamp("us")), "card": pa.nulls(1)},
    }
    path = tmp_path / "in"
    path.mkdir()
    for name, columns in kinds.items():
        table = pa.table(columns | {"amount": [26 if name == "a" else 26.5]})
        pq.write_table(table, path / name, version="2.6")
    dataset = described("parquet", timezone="Europe/Paris")
    records = sources.read(spark, dataset, str(path))
    checked = {row["tx_id"]: row for row in rows(checks.check(records, dataset)) if row["tx_id"]}
    assert {number: row["card_id"] for number, row in checked.items()} == {1: "c", 2: "d", 3: None}
    times = {n: row["event_time"].astimezone(UTC).hour for n, row in checked.items()}
    assert times == {1: 23, 2: 0, 3: 23}
    assert checked[1]["event_time"].microsecond == 5
    with pytest.raises(DataError, match=r"a.* and .*, whose columns differ in type"):
        sources.read_stream(spark, dataset, str(path), 1)
    pq.write_table(pa.table({"card": [5], "time": ["x"]}), path / "d")
    with pytest.raises(DataError) as caught, files.readable():
        sources.read(spark, dataset, str(path))
    for said in ("time as timestamp", "string in", "/d", "card as string in", "bigint in", "/a"):
        assert said in str(caught.value)
