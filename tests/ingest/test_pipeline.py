"""Records in = new transactions + duplicates + quarantine, in any format, run once or twice."""

import csv
import io
import json
import re
from collections import Counter
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import functions as F
from tests.ingest.conftest import SHOP

from fraudlake import job
from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError, DataError
from fraudlake.features.kernels import xxhash
from fraudlake.feeds import LARGEST_ID
from fraudlake.ingest import checks, ingest, pipeline, sources
from fraudlake.ingest.values import reading
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS, METRICS, QUARANTINE, TRANSACTIONS

CARD = "4111 1111 1111 1111"
# ruff: noqa: E501
COLUMNS = ["id", "time", "customer", "amount", "channel", "note", "lat", "tries", "present", "fraud", "known"]  # fmt: skip
MONEY, TIME = "decimal(18,2)", "timestamp such as 2018-04-01T12:30:00+02:00"
SIGNED = "(`signed: true` on the column, if refunds are negative)"
BOOLEAN = "boolean (0, 1, true or false)"
# One faulty value each: field, value, what is said of it.
FAULTS = [
    ("id", None, "tx_id: missing, expected bigint"),
    ("id", "A17", "tx_id: got 'A17', expected bigint"),
    ("id", "1" * 25, f"tx_id: got '{'1' * 25}', expected bigint, at most {2**63 - 1} in size"),
    ("id", "-4", "tx_id: got '-4', expected at least 0"),
    ("time", None, f"event_time: missing, expected {TIME}"),
    ("time", "2018-02-30 10:00:00", f"event_time: got '2018-02-30 10:00:00', expected {TIME}"),
    ("time", "04/01/2018", f"event_time: got '04/01/2018', expected {TIME}"),
    ("time", "1970-01-01", "event_time: got '1970-01-01', expected a time from 2000-01-01 on"),
    (
        "time",
        "2999-01-01",
        "event_time: got '2999-01-01', expected a time no later than a day from now",
    ),
    ("customer", "x", "customer_id: got 'x', expected bigint"),
    ("amount", None, f"amount: missing, expected {MONEY}"),
    ("amount", "12,50", f"amount: got '12,50', expected {MONEY}"),
    ("amount", "1.999", f"amount: got '1.999', expected {MONEY}, at most 2 decimals"),
    ("amount", "-1", f"amount: got '-1', expected at least 0 {SIGNED}"),
    ("amount", "NaN", f"amount: got 'NaN', expected {MONEY}, a finite number"),
    ("amount", "1e40", f"amount: got '1e40', expected {MONEY}, at most 9999999999999999.99 in size"),
    ("channel", "fax", "channel: got 'fax', expected one of web, shop"),
    ("lat", "90.01", "latitude: got '90.01', expected at most 90"),
    ("lat", "Infinity", "latitude: got 'Infinity', expected double, a finite number"),
    ("tries", "3000000000", "tries: got '3000000000', expected int, at most 2147483647 in size"),
    ("present", "perhaps", f"present: got 'perhaps', expected {BOOLEAN}"),
    ("fraud", "2", f"is_fraud: got '2', expected {BOOLEAN}"),
    ("known", "2001-01-01", "known_at: got '2001-01-01', expected a time not before event_time"),
    ("note", CARD, "note: got 'a card number', expected no card number (`token: true` on the column, if these are numbers of your own)"),
]  # fmt: skip
LINES = {
    "csv": [
        ("1,2,ref {}", "record: expected 11 comma-separated fields"),
        ("1,2,3,4,5,6,7,8,9,10,11,ref {}", "record: expected 11 comma-separated fields"),
        ('1,"ref {},3,4,5,6,7,8,9,10,11', "record: expected a closing quote"),
        ("", "record: expected a record, not a blank line"),
        ("\udcff ref {}", "record: expected text in UTF-8"),
    ],
    "jsonl": [
        ('{{"note": "ref {}"', "record: expected one JSON object"),
        ('{{"note": "ref {}"}} {{}}', "record: expected one JSON object"),
        ('["ref {}"]', "record: expected one JSON object"),
        ('{{"note": "ref {}", "note": 1}}', "record: expected one JSON object with each field once"),
        ("  ", "record: expected a record, not a blank line"),
        ("\udcff ref {}", "record: expected text in UTF-8"),
    ],
    "parquet": [],
}  # fmt: skip


