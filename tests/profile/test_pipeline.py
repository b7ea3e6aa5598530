"""The job on made-up files: what it proposes is taken, and shows no card number."""

from __future__ import annotations

import gzip
import json
import re
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudlake import job
from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError, DataError
from fraudlake.profile import counts, reading

N = 120
START = datetime(2024, 1, 1, tzinfo=UTC)
AT = [START + timedelta(hours=5 * n) for n in range(N)]
PANS = ("4111111111111111", "5500005555555559", "4012888888881881")
MONEY = [f"{(n * 37) % 97 + 1}.{(n * 13) % 100:02}" for n in range(N)]


@pytest.fixture
def look(spark, tmp_path):
    """A function: what the job says of text, or of a folder, and what it wrote."""

    def run(text=None, name="a.csv", **words):
        folder = tmp_path / "raw"
        folder.mkdir(exist_ok=True)
        if text is not None:
            (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        found = job.call(
            "profile", spark, input=str(folder), output=str(tmp_path / "out"), name="shop", **words
        )
        yaml = tmp_path / "out" / "shop.yaml"
        assert found["yaml"] == str(yaml)
        return found, yaml.read_text(), (tmp_path / "out" / "shop.html").read_text()

    return run


def csv(**columns):
    rows = zip(*columns.values(), strict=True)
    lines = [";".join(columns), *(";".join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def test_a_file_of_a_till(look, tmp_path):
    """Semicolons, decimal commas, days that begin with the day, words, cards in clear."""
    text = csv(
        Beleg=[f"B-{n:05}" for n in range(N)],
        Datum=[f"{at:%d.%m.%Y %H:%M}" for at in AT],
        Betrag=[text.replace(".", ",") for text in MONEY],
        Karte=[PANS[n % 3] for n in range(N)],
        kunde_id=[f"k{n % 40}" for n in range(N)],
        Alter=["NA" if n % 10 == 0 else 20 + n % 50 for n in range(N)],
        Fraud=["Yes" if n % 30 == 7 else "No" for n in range(N)],
    )
    found, yaml, page = look(gzip.compress(text.encode("windows-1252")), "a.csv.gz")
    assert (found["records"], found["taken"], found["quarantined"]) == (N, N, 0)
    assert found["fields"] == 7
    dataset = load_dataset(str(tmp_path / "out" / "shop.yaml"))
    assert dataset.files.delimiter == ";"
    assert dataset.columns["tx_id"].source == "Beleg"
    assert dataset.columns["event_time"].pattern == ("dd.MM.yyyy HH:mm",)
    assert dataset.columns["amount"].decimal == ","
    assert dataset.columns["karte"].hash
    assert dataset.columns["alter"].type == "bigint"
    assert not dataset.columns["alter"].required
    assert dataset.nulls == ("NA",)
    assert dataset.label.true == ("Yes",)
    assert any("timezone" in question for question in found["questions"])
    for shown in (yaml, page, json.dumps(found)):
        assert not [pan for pan in PANS if pan in shown]
    assert "411111******1111" in page
    assert page.count("data:image/png;base64,") == 3  # days, missing values, distributions
    assert not re.search(r"(src|href)=.?https?:", page)
    again = look()
    assert again == (found, yaml, page)


def test_nested_json_lines(look, tmp_path):
    lines = [
        {
            "id": f"evt_{n:08}",
            "type": "payment",
            "data": {
                "created": int(at.timestamp() * 1000),
                "amount": int(MONEY[n].replace(".", "")) * 31,
                "currency": "eur",
                "customer": f"cus_{n % 50}",
                "items": [{"price": 5}, {"price": 7}],
            },
        }
        for n, at in enumerate(AT)
    ]
    text = "\n".join(map(json.dumps, lines)) + "\nno record\n"
    found, yaml, page = look(text, "a.jsonl")
    assert (found["records"], found["taken"], found["quarantined"]) == (N + 1, N, 1)
    assert [reason for reason in found["reasons"] if "expected one JSON object" in reason]
    columns = load_dataset(str(tmp_path / "out" / "shop.yaml")).columns
    assert columns["event_time"].source == "data.created"
    assert columns["event_time"].unit == "ms"
    assert columns["amount"].scale == "currency"
    assert "data.items[0].price" in page
    asked = " ".join(found["questions"])
    assert "data.items holds up to 2 values" in asked
    assert "no field is a label" in asked
    assert "minor units" in asked
    assert "cus_" not in yaml


def test_parquet_in_folders(look, tmp_path):
    for place, country in enumerate(("FR", "DE")):
        folder = tmp_path / "raw" / f"country={country}"
        folder.mkdir(parents=True)
        some = range(place * 60, place * 60 + 60)
        columns = {
            "no": [*some],
            "at": pa.array([AT[n].replace(tzinfo=None) for n in some], pa.timestamp("ns")),
            "total": [float(MONEY[n]) for n in some],
            "shop": [{"id": n % 7 + 100, "city": "Lyon"} for n in some],
            "fraud": [n % 20 == 0 for n in some],
        }
        pq.write_table(pa.table(columns), folder / "part.parquet")
    found, _, _ = look()
    assert (found["taken"], found["quarantined"]) == (N, 0)
    dataset = load_dataset(str(tmp_path / "out" / "shop.yaml"))
    assert dataset.format == "parquet"
    assert dataset.columns["country"].source == "country"
    assert "shop.id" in {column.source for column in dataset.columns.values()}


def test_a_delta_table(look, spark, tmp_path):
    """As a lake's `transactions` is, with a time and money of their own types."""
    rows = [(n, at, f"c{n % 30}", float(MONEY[n])) for n, at in enumerate(AT)]
    frame = spark.createDataFrame(
        rows, "tx_id bigint, event_time timestamp, card_id string, v double"
    )
    frame = frame.withColumn("amount", frame.v.cast("decimal(18,2)")).drop("v")
    frame.write.format("delta").save(str(tmp_path / "raw"))
    found, _, _ = look()
    assert (found["records"], found["taken"], found["quarantined"]) == (N, N, 0)
    columns = load_dataset(str(tmp_path / "out" / "shop.yaml")).columns
    assert (columns["tx_id"].source, columns["amount"].source) == ("tx_id", "amount")


def test_what_its_sample_did_not_show_is_read_as_text(look):
    extra = [str(n) for n in range(N - 1)]
    text = csv(
        id=range(N),
        time=[f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in AT],
        amount=MONEY,
        card=[f"c{n % 30}" for n in range(N)],
        seen=[*[f"2024-01-0{1 + n % 9}" for n in range(N - 1)], "later"],
        more=[*extra, "x"],
    )
    found, yaml, _ = look(text, sample=50)
    assert (found["taken"], found["quarantined"]) == (N, 0)
    assert "not timestamp in every record" in yaml


def test_what_is_missing_is_asked_for_and_the_yaml_is_written(look):
    found, yaml, page = look("shop;town\na;b\nc;d\n")
    assert found["taken"] == 0
    assert found["records"] == 2
    assert "expected" in found["error"]
    assert "cannot be tried" in page
    assert len([line for line in yaml.splitlines() if line.startswith("# ? ")]) >= 4


def test_no_input_is_refused_in_words(spark, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match="take what is in the zip out"):
        job.call("profile", spark, input=str(tmp_path), output=str(tmp_path / "out"))
    with pytest.raises(ConfigError, match="got a topic"):
        job.call("profile", spark, input="kafka://host:1/topic")


def test_counts_are_those_of_all_records(spark, tmp_path):
    file = tmp_path / "a.csv"
    values = ["7", "0012", "-3.14159", "", "n/a", "Unknown", "4111 1111 1111 1111", "7"] * 50
    file.write_text("v,w\n" + "".join(f"{value},{n}\n" for n, value in enumerate(values)))
    raw = reading.look(spark, str(file))
    one, other = counts.count(raw.rows, raw.fields, 10)
    assert (one.records, one.missing + one.empty, one.null_words) == (400, 50, 100)
    assert set(one.words) == {"n/a", "Unknown"}
    assert (one.present, one.number, one.whole, one.zero_led) == (250, 200, 150, 50)
    assert (one.fine, one.negative, one.cards) == (50, 50, 50)
    assert (one.lowest, one.highest) == (-3.14159, 12)
    assert one.top[0] == ("7", 100)
    assert "411111******1111" in [text for text, _ in one.top]
    assert len(one.sample) == 10
    assert counts.doubles(raw.rows, ["w"]) == 0
    assert counts.doubles(raw.rows, ["v"]) == 400 - len(set(values))
    assert abs(other.distinct - 400) < 40


def test_days_and_frauds(look, spark, tmp_path):
    text = csv(
        id=range(N),
        time=[f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in AT],
        amount=MONEY,
        fraud=[int(n % 24 == 0) for n in range(N)],
    )
    look(text)
    dataset = load_dataset(str(tmp_path / "out" / "shop.yaml"))
    taken = counts.taken(spark, dataset, str(tmp_path / "raw"))
    assert sum(row[1] for row in taken.days) == taken.taken == N
    assert sum(row[3] for row in taken.days) == 5
    assert taken.days[0] == (date(2024, 1, 1), 5, 5, 1)
