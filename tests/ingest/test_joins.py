"""Two files whose records are joined by a key: no payment is lost or doubled by it."""

import csv

import pytest
from tests.ingest.conftest import SHOP

from fraudlake.datasets import Dataset
from fraudlake.errors import DataError
from fraudlake.ingest import checks, counts, ingest, sources
from fraudlake.ingest.requeue import requeue
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS, TRANSACTIONS

# ruff: noqa: E501
PAYMENTS = [
    ["id", "time", "customer", "amount", "channel"],
    *([n, f"2018-04-02T0{n}:00:00Z", 5, 10 + n, "web"] for n in range(1, 8)),
]
DEVICES = [
    ["payment", "device", "risk", "verdict", "colour"],
    [1, "phone", "0.5", 1, "red"],
    [" 2", "tablet", "", 0, "red"],
    [2, "tablet ", "", 0, "red"],  # the same once more, but for a space
    [3, "phone", "high", "", "red"],  # no risk that can be read
    [4, "phone", "0.5", 0, "red"],
    [4, "phone", "0.6", 0, "red"],  # another one of the same payment
    [99, "phone", "1", 1, "red"],
]
COLUMNS = {
    "device": {"source": "devices.device", "type": "string", "required": False},
    "risk": {"source": "devices.risk", "type": "double", "required": False},
    "lens": {"source": "devices.lens", "type": "string", "required": False},
}
JOINED = {"devices": {"input": "devices.csv", "by": "id", "key": "payment"}}


def shop(**changes):
    label = {"source": "devices.verdict", "delay": "3d"}
    kept = ("tx_id", "event_time", "customer_id", "amount", "channel")
    columns = {name: SHOP["columns"][name] for name in kept} | COLUMNS
    given = {"format": "csv", "columns": columns, "label": label, "joined": JOINED}
    return Dataset.model_validate(SHOP | given | changes)