def good(number, **changes):
    record = {
        "id": str(number),
        "time": f"2018-04-{number % 28 + 1:02}T{number % 24:02}:00:31.{number % 1000:03}",
        "customer": str(number % 97),
        "amount": f"{number % 500}.{number % 100:02}",
        "channel": "web" if number % 2 else "shop",
        "note": f"ref {number}",
        "lat": None if number % 3 else "48.1",
        "tries": "1",
        "present": "false",
        "fraud": None if number % 10 == 0 else str(int(number % 50 == 7)),
        "known": "2018-06-01T00:00:00Z" if number % 4 == 0 else None,
    }
    return record | changes


def line(record, kind):
    """A record as a line of its format; JSON numbers are bare."""
    if kind == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="").writerow(
            ["" if v is None else v for v in record.values()]
        )
        return out.getvalue()
    bare = {k: float(v) if k in ("amount", "lat") and re.fullmatch(r"[\d.]+", v) else v
            for k, v in record.items() if v is not None}  # fmt: skip
    return json.dumps(bare)


def write(path, kind, records):
    """Records (dictionaries, or lines as they are) as a file; half the CSV files turn their columns."""
    if kind == "parquet":
        return pq.write_table(
            pa.Table.from_pylist(records, pa.schema([(c, pa.string()) for c in COLUMNS])), path
        )
    names = COLUMNS[::-1] if path.stem.endswith("1") else COLUMNS
    lines = [r if isinstance(r, str) else line({n: r[n] for n in names}, kind) for r in records]
    if kind == "csv":
        lines.insert(0, ",".join(names))
    return path.write_bytes(("\n".join(lines) + "\n").encode(errors="surrogateescape"))


def broken(kind, count):
    """Broken records, evenly in every way, and what is said of each: (reference, reasons)."""
    ways = [*FAULTS, *LINES[kind], "two", "conflict"]
    records, said = [], []
    for number in range(count):
        way, ref = ways[number % len(ways)], 20_000 + number
        if way == "two":
            records.append(good(ref, amount="x", fraud="?", note=f"ref {ref}"))
            reasons = (
                f"amount: got 'x', expected {MONEY}",
                f"is_fraud: got '?', expected {BOOLEAN}",
            )
        elif way == "conflict":
            records.append(good(number, amount="77.70", note=f"ref {ref}", channel="web"))
            differing = "amount, note" if number % 2 else "amount, channel, note"
            reasons = (f"tx_id: {number} stands already with other content ({differing})",)
        elif len(way) == 2:
            records.append(way[0].format(ref))
            reasons = (way[1],)
            ref = "" if way[0].isspace() or not way[0] else ref
        else:
            field, value, reason = way
            note = f"{value} ref {ref}" if field == "note" else f"ref {ref}"
            records.append(
                good(
                    ref, **{"known": None, "note": note, field: note if field == "note" else value}
                )
            )
            reasons = (reason,)
        said.append((str(ref), reasons))
    return records, said


@pytest.fixture
def described(tmp_path, shop):
    """Path of the data set's YAML in a format."""

    def written(kind, **changes):
        path = tmp_path / f"shop_{kind}.yaml"
        path.write_text(
            yaml.safe_dump(shop(kind, **changes).model_dump(mode="json", exclude={"name"}))
        )
        return str(path)

    return written


def tables(lake, *but):
    """All rows of all tables, without the columns named."""
    found = {}
    for table in (TRANSACTIONS, LABELS, QUARANTINE, METRICS):
        if lake.exists(table) and table.name not in but:
            frame = lake.read(table).drop(*but)
            found[table.name] = sorted(map(repr, frame.collect()))
    return found


def versions(lake):
    return [lake.version(table) for table in (TRANSACTIONS, LABELS, QUARANTINE, METRICS)]


def strings_of(root):
    """Every text in the lake's files: values of Parquet columns, and the log."""
    for path in root.rglob("*.parquet"):
        yield str(pq.read_table(path, partitioning=None).to_pydict())
    for path in root.rglob("*.json"):
        yield path.read_text()


