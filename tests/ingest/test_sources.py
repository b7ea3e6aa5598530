"""Records as they come from CSV, JSON lines, Parquet and Delta, in batch and as a stream."""

import gzip
import json
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from delta.tables import DeltaTable

from fraudlake.errors import DataError
from fraudlake.ingest import checks, files, sources

# ruff: noqa: DTZ001, E501
HEADER = "id,time,customer,amount,channel,note,lat,tries,present,fraud,known,kind"
LINE = "17,2018-04-01T00:00:31Z,596,57.16,web,,,,,0,,x"
FIELDS = {"id": "17", "time": "2018-04-01T00:00:31Z", "customer": "596", "amount": "57.16"}


def rows(frame):
    return sorted(
        (row.asDict(recursive=True) for row in frame.collect()), key=lambda r: str(r["raw"])
    )


def only(frame):
    (row,) = rows(frame)
    return row


@pytest.fixture
def folder(tmp_path):
    """Writes files of text or bytes and returns their folder."""

    def written(**contents):
        path = tmp_path / "raw"
        path.mkdir(exist_ok=True)
        for name, content in contents.items():
            data = content if isinstance(content, bytes) else content.encode()
            (path / name.replace("__", ".")).write_bytes(data)
        return str(path)

    return written


def test_a_csv_record_is_its_line(spark, shop, folder):
    path = folder(a__csv=f"{HEADER}\n{LINE}\n")
    row = only(sources.read(spark, shop("csv"), path))
    assert row["raw"] == LINE
    assert row["source_file"] == f"file:{path}/a.csv"
    assert row["corrupt"] is None
    assert row["fields"] == FIELDS | {
        "channel": "web", "note": None, "lat": None, "tries": None, "present": None,
        "fraud": "0", "known": None,
    }  # fmt: skip
    assert (row["unknown"], row["absent"]) == ([], [])


def test_csv_files_may_order_their_columns_each_in_its_way(spark, shop, folder):
    path = folder(
        a__csv=f"{HEADER}\n{LINE}\n",
        b__csv='amount,"id",time,customer,channel,fraud,known,extra\n'
        '"1,50",18,2018-04-01T00:00:32Z,597,"say ""web""",1,,z\n',
        c__csv="",
        d__csv="\n\n",
    )
    found = rows(sources.read(spark, shop("csv"), path))
    assert [row["raw"] for row in found[:2]] == ["", ""]
    assert found[2]["fields"]["amount"] == "1,50"
    assert found[2]["fields"]["channel"] == 'say "web"'
    assert found[2]["fields"]["id"] == "18"
    assert found[2]["unknown"] == ["extra"]
    assert found[2]["absent"] == ["note", "lat", "tries", "present"]
    assert found[3]["fields"]["id"] == "17"


def test_broken_csv_lines_are_records(spark, shop, folder):
    expected = {
        "": "got '', expected a record, not a blank line",
        "1,2": "got '1,2', expected 12 comma-separated fields",
        LINE + ",9": f"got '{LINE},9', expected 12 comma-separated fields",
        LINE + '"': f"got '{LINE}\"', expected a closing quote",
        "\ufffd": "got '\ufffd', expected text in UTF-8",
    }
    lines = [line.encode() for line in [HEADER, *expected, LINE] if line != "\ufffd"]
    path = folder(a__csv=b"\r\n".join([*lines, b"\xff", HEADER.encode()]) + b"\r\n")
    found = rows(sources.read(spark, shop("csv"), path))
    assert {row["raw"]: row["corrupt"] for row in found} == expected | {LINE: None}
    assert all(row["fields"] is None for row in found if row["corrupt"])


def test_a_compressed_csv_with_a_byte_order_mark(spark, shop, folder):
    text = f"\ufeff{HEADER}\n{LINE}\n".encode()
    path = folder(a__csv__gz=gzip.compress(text), b__csv=text)
    assert [row["raw"] for row in rows(sources.read(spark, shop("csv"), path))] == [LINE, LINE]


def test_a_header_in_another_order_amid_a_csv_stops_the_run(spark, shop, folder):
    swapped = HEADER.replace("id,time,customer", "customer,time,id")
    path = folder(a__csv=f"{HEADER}\n{LINE}\n{swapped}\n{LINE}\n")
    with pytest.raises(DataError, match="as in the files read before"), files.readable():
        sources.read(spark, shop("csv"), path).collect()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a__csv": f"{HEADER.replace('amount', 'amounts')}\n"}, r"a\.csv.* expected amount too; did you mean amounts"),
        ({"a__csv": f"{HEADER},id\n"}, "with id twice"),
        ({"a__csv": "\n"}, "without a line, expected a CSV header"),
        ({}, "without a file in it, expected csv files"),
    ],
)  # fmt: skip
def test_what_is_no_csv_is_refused_before_it_is_read(spark, shop, folder, content, said):
    with pytest.raises(DataError, match=said):
        sources.read(spark, shop("csv"), folder(**content))


