"""Tables read by tasks of Python: the same rows as through Spark, whatever their files are like."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fraudlake.instants import microseconds
from fraudlake.lake import scan as scan_module
from fraudlake.lake.delta_log import State
from fraudlake.lake.plain import obstacle_to_reading
from fraudlake.lake.tables import TRANSACTIONS

START = datetime(2018, 4, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURS = [microseconds(START + i * HOUR) for i in range(100)]
SCHEMA = "tx_id bigint, event_time timestamp, amount decimal(18,2), country string"


def rows(first, count):
    return [
        (i, START + i * HOUR, Decimal(i) / 100, None if i % 7 == 0 else f"C{i % 3}")
        for i in range(first, first + count)
    ]


@pytest.fixture
def table(lake):
    """Two commits of 300 and 200 hours, several row groups to a file."""
    for first, count in ((0, 300), (300, 200)):
        frame = lake.spark.createDataFrame(rows(first, count), SCHEMA).coalesce(2)
        frame.write.format("delta").mode("append").save(lake.path(TRANSACTIONS))
    return lake


def identity(batches):
    yield from batches


def read(scan, columns=("tx_id", "event_time", "amount", "country")):
    kinds = dict(scan.frame.dtypes)
    schema = ", ".join(f"{name} {kinds[name]}" for name in columns)
    return sorted(tuple(row) for row in scan.mapped(columns, identity, schema).collect())


def same(lake, version, start=None, end=None, plain=True):
    """Read both ways; how many rows that are."""
    scan = lake.scan(TRANSACTIONS, version, start, end)
    assert (scan.shares is not None) == plain
    found = read(scan)
    assert found == sorted(tuple(row) for row in scan.frame.select(*SCHEMA_NAMES).collect())
    return len(found)


SCHEMA_NAMES = [field.split()[0] for field in SCHEMA.split(", ")]


@pytest.mark.parametrize("rows_a_task", [30, 500_000])
def test_a_version_and_a_range_of_it(table, monkeypatch, rows_a_task):
    monkeypatch.setattr(scan_module, "_ROWS", rows_a_task)
    assert same(table, 0) == 300
    assert same(table, 1) == 500
    assert same(table, 1, START + 10 * HOUR, START + 20 * HOUR) == 10
    assert same(table, 1, START + 499 * HOUR) == 1
    assert same(table, 1, None, START) == 0


def test_files_out_of_range_are_not_read(table):
    scan = table.scan(TRANSACTIONS, 1, START + 300 * HOUR)
    kept = {share.path for task in scan.shares for share in task}
    every = {share.path for task in table.scan(TRANSACTIONS, 1).shares for share in task}
    assert 0 < len(kept) < len(every)


def test_columns_that_came_later_are_null_in_older_files(table):
    table.spark.sql(f"ALTER TABLE {table.reference(TRANSACTIONS)} ADD COLUMNS (mcc int)")
    newer = table.spark.createDataFrame(
        [(900, START, 7)], "tx_id bigint, event_time timestamp, mcc int"
    )
    newer.write.format("delta").mode("append").save(table.path(TRANSACTIONS))
    scan = table.scan(TRANSACTIONS, table.version(TRANSACTIONS))
    assert scan.shares
    found = read(scan, ["tx_id", "mcc", "country"])
    assert [row for row in found if row[1] is not None] == [(900, 7, None)]
    assert len(found) == 501


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')", "DELETE"), "by vectors"),
        (
            (
                "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
                "RENAME COLUMN country TO land",
                "RENAME COLUMN land TO country",
            ),
            "columnMapping",
        ),
    ],
)
def test_what_is_not_plain_is_read_through_spark(table, caplog, change, reason):
    caplog.set_level("INFO", "fraudlake")
    name = table.reference(TRANSACTIONS)
    for step in change:
        delete = f"DELETE FROM {name} WHERE tx_id % 50 = 0"
        table.spark.sql(delete if step == "DELETE" else f"ALTER TABLE {name} {step}")
    version = table.version(TRANSACTIONS)
    assert same(table, version, plain=False) == (490 if "DELETE" in change else 500)
    assert reason in caplog.text
    assert same(table, 1) == 500  # as it was


def test_files_of_another_store_are_read_through_spark():
    """A shallow clone names the files of its source."""
    files = [{"path": "s3a://bucket/part.parquet", "partitionValues": {}}]
    assert obstacle_to_reading(State("/t", files, [], [], {}, 7)) == "files of another store"
    files = [{"path": "file:/other/part.parquet", "partitionValues": {}}]
    assert obstacle_to_reading(State("/t", files, [], [], {}, 7)) is None


@pytest.mark.parametrize(
    ("since", "until", "ids", "expected"),
    [
        (None, None, (25, 34), range(20, 40)),  # whole row groups
        (None, None, (500, 900), range(0)),
        (HOURS[15], HOURS[25], None, range(15, 25)),
        (HOURS[20], HOURS[30], None, range(20, 30)),
        (HOURS[15], None, (0, 12), range(15, 20)),
    ],
)
def test_row_groups_out_of_range_are_not_read(tmp_path, since, until, ids, expected):
    table = pa.table(
        {
            "tx_id": range(100),
            "event_time": pa.array(
                [START + i * HOUR for i in range(100)], pa.timestamp("us", "UTC")
            ),
        }
    )
    path = str(tmp_path / "a.parquet")
    pq.write_table(table, path, row_group_size=10)
    task = scan_module._ReadTask((), table.schema, since, until, ids, iter)
    found = [batch["tx_id"].to_pylist() for batch in task.rows([scan_module.Share(path)])]
    assert [tx_id for batch in found for tx_id in batch] == list(expected)