@pytest.mark.parametrize(
    "kind",
    ["jsonl", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("csv", "parquet"))],
)
def test_ten_thousand_records_of_which_two_thousand_are_broken(spark, tmp_path, described, kind):
    raw = tmp_path / "raw"
    raw.mkdir()
    bad, said = broken(kind, 2000)
    fine = [good(n) for n in range(7900)]
    write(raw / "part0", kind, fine[:5000])
    write(
        raw / "part1",
        kind,
        [r for pair in zip(fine[5000:], bad[:1500], strict=False) for r in pair],
    )
    write(raw / "part2", kind, [*fine[6500:], *fine[:100], *bad[1500:]])
    arguments = {"lake": str(tmp_path / "lake"), "dataset": described(kind), "input": str(raw)}

    result = job.call("ingest", spark, **arguments)
    labelled = sum(r["fraud"] is not None for r in fine)
    counts = {
        "records": 10_000,
        "transactions": 7900,
        "duplicates": 100,
        "quarantine": 2000,
        "labels": labelled,
    }
    assert {name: result[name] for name in counts} == counts
    assert result["unknown_fields"] == []
    assert sum(result["reasons"].values()) == sum(len(reasons) for _, reasons in said)
    assert len(result["reasons"]) >= 24

    lake = Lake(spark, arguments["lake"])
    rejected = lake.read(QUARANTINE).collect()
    assert len({row["record_id"] for row in rejected}) == 2000
    quoted = re.compile(r"(?s)^(record:) got '.*',(?= expected)")
    found = [
        (
            ("".join(re.findall(r"ref (\d+)", row["raw"]))),
            tuple(quoted.sub(r"\1", r) for r in row["reasons"]),
        )
        for row in rejected
    ]
    assert Counter(found) == Counter(said)
    assert {re.sub(r".*/", "", row["source_file"]) for row in rejected} == {"part1", "part2"}

    stored = {row["tx_id"]: row for row in lake.read(TRANSACTIONS).collect()}
    assert set(stored) == set(range(7900))
    assert sum(row["amount"] for row in stored.values()) == sum(Decimal(r["amount"]) for r in fine)
    assert {stored[n]["note"] for n in range(100)} == {f"ref {n}" for n in range(100)}
    assert lake.read(LABELS).where("is_fraud").count() == sum(r["fraud"] == "1" for r in fine)
    assert not [
        text
        for text in strings_of(tmp_path / "lake")
        if re.search("4111[ -]?1111[ -]?1111[ -]?1111", text)
    ]

    before, stood = tables(lake), versions(lake)
    again = job.call("ingest", spark, **arguments)
    counts |= {"transactions": 0, "duplicates": 8000, "labels": 0}
    assert {name: again[name] for name in counts} == counts
    assert again["reasons"] == result["reasons"]
    assert tables(lake) == before
    assert versions(lake) == stood


def records_of(spark, dataset, path, records):
    path.parent.mkdir(exist_ok=True)
    write(path, "jsonl", records)
    return sources.read(spark, dataset, str(path.parent))


def test_which_record_stands_does_not_depend_on_partitions(spark, lake, shop, tmp_path):
    records = [good(n % 50, amount=str(n % 4), fraud=[None, "0", "1"][n % 3]) for n in range(300)]
    raw = records_of(spark, shop(), tmp_path / "raw" / "a", records)
    outcomes = []
    for parts in (1, 5):
        checked = checks.check(raw.repartition(parts), shop())
        rows = pipeline.classify(lake, checked, shop(), {}).collect()
        assert Counter(row["_status"] for row in rows)["new"] == 50
        outcomes.append(Counter(map(repr, rows)))
    assert outcomes[0] == outcomes[1]


@pytest.fixture
def feed(lake, tmp_path, shop):
    """Ingests records as JSON lines; the counts, and why records were rejected."""

    def fed(folder, *records, **changes):
        path = tmp_path / folder
        path.mkdir()
        write(path / "a", "jsonl", list(records))
        result = ingest(lake, shop(**changes), str(path))
        return [result[n] for n in ("transactions", "duplicates", "quarantine", "labels")], [
            *result["reasons"]
        ]

    return fed


def test_the_same_transaction_again_and_again(lake, feed):
    first = good(1, fraud=None, known=None)
    assert feed("one", first, first) == ([1, 1, 0, 0], [])
    # The label comes later, then two statements more, and other content.
    assert feed("two", first | {"fraud": "0"}) == ([0, 1, 0, 1], [])
    more = [
        first,
        first | {"fraud": "0"},
        first | {"fraud": "1"},
        first | {"fraud": "0", "known": "2018-05-05"},
        first | {"customer": "5"},
    ]
    stands = ["tx_id: stands already with other content (customer_id)"]
    assert feed("three", *more) == ([0, 4, 1, 2], stands)
    assert feed("four", *more) == ([0, 4, 1, 0], stands)
    said = lake.read(LABELS).sort("known_at").select("is_fraud").collect()
    assert [row[0] for row in said] == [False, False, True]
    assert lake.read(QUARANTINE).count() == 2
    assert lake.properties(TRANSACTIONS)["dataset"] == "shop"


