"""Verdicts from files of their own, beside the labels that payments bring."""

import json

import pytest
import yaml
from tests.ingest.conftest import SHOP

from fraudlake import job
from fraudlake.errors import ConfigError, DataError
from fraudlake.ingest import feedback, ingest
from fraudlake.instants import parse_instant
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS, METRICS, QUARANTINE, TRANSACTIONS
from fraudlake.training.split import latest_labels

PAID = {
    "time": "2018-04-02T01:00:00Z",
    "customer": "5",
    "amount": "10.00",
    "channel": "web",
    "fraud": "0",
}
BANK = {
    "format": "csv",
    "files": {"delimiter": ";"},
    "timezone": "Europe/Paris",
    "trust": 2,
    "columns": {
        "tx_id": {"source": "payment"},
        "is_fraud": {"source": "outcome", "true": ["LOST"], "false": ["WON"], "nulls": ["OPEN"]},
        "known_at": {"source": "closed", "pattern": "dd.MM.yyyy HH:mm"},
    },
}


@pytest.fixture
def lake(spark, tmp_path):
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def paid(lake, shop, tmp_path):
    """Brings payments in."""

    def taken(name, *records, **changes):
        path = tmp_path / name
        path.mkdir()
        (path / "a").write_text("".join(json.dumps(PAID | r) + "\n" for r in records))
        return ingest(lake, shop(**changes), str(path))

    return taken


@pytest.fixture
def said(lake, shop, tmp_path):
    """Brings verdicts in; the counts."""

    def taken(folder, text, feed=None, **changes):
        path = tmp_path / folder
        path.mkdir()
        (path / "a").write_text(text)
        dataset = shop(**changes)
        named = feedback.named(dataset, feed)
        found = feedback.feedback(lake, dataset, named, str(path))
        names = ("verdicts", "repeats", "undecided", "quarantine", "labels", "without_transaction")
        return [found[n] for n in names], list(found["reasons"])

    return taken


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def statements(lake):
    rows = lake.read(LABELS).sort("tx_id", "known_at").collect()
    return [
        (r["tx_id"], r["source"], r["is_fraud"], f"{r['known_at']:%m-%dT%H:%M:%S.%f}") for r in rows
    ]


def newest(lake, until):
    since, until = parse_instant("2018-01-01"), parse_instant(until)
    rows = latest_labels(lake.read(LABELS), since, until).collect()
    return {row["tx_id"]: row["label"] for row in rows}


def test_three_sources_of_one_table(lake, paid, said):
    """The label of the feed is mature on the 5th; what an analyst said before holds after it."""
    paid("one", {"id": "1"}, {"id": "2"})
    verdicts = [
        {"tx_id": 1, "verdict": "fraud", "known_at": "2018-04-03T00:00:00Z", "source": "ann"},
        {"tx_id": 2, "verdict": "genuine", "known_at": "2018-04-03T00:00:00Z"},
        {"tx_id": 3, "verdict": 1, "known_at": "2018-04-04", "source": "ann"},
        {"tx_id": 1, "verdict": "maybe", "known_at": "2018-04-03T00:00:00Z"},
        {"tx_id": 1, "verdict": "fraud", "known_at": "2018-04-01T00:00:00Z"},
        {"tx_id": None, "verdict": "fraud"},
    ]
    counts, reasons = said("ann", lines(*verdicts))
    assert counts == [3, 0, 0, 3, 4, 1]
    assert sorted(reason.split(":")[0] for reason in reasons) == ["is_fraud", "known_at", "tx_id"]
    assert said("again", lines(*verdicts[:3]))[0] == [0, 3, 0, 0, 0, 0]
    assert statements(lake)[:3] == [
        (1, "ann", True, "04-03T00:00:00.000000"),
        (1, "shop", False, "04-05T01:00:00.000000"),
        (1, "ann", True, "04-05T01:00:00.000001"),
    ]
    assert newest(lake, "2018-04-02") == {}
    assert newest(lake, "2018-05-01") == {1: 1, 2: 0, 3: 1}

    # A payment whose verdict came before it; the bank outranks the analyst, whenever it speaks.
    assert paid("two", {"id": "3"})["labels"] == 2
    assert newest(lake, "2018-05-01")[3] == 1
    text = "payment;outcome;closed\n1;WON;04.04.2018 14:00\n2;OPEN;\n3;LOST;06.04.2018 10:00\n"
    assert said("bank", text, "bank", verdicts={"bank": BANK}) == ([2, 0, 1, 0, 3, 0], [])
    assert newest(lake, "2018-04-04T11:59:00Z")[1] == 1
    assert newest(lake, "2018-04-04T12:00:00Z")[1] == 0
    assert newest(lake, "2018-05-01") == {1: 0, 2: 0, 3: 1}
    late = {"tx_id": 1, "verdict": "fraud", "known_at": "2018-04-20T00:00:00Z", "source": "ann"}
    assert said("late", lines(late), "usual", verdicts={"bank": BANK, "usual": {}})[0][0] == 1
    assert newest(lake, "2018-05-01")[1] == 0
    assert lake.read(QUARANTINE).count() == 3