def test_json_numbers_keep_their_digits(spark, shop, folder):
    line = (
        '{"id": 9223372036854775807, "amount": 1234567890123456.78, "lat": 0.30000000000000004, '
        '"note": 12345678901234567890.123456789012345678, "fraud": true, "tries": null, '
        '"channel": "we\\"b", "customer": [1, 2], "new": 1, "kind": 2}'
    )
    row = only(sources.read(spark, shop(), folder(a__json=line)))
    assert row["raw"] == line
    wanted = json.loads(line, parse_float=str, parse_int=str)
    for name in ("id", "amount", "lat", "note", "channel", "tries"):
        assert row["fields"][name] == wanted[name]
    assert row["fields"]["fraud"] == "true"
    assert row["fields"]["customer"] == "[1,2]"
    assert row["unknown"] == ["new"]
    assert sorted(row["absent"]) == ["known", "present", "time"]


def test_what_is_not_one_json_object_is_broken(spark, shop, folder):
    good = json.dumps(FIELDS)
    broken = [
        good[:-1], f"{good} {good}", f"{good},{good}", f"{good}}}x{{", f"[{good}]", "5", "null",
        '"text"', good.replace('"', "'"), '{"id": 01}', '{"id": +1}',
    ]  # fmt: skip
    expected = dict.fromkeys(broken, "expected one JSON object")
    expected["  "] = "expected a record, not a blank line"
    expected['{"id": 1, "id": 2}'] = "expected one JSON object with each field once"
    path = folder(a__json="\n".join([good, *expected]) + "\n")
    found = rows(sources.read(spark, shop(), path))
    said = {row["raw"]: row["corrupt"] and row["corrupt"].rpartition("', ")[2] for row in found}
    assert said == expected | {good: None}