def test_labels_that_contradict(lake, feed):
    """At one time, or in one file without a time; in a later file it is a correction."""
    known = {"fraud": "0", "known": "2018-05-05"}
    contrary = ["tx_id: stands already with other content (is_fraud)"]
    assert feed("one", good(1, **known), good(1, **known | {"fraud": "1"})) == (
        [1, 0, 1, 1],
        contrary,
    )
    unsaid = {"fraud": "0", "known": None}
    assert feed("two", good(2, **unsaid), good(2, **unsaid | {"fraud": "1"})) == (
        [1, 0, 1, 1],
        contrary,
    )
    assert feed("three", good(2, **unsaid | {"fraud": "1"})) == ([0, 1, 0, 1], [])
    assert (
        lake.read(LABELS).where("tx_id = 2 AND is_fraud AND known_at > '2026-01-01'").count() == 1
    )


@pytest.fixture
def changed(lake, tmp_path, shop):
    """Ingests records of a data set whose `changed` says which of several is the newest."""

    def fed(folder, *records):
        (tmp_path / folder).mkdir()
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / folder / "a").write_text(lines)
        when = {"source": "changed", "type": "timestamp"}
        dataset = shop(columns=SHOP["columns"] | {"changed": when}, version="changed")
        found = ingest(lake, dataset, str(tmp_path / folder))
        names = ("transactions", "updates", "overtaken", "duplicates", "quarantine", "labels")
        return [found[name] for name in names]

    return fed


def test_the_newest_version_stands(lake, changed):
    one, two, three = (
        good(1, amount=amount, changed=f"2018-05-0{day}", fraud=None)
        for amount, day in (("10", 1), ("11", 2), ("12.50", 3))
    )

    def stands():
        return {row["tx_id"]: row["amount"] for row in lake.read(TRANSACTIONS).collect()}

    assert changed("first", one, one) == [1, 0, 0, 1, 0, 0]
    assert changed("second", three, two) == [0, 1, 1, 0, 0, 0]
    assert stands() == {1: Decimal("12.50")}
    version = lake.version(TRANSACTIONS)
    assert changed("again", three, two, one, three | {"amount": "9"}) == [0, 0, 2, 1, 1, 0]
    assert lake.version(TRANSACTIONS) == version
    # Two versions at once, of which the newer brings another label.
    labelled = [r | {"id": "2", "known": None, "fraud": f} for r, f in ((one, "0"), (two, "1"))]
    assert changed("both", *labelled) == [1, 0, 1, 0, 0, 2]
    assert changed("both again", *labelled) == [0, 0, 1, 1, 0, 0]
    assert stands() == {1: Decimal("12.50"), 2: 11}
    said = lake.read(LABELS).sort("known_at").collect()
    assert [(row["tx_id"], row["is_fraud"]) for row in said] == [(2, False), (2, True)]
    (quarantined,) = lake.read(QUARANTINE).collect()
    assert quarantined["reasons"] == ["tx_id: 1 stands already with other content (amount)"]


def test_versions_that_are_words_come_in_the_order_of_their_values(lake, feed):
    status = {"source": "channel", "type": "string", "values": ["it's \\new", "{late}", "a"]}
    changes = {"columns": SHOP["columns"] | {"channel": status}, "version": "channel"}
    late, new, last = (good(1, channel=word, fraud=None) for word in ("{late}", "it's \\new", "a"))
    assert feed("one", late, new, **changes)[0] == [1, 0, 0, 0]
    assert feed("two", last, new, **changes)[0] == [0, 0, 0, 0]
    assert [row["channel"] for row in lake.read(TRANSACTIONS).collect()] == ["a"]