def test_a_verdict_without_a_time_is_known_now_and_once(lake, paid, said):
    paid("one", {"id": "1", "fraud": None})
    with pytest.raises(DataError, match="dataset: got other, expected shop"):
        said("none", "", name="other")
    fraud, genuine = ({"tx_id": 1, "verdict": v} for v in ("fraud", "genuine"))
    assert said("a", lines(fraud))[0] == [1, 0, 0, 0, 1, 0]
    assert said("b", lines(fraud))[0] == [0, 1, 0, 0, 0, 0]
    contrary = ["tx_id: stands already with other content (is_fraud)"]
    assert said("c", lines(genuine, {"tx_id": 9, "verdict": 1}, {"tx_id": 9, "verdict": 0})) == (
        [2, 0, 0, 1, 2, 1],
        contrary,
    )
    rows = lake.read(LABELS).where("tx_id = 1").sort("known_at").collect()
    assert [row["is_fraud"] for row in rows] == [True, False]
    assert {row["source"] for row in rows} == {feedback.USUAL}


def test_ids_that_are_text(lake, paid, said):
    columns = {"tx_id": {"source": "id", "type": "string"}}
    text = {"columns": SHOP["columns"] | columns}
    paid("one", {"id": "T-1", "fraud": None}, **text)
    verdict = {"tx_id": "T-1", "verdict": "fraud", "known_at": "2018-04-03T00:00:00Z"}
    other = verdict | {"verdict": "genuine"}
    counts, reasons = said("a", lines(verdict, other), **text)
    assert (counts, reasons) == (
        [1, 0, 0, 1, 1, 0],
        ["tx_id: stands already with other content (is_fraud)"],
    )
    (row,) = lake.read(TRANSACTIONS).join(lake.read(LABELS), "tx_id").collect()
    assert row["tx_ref"] == "T-1"


def test_the_job(spark, lake, tmp_path):
    from tests.ingest.conftest import SHOP

    path = tmp_path / "shop.yaml"
    named = {key: value for key, value in SHOP.items() if key != "name"}
    path.write_text(yaml.safe_dump(named | {"verdicts": {"bank": BANK, "desk": {}}}))
    keys = {"lake": lake.root, "dataset": str(path)}
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a").write_text(lines({"tx_id": 7, "verdict": "fraud", "known_at": "x"}))
    with pytest.raises(ConfigError, match="feed: got none, expected one of bank, desk"):
        job.call("feedback", spark, **keys, input=str(tmp_path / "in"))
    with pytest.raises(DataError, match="got 1 records and took none"):
        job.call("feedback", spark, **keys, input=str(tmp_path / "in"), feed="desk")
    (tmp_path / "in" / "a").write_text(lines({"tx_id": 7, "verdict": "fraud"}))
    for labels in (1, 0):
        result = job.call("feedback", spark, **keys, input=str(tmp_path / "in"), feed="desk")
        assert result["labels"] == labels
    (row,) = lake.read(LABELS).collect()
    assert (row["tx_id"], row["source"], row["is_fraud"]) == (7, "desk", True)
    names = {row["name"] for row in lake.read(METRICS).collect()}
    assert {"verdicts", "without_transaction"} <= names