@pytest.fixture
def raw(tmp_path):
    """Writes the two files; the path of the payments."""

    def write(devices=DEVICES, payments=PAYMENTS):
        for name, rows in (("payments", payments), ("devices", devices)):
            with (tmp_path / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows(rows)
        return str(tmp_path / "payments.csv")

    return write


def test_payments_beside_what_is_joined(spark, raw, tmp_path):
    lake = Lake(spark, str(tmp_path / "lake"))
    payments = [*PAYMENTS, PAYMENTS[1], [8, "2018-04-02", 5, 1, "fax"]]
    path = raw(payments=payments)
    found = ingest(lake, shop(), path)
    names = ("records", "transactions", "duplicates", "quarantine", "labels")
    assert [found[name] for name in names] == [9, 5, 1, 3, 2]
    assert sorted(found["reasons"]) == [
        "channel: expected one of web, shop",
        "record: expected one record of devices with this id: there are several that differ",
        "risk: expected double",
    ]
    assert (found["unknown_fields"], found["absent_fields"]) == (
        ["devices.colour"],
        ["devices.lens"],
    )
    rows = lake.read(TRANSACTIONS).sort("tx_id").collect()
    assert [(r.tx_id, r.device, r.risk) for r in rows] == [
        (1, "phone", 0.5), (2, "tablet", None), (5, None, None), (6, None, None), (7, None, None),
    ]  # fmt: skip
    labels = lake.read(LABELS).sort("tx_id").collect()
    assert [(r.tx_id, r.is_fraud, r.known_at.day) for r in labels] == [(1, True, 5), (2, False, 5)]
    with pytest.raises(DataError, match="joins devices, expected one that joins nothing"):
        requeue(lake, shop(), ",".join(PAYMENTS[0]))


def test_several_tables_of_any_format_by_several_fields(spark, raw, tmp_path):
    path = raw()
    cards = [("5", "web", {"issuer": "A"}), ("5", "shop", {"issuer": "B"})]
    rows = spark.createDataFrame(cards, "owner string, via string, card struct<issuer: string>")
    rows.write.format("delta").save(str(tmp_path / "cards"))
    by = {"input": "cards", "by": ["customer", "channel"], "key": ["owner", "via"]}
    dataset = shop(
        columns=shop().columns
        | {"issuer": {"source": "cards.card.issuer", "type": "string"}}
        | {"named": {"source": ["devices.device", "cards.card.issuer"], "type": "string"}},
        joined=JOINED | {"cards": by},
    )
    dataset = dataset.model_copy(update={"label": None})
    rows = checks.check(sources.read(spark, dataset, path), dataset).collect()
    found = {row.tx_id: (row.issuer, row.named, row.reasons) for row in rows}
    assert found[1] == ("A", "phone A", [])
    assert found[2] == ("A", "tablet A", [])
    assert found[7] == ("A", None, ["named: missing, expected string"])


def test_nothing_found_is_told(spark, raw):
    path = raw([DEVICES[0], [77, "phone", "1", 1, "red"]])
    checked = checks.check(sources.read(spark, shop(), path), shop())
    outcome = checked.selectExpr("*", "'new' AS _status", "array() AS _statements")
    found = counts.count(outcome)
    assert counts.absent_fields(found, 7) == ["devices", "devices.lens"]


@pytest.mark.parametrize(
    ("devices", "changes", "said"),
    [
        ([["key", "device"], [1, "x"]], {}, r"devices\.csv: got key, device as the header .*, expected payment too"),
        ([*DEVICES, ["", "phone", 1, 1, "red"]], {}, r"got ',phone,1,1,red', expected payment \(in .*devices\.csv\), and so of 1 records"),
        ([*DEVICES, [1, 2]], {}, r"got '1,2', expected 5 comma-separated fields \(in .*devices\.csv\)"),
        (DEVICES, {"columns": {**shop().columns, "lens": COLUMNS["lens"] | {"required": True}}}, "got no record with lens, .*there are others: colour"),
        (DEVICES, {"joined": {"devices": JOINED["devices"] | {"input": "gone.csv"}}}, r"joined.devices, .*/gone\.csv: .*not exist"),
    ],
)  # fmt: skip
def test_what_is_joined_and_cannot_be_is_told(spark, raw, devices, changes, said):
    with pytest.raises(DataError, match=said):
        sources.read(spark, shop(**changes), raw(devices))


def test_a_key_that_is_hashed_is_hashed_on_both_sides(spark, raw, monkeypatch):
    monkeypatch.setenv("CARD_KEY", "sixteen bytes ok")
    payments = [[*PAYMENTS[0], "pan"], *([*row, f"p{row[0]}"] for row in PAYMENTS[1:])]
    devices = [[*DEVICES[0], "mail"], *(["p1", *row[1:], "a@b"] for row in DEVICES[1:2])]
    hashed = {
        name: {"source": source, "type": "string", "hash": True, "required": False}
        for name, source in (("card_id", "pan"), ("mail", "devices.mail"))
    }
    dataset = shop(
        columns=shop().columns | hashed,
        joined={"devices": JOINED["devices"] | {"by": "pan"}},
        secret={"env": "CARD_KEY"},
    )
    rows = checks.check(sources.read(spark, dataset, raw(devices, payments)), dataset)
    first, *others = sorted(rows.collect(), key=lambda row: row.tx_id)
    assert (first.device, len(first.card_id), len(first.mail)) == ("phone", 32, 32)
    assert [(row.mail, row.reasons) for row in others] == [(None, [])] * 6


def test_streams_and_topics_have_no_second_file(tmp_path):
    with pytest.raises(DataError, match="got the topic kafka://b:1/t, expected files: "):
        sources.joins.place(shop(), "devices", "kafka://b:1/t")
    elsewhere = shop(joined={"devices": JOINED["devices"] | {"input": "s3://a/b"}})
    assert sources.joins.place(elsewhere, "devices", "kafka://b:1/t") == "s3://a/b"
    assert sources.joins.place(shop(), "devices", "in/payments") == "in/devices.csv"
    assert (
        sources.joins.place(shop(), "devices", "s3://in/day=*/a.csv") == "s3://in/day=*/devices.csv"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"joined": {"devices": {"input": "d", "by": "devices.id"}}}, "joined: by: got devices.id, expected a field of the feed's own"),
        ({"joined": JOINED | {"people": {"input": "p", "by": "customer"}}}, r"joined.people: got no column of it, expected a source people.FIELD"),
        ({"record": {"where": {"devices.device": ["phone"]}}}, "record.where: got devices.device, expected a field of"),
        ({"joined": {"devices": JOINED["devices"] | {"format": "xml"}}}, "joined.devices.format: got 'xml', expected one of csv"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_join_is_told(changes, said):
    with pytest.raises(Exception, match=said):
        shop(**changes)