def test_conflicts_follow_the_text_and_take_no_label_and_a_new_delay_makes_none(lake, feed):
    delay = {"source": "fraud", "delay": "3d"}
    known = {"fraud": "1", "known": None}
    within = [good(1, amount="2", **known), good(1, amount="1", **known)]
    unlabelled = good(2, fraud=None)
    labelled = good(3, fraud="1")
    counts, reasons = feed("one", *within, unlabelled, labelled, label=delay)
    conflict = "tx_id: stands already with other content (amount)"
    assert (counts, reasons) == ([3, 0, 1, 2], [conflict])
    amounts = {row["tx_id"]: row["amount"] for row in lake.read(TRANSACTIONS).collect()}
    assert amounts[1] == 1
    # Another record's label is not that of the transaction; a label's computed time is no content.
    counts, reasons = feed(
        "two", unlabelled | {"amount": "3", "fraud": "1"}, labelled, label=delay | {"delay": "9d"}
    )
    assert (counts, reasons) == ([0, 1, 1, 0], [conflict])
    assert {row["tx_id"] for row in lake.read(LABELS).collect()} == {1, 3}


def test_a_lake_holds_one_data_set(lake, feed):
    lake.create(TRANSACTIONS, properties={"dataset": "other"})
    with pytest.raises(DataError, match="dataset: got shop, expected other"):
        feed("one", good(8, fraud="1"))


def test_a_run_cut_off_between_two_writes_is_completed_by_the_next(
    spark, tmp_path, shop, monkeypatch
):
    records = [good(n) for n in range(40)] + [good(n, amount="x") for n in range(40, 50)]
    write(tmp_path / "raw", "jsonl", [*records, good(3, amount="9.99"), good(4)])
    dataset, path = shop(), str(tmp_path / "raw")
    whole, cut = Lake(spark, str(tmp_path / "whole")), Lake(spark, str(tmp_path / "cut"))
    ingest(whole, dataset, path)

    insert = Lake.insert_missing
    for table in (LABELS, QUARANTINE):

        def die(self, target, rows, last=table, **looked):
            if target is last:
                raise KeyboardInterrupt
            return insert(self, target, rows, **looked)

        with monkeypatch.context() as patched:
            patched.setattr(Lake, "insert_missing", die)
            with pytest.raises(KeyboardInterrupt):
                ingest(cut, dataset, path)
        assert cut.read(table).count() == 0
    result = ingest(cut, dataset, path)
    assert (result["transactions"], result["duplicates"], result["quarantine"]) == (0, 41, 11)
    times = ("ingested_at", "quarantined_at")
    assert tables(cut, *times) == tables(whole, *times)


def test_counts_that_do_not_add_up_are_an_error(lake, feed, monkeypatch):
    monkeypatch.setattr(Lake, "insert_missing", lambda *_, **__: 1)
    with pytest.raises(
        DataError, match="got 2 records in and 1 transactions, 0 duplicates, 0 quarantine out"
    ):
        feed("one", good(1), good(2))


def test_a_field_that_no_record_has_is_refused_before_anything_is_written(lake, feed):
    lacking = [{k: v for k, v in good(n, fraud="1").items() if k != "amount"} for n in (1, 2)]
    lines = [json.dumps(record | {"amout": 1}) for record in lacking]
    with pytest.raises(DataError, match=r"no record with amount.*\(there are others: amout\)"):
        feed("one", *lines, "", "broken")
    assert not lake.exists(TRANSACTIONS)
    counts, reasons = feed("two", json.dumps(lacking[0]), good(3))
    assert (counts[:3], reasons) == ([1, 0, 1], [f"amount: missing, expected {MONEY}"])


def test_refunds_are_taken_where_the_data_set_has_them(lake, feed, shop):
    """By a lake of before too; and not any more where the data set takes its word back."""
    refund = good(2, amount="-12.50")
    counts, reasons = feed("one", good(1), refund)
    assert (counts[:3], reasons) == ([1, 0, 1], [f"amount: expected at least 0 {SIGNED}"])
    columns = shop().model_dump()["columns"]
    signed = columns | {"amount": columns["amount"] | {"signed": True}}
    counts, _ = feed("two", refund, refund, columns=signed)
    assert counts[:3] == [1, 1, 0]
    assert str(lake.read(TRANSACTIONS).where("tx_id = 2").collect()[0]["amount"]) == "-12.50"
    with pytest.raises(DataError, match=r"expected \(amount >= 0\) in every row"):
        feed("three", good(4))