def test_parquet_types_become_text_without_loss(spark, shop, tmp_path):
    moment = datetime(2018, 4, 1, 0, 0, 31, 5)
    table = pa.table(
        {
            "id": [9223372036854775807],
            "time": pa.array([moment], pa.timestamp("us")),
            "customer": pa.array([596.0]),
            "amount": pa.array([Decimal("57.16")], pa.decimal128(20, 6)),
            "channel": ["web"],
            "lat": pa.array([48.1], pa.float32()),
            "fraud": [True],
            "known": pa.array([moment.replace(tzinfo=UTC)], pa.timestamp("us", "UTC")),
            "of.late": [1],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    dataset = shop("parquet")
    records = sources.read(spark, dataset, str(tmp_path))
    row = only(records)
    assert json.loads(row["raw"])["of.late"] == 1
    assert row["unknown"] == ["of.late"]
    checked = only(checks.check(records, dataset))
    assert checked["reasons"] == []
    assert checked["tx_id"] == 9223372036854775807
    assert checked["customer_id"] == 596
    assert checked["amount"] == Decimal("57.16")
    assert checked["latitude"] == 48.1
    # The event is in the data set's zone, Paris; the other instant says that it is in UTC.
    assert checked["event_time"].astimezone(UTC).replace(tzinfo=None) == datetime(
        2018, 3, 31, 22, 0, 31, 5
    )
    assert checked["known_at"].astimezone(UTC).replace(tzinfo=None) == moment


def test_files_that_cannot_be_read_are_named(spark, shop, tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet at all")
    with pytest.raises(DataError, match=r"a\.parquet"), files.readable():
        sources.read(spark, shop("parquet"), str(tmp_path)).count()
    with pytest.raises(DataError, match="nowhere"), files.readable():
        sources.read(spark, shop(), str(tmp_path / "nowhere"))
    with pytest.raises(TypeError), files.readable():
        raise TypeError


def test_parquet_without_a_needed_column_names_what_is_there(spark, shop, tmp_path):
    pq.write_table(pa.table({"id": [1], "amout": [1.0]}), tmp_path / "a.parquet")
    with pytest.raises(
        DataError, match=r"got id, amout .*expected time, customer, amount, channel too"
    ):
        sources.read(spark, shop("parquet"), str(tmp_path))


def test_folders_are_read_with_all_below_and_patterns_too(spark, shop, tmp_path):
    for day in ("01", "02"):
        (tmp_path / "raw" / f"day={day}").mkdir(parents=True)
        (tmp_path / "raw" / f"day={day}" / "a.json").write_text(
            json.dumps(FIELDS | {"id": day}) + "\n"
        )
    (tmp_path / "raw" / "_SUCCESS").write_text("")
    assert sources.read(spark, shop(), str(tmp_path / "raw")).count() == 2
    assert sources.read(spark, shop(), str(tmp_path / "raw" / "day=01")).count() == 1
    assert sources.read(spark, shop(), str(tmp_path / "raw" / "*" / "*.json")).count() == 2
    assert [size > 0 for _, size in files.listing(spark, str(tmp_path / "raw"))] == [True, True]


def delta(spark, path, rows, schema):
    spark.createDataFrame(rows, schema).write.format("delta").mode("append").save(path)
    return path


def test_delta_tables_of_raw_fields_and_of_transactions(spark, shop, tmp_path):
    raw = delta(
        spark, str(tmp_path / "raw"), [("17", "2018-04-01T00:00:31Z", "596", "57.16", "web", "1")],
        "id string, time string, customer string, amount string, channel string, fraud string",
    )  # fmt: skip
    moment = datetime(2018, 4, 1, 0, 0, 31, tzinfo=UTC)
    typed = delta(
        spark, str(tmp_path / "typed"),
        [(17, moment, 596, Decimal("57.16"), "web", None, None, None, None, "elsewhere")],
        "tx_id bigint, event_time timestamp, customer_id bigint, amount decimal(18,2), "
        "channel string, note string, latitude double, tries int, present boolean, source_file string",
    )  # fmt: skip
    dataset, found = shop(), {}
    for path in (raw, typed):
        records = sources.read(spark, dataset, path)
        assert only(records)["source_file"] == path
        assert only(records)["unknown"] == []
        found[path] = only(checks.check(records, dataset))
        assert found[path]["reasons"] == []
    for name in dataset.columns:
        assert found[raw][name] == found[typed][name]
    assert (found[raw]["is_fraud"], found[typed]["is_fraud"]) == (True, None)
    assert only(sources.read(spark, dataset, typed))["absent"] == ["fraud", "known"]
    assert files.listing(spark, raw) == [(raw, 0)]


def streamed(spark, frame, folder):
    query = (
        frame.writeStream.format("parquet")
        .option("checkpointLocation", f"{folder}/checkpoint")
        .trigger(availableNow=True)
        .start(f"{folder}/out")
    )
    query.awaitTermination()
    return spark.read.parquet(f"{folder}/out")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "delta"])
def test_a_stream_gives_the_records_of_a_batch(spark, shop, folder, tmp_path, kind):
    if kind == "csv":
        path = folder(a__csv=f"{HEADER}\n{LINE}\nbroken\n", b__csv=f"{HEADER}\n\n")
    elif kind == "jsonl":
        path = folder(a__json=json.dumps(FIELDS) + "\nbroken\n", b__json="{}\n")
    elif kind == "parquet":
        path = folder()
        pq.write_table(
            pa.table({n: [v] for n, v in (FIELDS | {"channel": "web"}).items()}), f"{path}/a"
        )
    else:
        columns = FIELDS | {"channel": "web"}
        path = delta(
            spark, str(tmp_path / "table"), [tuple(columns.values())],
            ", ".join(f"{name} string" for name in columns),
        )  # fmt: skip
    dataset = shop("parquet" if kind == "delta" else kind)
    stream = sources.read_stream(spark, dataset, path, 1)
    assert stream.isStreaming
    assert rows(streamed(spark, stream, tmp_path)) == rows(sources.read(spark, dataset, path))


def test_a_csv_stream_stops_at_another_header(spark, shop, folder, tmp_path):
    from pyspark.errors import StreamingQueryException

    path = folder(a__csv=f"{HEADER}\n{LINE}\n")
    stream = sources.read_stream(spark, shop("csv"), path, 1)
    folder(b__csv=f"{HEADER.replace('id,time,customer', 'customer,time,id')}\n{LINE}\n")
    with pytest.raises(StreamingQueryException, match="expected the header"):
        streamed(spark, stream, tmp_path)
    with pytest.raises(DataError, match="2 headers"):
        sources.read_stream(spark, shop("csv"), path, 1)


def test_a_delta_source_of_which_rows_were_deleted(spark, shop, tmp_path):
    """It ends the stream in words; passed over, what came before and after is read once."""
    columns = FIELDS | {"channel": "web"}
    path, schema = str(tmp_path / "table"), ", ".join(f"{name} string" for name in columns)

    def add():
        delta(spark, path, [tuple(columns.values())], schema)

    add()
    add()
    first = sources.read_stream(spark, shop("parquet"), path, 1)
    assert streamed(spark, first, tmp_path).count() == 2
    DeltaTable.forPath(spark, path).delete("id IS NOT NULL")
    add()
    stopping = sources.read_stream(spark, shop("parquet"), path, 1)
    changed = "of which version 2 changes or deletes rows"
    with pytest.raises(DataError, match=changed), files.readable():
        streamed(spark, stopping, tmp_path)
    skipping = sources.read_stream(spark, shop("parquet"), path, 1, skip_changes=True)
    assert streamed(spark, skipping, tmp_path).count() == 3
