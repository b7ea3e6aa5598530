"""What was in quarantine comes in, after the data set was mended."""

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from tests.ingest.conftest import SHOP

from fraudlake import job
from fraudlake.datasets import Dataset
from fraudlake.errors import DataError
from fraudlake.ingest import ingest
from fraudlake.ingest.requeue import requeue
from fraudlake.lake import Lake
from fraudlake.lake.tables import QUARANTINE, TRANSACTIONS

PAID = {"time": "2018-04-02T01:00:00Z", "customer": "5", "amount": "10", "channel": "web"}


def shop(**changes):
    columns = {name: spec | changes.pop(name, {}) for name, spec in SHOP["columns"].items()}
    return Dataset.model_validate(SHOP | {"columns": columns} | changes)


@pytest.fixture
def lake(spark, tmp_path):
    return Lake(spark, str(tmp_path / "lake"))


def counted(result):
    names = ("records", "transactions", "duplicates", "quarantine", "masked")
    return [result.get(name) for name in names]


def test_records_of_json_lines(lake, tmp_path):
    records = [
        {"id": "1"},
        {"id": "2", "amount": "10,50"},
        {"id": "2", "amount": "10,50"},
        {"id": "3", "channel": "fax"},
        {"id": "4", "note": "4111 1111 1111 1111"},
        {"id": "5", "lat": "100"},
    ]
    (tmp_path / "in").mkdir()
    text = "".join(json.dumps(PAID | record) + "\n" for record in records)
    (tmp_path / "in" / "a").write_text(text)
    with pytest.raises(DataError, match="no record of shop"):
        requeue(lake, shop())
    assert counted(ingest(lake, shop(), str(tmp_path / "in")))[:4] == [6, 1, 0, 5]
    mended = shop(amount={"decimal": ","}, channel={"values": ["web", "shop", "fax"]})
    assert counted(requeue(lake, mended)) == [4, 2, 1, 1, 1]
    assert counted(requeue(lake, mended)) == [4, 0, 3, 1, 1]
    rows = lake.read(TRANSACTIONS).sort("tx_id").collect()
    assert [(row["tx_id"], str(row["amount"])) for row in rows] == [
        (1, "10.00"),
        (2, "10.50"),
        (3, "10.00"),
    ]
    assert lake.read(QUARANTINE).count() == 5


def test_the_job_and_lines_of_csv_which_need_the_names_of_their_fields(spark, lake, tmp_path):
    (tmp_path / "in").mkdir()
    header = "id,time,customer,amount,channel"
    lines = [header, "1,2018-04-02T01:00:00Z,5,10.00,web", "2,2018-04-02T01:00:00Z,5,7.00,fax"]
    (tmp_path / "in" / "a").write_text("\n".join(lines))
    path = tmp_path / "shop.yaml"
    described = {key: value for key, value in SHOP.items() if key != "name"} | {"format": "csv"}
    path.write_text(yaml.safe_dump(described))
    keys = {"lake": lake.root, "dataset": str(path)}
    assert job.call("ingest", spark, **keys, input=str(tmp_path / "in"))["quarantine"] == 1
    path.write_text(path.read_text().replace("- shop", "- fax"))
    with pytest.raises(DataError, match="header: got none"):
        job.call("requeue", spark, **keys)
    found = job.call("requeue", spark, **keys, header=header)
    assert counted(found) == [1, 1, 0, 0, 0]


def test_what_was_hashed_is_read_from_the_input_again(lake):
    hashed = shop(note={"hash": True}, secret={"env": "CARD_KEY"})
    with pytest.raises(DataError, match="which hashes note"):
        requeue(lake, hashed)


def test_rows_of_files_with_columns(lake, tmp_path):
    (tmp_path / "in").mkdir()
    whole = {
        "id": [1, 2],
        "amount": [Decimal("3.10"), Decimal("12345678.91")],
        "lat": [48.125, 1e-7],
    }
    moments = pa.array([1522627200_123456] * 2, pa.timestamp("us", "UTC"))
    texts = {"customer": ["5", "6"], "channel": ["fax", "fax"]}
    pq.write_table(pa.table(whole | texts | {"time": moments}), tmp_path / "in" / "a")
    assert ingest(lake, shop(format="parquet"), str(tmp_path / "in"))["quarantine"] == 2
    mended = shop(format="parquet", channel={"values": ["fax"]})
    assert counted(requeue(lake, mended)) == [2, 2, 0, 0, 0]
    (one, two) = lake.read(TRANSACTIONS).sort("tx_id").collect()
    assert (one["amount"], two["amount"]) == tuple(whole["amount"])
    assert (one["latitude"], two["latitude"]) == (48.125, 1e-7)
    assert one["event_time"].microsecond == 123456