def test_a_run_that_takes_no_record_fails_and_says_why(spark, lake, tmp_path, described):
    path = tmp_path / "in.jsonl"
    path.write_text("".join(line(good(n, time="01.02.2018"), "jsonl") + "\n" for n in range(2)))
    arguments = {"lake": lake.root, "dataset": described("jsonl"), "input": path}
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            job.call("ingest", spark, **arguments)
        assert str(caught.value) == (
            "input: got 2 records and took none, expected to take some; all are in quarantine, 2 "
            f"for event_time: expected {TIME}: correct the data set's YAML or the input"
        )
        assert lake.read(QUARANTINE).count() == 2
    assert lake.read(METRICS).where("name = 'quarantine'").count() == 1
    path.write_text(path.read_text() + line(good(3), "jsonl") + "\n")
    assert job.call("ingest", spark, **arguments)["transactions"] == 1


def test_unknown_and_absent_fields_are_told_and_ignored_ones_are_not(lake, tmp_path, shop):
    record = json.dumps(good(4, fraud="1") | {"kind": 1, "color": "red", "4111111111111111": 1})
    plain = json.dumps({k: v for k, v in good(8).items() if k not in ("lat", "known")})
    write(tmp_path / "raw", "jsonl", [record, plain, "broken"])
    result = ingest(lake, shop(), str(tmp_path / "raw"))
    assert sorted(result["unknown_fields"]) == ["411111******1111", "color"]
    assert result["absent_fields"] == []
    write(tmp_path / "more", "jsonl", [plain, "broken"])
    result = ingest(lake, shop(), str(tmp_path / "more"))
    assert (result["unknown_fields"], result["absent_fields"]) == ([], ["known", "lat"])


@pytest.mark.slow
def test_a_month_of_the_handbook(spark, lake, handbook):
    result = job.call(
        "ingest", spark, lake=lake.root, dataset="handbook", input=handbook / "2018-04.parquet"
    )
    raw = pq.read_table(handbook / "2018-04.parquet")
    assert result["records"] == result["transactions"] == result["labels"] == raw.num_rows
    assert (result["duplicates"], result["quarantine"], result["reasons"]) == (0, 0, {})
    assert (result["unknown_fields"], result["absent_fields"]) == ([], [])
    stored = lake.read(TRANSACTIONS)
    assert list(stored.schema.fieldNames()[:2]) == ["tx_id", "event_time"]
    cents = sum(round(amount * 100) for amount in raw["TX_AMOUNT"].to_pylist())
    total, customers, first = stored.selectExpr(
        "sum(amount)", "sum(customer_id)", "min(struct(event_time, tx_id))"
    ).first()
    assert total == Decimal(cents) / 100
    assert customers == sum(raw["CUSTOMER_ID"].to_pylist())
    assert first["event_time"].isoformat() == "2018-04-01T00:00:31"
    labels = lake.read(LABELS).join(stored, "tx_id")
    assert labels.where("known_at = event_time + INTERVAL 7 DAYS").count() == raw.num_rows
    assert labels.where("is_fraud").count() == sum(raw["TX_FRAUD"].to_pylist())
    assert load_dataset("handbook").card == "customer_id"


TEXT_IDS = {"columns": SHOP["columns"] | {"tx_id": {"source": "id", "type": "string"}}}


def test_ids_that_are_text(spark, lake, feed, shop, monkeypatch, tmp_path):
    # Digits of the first pass as a card's number.
    ids = ["41111111-1111-1111-b44f-3164fffdcaf1", "ch_1Né", "T-000123", "7"]
    records = [good(n, id=text) for n, text in enumerate(ids)]
    assert feed("one", *records, records[0], **TEXT_IDS)[0][:3] == [4, 1, 0]
    found = {row["tx_ref"]: row["tx_id"] for row in lake.read(TRANSACTIONS).collect()}
    hashes = xxhash.of_texts([text.encode() for text in ids]) & LARGEST_ID
    assert found == dict(zip(ids, hashes.tolist(), strict=True))
    counts, reasons = feed("two", *records, good(9, id=ids[0]), good(4, id=None), **TEXT_IDS)
    assert counts[:3] == [0, 4, 2]
    differing = "event_time, customer_id, amount, channel, note"
    stands = f"tx_id: stands already with other content ({differing})"
    assert sorted(reasons) == ["tx_id: missing, expected string", stands]
    # Two texts with one number, in one run and then against the table.
    monkeypatch.setattr(reading, "numbered", lambda _: F.lit(5).cast("bigint"))
    for folder, new in (("three", 1), ("four", 0)):
        counts, reasons = feed(folder, good(8, id="a"), good(8, id="b"), **TEXT_IDS)
        assert counts[:3] == [new, 1 - new, 1]
        assert reasons == ["tx_id: expected a text with one of its own"]
    assert lake.read(TRANSACTIONS).where("tx_id = 5").first()["tx_ref"] == "a"
    said = {
        row["reasons"][0] for row in lake.read(QUARANTINE).where("raw LIKE '%\"b\"%'").collect()
    }
    assert said == {"tx_id: got 'b' with the number of 'a', expected a text with one of its own"}
    # A table of columns is read back as it is: the number is not taken for the text.
    monkeypatch.undo()
    other = Lake(spark, str(tmp_path / "other"))
    ingest(other, shop(**TEXT_IDS), lake.path(TRANSACTIONS))
    again = {row["tx_ref"]: row["tx_id"] for row in other.read(TRANSACTIONS).collect()}
    assert again.keys() == {*ids, "a"}
    assert again.items() >= found.items()


@pytest.mark.parametrize(
    ("repeats", "ids"),
    [
        ({}, ["1.01 7"]),
        ({"repeats": "in_file"}, ["1.01 7", "1.01 7 #2", "1.01 7 #3"]),
        (
            {"repeats": "everywhere"},
            ["1.01 7 A", "1.01 7 A #2", "1.01 7 A #3", "1.01 7 B", "1.01 7 B #2"],
        ),
    ],
)
def test_ids_made_of_what_records_hold(lake, shop, tmp_path, repeats, ids):
    made = {"source": ["amount", "customer"], "type": "string", "token": True, **repeats}
    dataset = shop(columns=SHOP["columns"] | {"tx_id": made})
    raw = tmp_path / "raw"
    raw.mkdir()
    record = good(1, amount="1.01", customer="7")
    write(raw / "a", "jsonl", [record] * 3)
    write(raw / "b", "jsonl", [record] * 2)
    counts = [ingest(lake, dataset, str(raw)) for _ in range(2)]
    assert [c["transactions"] for c in counts] == [len(ids), 0]
    assert [c["duplicates"] for c in counts] == [5 - len(ids), 5]
    rows = lake.read(TRANSACTIONS).select("tx_ref", "source_file").collect()
    files = {row["source_file"] for row in rows}
    named = {f: re.sub(".*/", "", f).upper() for f in files}
    found = [row["tx_ref"].replace(row["source_file"], named[row["source_file"]]) for row in rows]
    assert sorted(found) == ids


def test_events_without_amounts(lake, feed):
    """Theirs is null, and no rule of payments is on the table."""
    columns = {name: how for name, how in SHOP["columns"].items() if name != "amount"}
    counts, _ = feed("log-ins", good(1), good(2), good(3, tries="x"), columns=columns)
    assert counts == [2, 0, 1, 2]
    rows = lake.read(TRANSACTIONS).select("tx_id", "tries", "amount").collect()
    assert sorted(map(tuple, rows)) == [(1, 1, None), (2, 1, None)]


def test_a_hashed_card_is_nowhere(lake, feed, monkeypatch, tmp_path):
    """Neither one that looks like a card's number nor one that does not."""
    column = {"source": "customer", "type": "string", "hash": True, "nulls": ["none"]}
    changes = {
        "columns": SHOP["columns"] | {"customer_id": column},
        "secret": {"env": "CARD_KEY"},
    }
    with pytest.raises(ConfigError, match="got 0 bytes from the environment variable CARD_KEY"):
        feed("none", good(1), **changes)
    monkeypatch.setenv("CARD_KEY", "sixteen bytes ok")
    numbers = ["4111111111111111", "77120003", "none", "77120003"]
    records = [good(n, customer=text) for n, text in enumerate(numbers)]
    broken = [good(n + 10, customer=text, amount="x") for n, text in enumerate(numbers)]
    other = good(0, customer="77120008")  # its hash comes after
    assert feed("one", *records, *broken, records[1], other, **changes)[0][:3] == [3, 1, 6]
    cards = [row["customer_id"] for row in lake.read(TRANSACTIONS).orderBy("tx_id").collect()]
    assert cards[0] == "dbd984b54ae8c99c4be0a7a469d8c68a"
    assert cards[1] == cards[2] != cards[0]
    texts = list(strings_of(tmp_path / "lake"))
    assert any(cards[1] in text for text in texts)
    assert not [t for t in texts if re.search("4111111111111111|77120003|77120008", t)]
