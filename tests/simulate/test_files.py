"""The job: files, counts, re-run rule."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest

from fraudlake import job
from fraudlake.errors import ConfigError, DataError
from fraudlake.simulate import KINDS

SMALL = {
    "from": "2026-01-05",
    "days": 6,
    "customers": 400,
    "fraud": 0.05,
    "late": 0.05,
    "duplicates": 0.05,
    "malformed": 0.05,
}


def files(folder):
    return {path.name: path.read_text() for path in sorted(Path(folder).glob("*.jsonl"))}


def content(folder):
    lines = sorted("".join(files(folder).values()).splitlines())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@pytest.fixture(scope="module")
def first(spark, tmp_path_factory):
    folder = tmp_path_factory.mktemp("raw") / "first"
    return folder, job.call("simulate", spark, output=folder, **SMALL)


def test_one_file_a_day_in_order_of_names_and_times(first):
    folder, result = first
    names = [f"2026-01-{day:02d}-0000.jsonl" for day in range(5, 11)]
    assert list(files(folder)) == names
    times = [(folder / name).stat().st_mtime for name in names]
    assert times == sorted(set(times))
    assert (result["days"], result["files"]) == (6, 6)
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert visible == {*names, "_config.json", "_SUCCESS"}
    config = json.loads((folder / "_config.json").read_text())
    assert (config["seed"], config["customers"], config["from"]) == (1, 400, "2026-01-05")


def test_the_counts_are_those_of_the_files(first):
    folder, result = first
    seen, kinds, late, copies, records = {}, Counter(), 0, 0, 0
    for name, text in files(folder).items():
        for line in text.split("\n")[:-1]:
            records += 1
            try:
                record = json.loads(line)
                record["amount"] + record["customer_id"] + record["terminal_id"]
                sound = record["transaction_id"] < 2**53 and record["is_fraud"] in (0, 1)
                sound &= 0 < record["amount"] < 10**16 and "-02-30T" not in record["event_time"]
                sound &= f"{record['amount']:.2f}" in line and ".%05d" not in line
                sound &= round(record["amount"], 2) == record["amount"]
                sound &= record["event_time"] != "yesterday"
            except (ValueError, KeyError, TypeError):
                sound = False
            if not sound:
                continue
            if line in seen:
                copies += 1
                continue
            seen[line] = name
            late += record["event_time"][:10] != name[:10]
            kinds[record["fraud_kind"]] += 1
    assert result["records"] == records
    assert result["transactions"] == len(seen)
    assert result["duplicates"] == copies > 50
    assert result["malformed"] == records - len(seen) - copies > 50
    assert result["frauds"] == {k.name: kinds[k.name] for k in KINDS[1:]}
    # A duplicate may come before a late record's own file is read, never before the record.
    assert result["late"] == late > 50


def test_running_it_again_changes_nothing(spark, first):
    folder, result = first
    before = {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert job.call("simulate", spark, output=folder, **SMALL) == result
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


@pytest.mark.parametrize("damage", ["_SUCCESS", "2026-01-07-0000.jsonl"])
def test_an_unfinished_output_is_written_anew(spark, first, tmp_path, damage):
    folder, result = first
    again = tmp_path / "again"
    again.mkdir()
    for path in folder.iterdir():
        if path.name != damage:
            (again / path.name).write_bytes(path.read_bytes())
    (again / "2026-01-05-0000.jsonl").write_text("half\n")
    (again / ".2026-01-05-0000.jsonl.crc").unlink()
    if damage == "_SUCCESS":
        (again / "_staging").mkdir()
    found = job.call("simulate", spark, output=again, **SMALL)
    assert found == {**result, "output": str(again)}
    assert files(again) == files(folder)


@pytest.mark.parametrize(("per_day", "batch"), [(2, 7), (7, 100_000)])
def test_the_rows_do_not_depend_on_files_tasks_or_arrow_batches(
    spark, first, tmp_path, per_day, batch
):
    folder, result = first
    key = "spark.sql.execution.arrow.maxRecordsPerBatch"
    before = spark.conf.get(key)
    spark.conf.set(key, batch)
    try:
        other = job.call("simulate", spark, output=tmp_path / "raw", files_per_day=per_day, **SMALL)
    finally:
        spark.conf.set(key, before)
    assert content(tmp_path / "raw") == content(folder)
    assert other["files"] == 6 * per_day
    assert {k: other[k] for k in ("records", "frauds", "late")} == {
        k: result[k] for k in ("records", "frauds", "late")
    }


def test_spark_reads_the_record_s_own_fields_only(spark, first):
    folder, result = first
    rows = spark.read.json(str(folder / "2026-01-*"))
    assert rows.filter("transaction_id IS NOT NULL").count() > 0
    assert not {"day", "date"} & set(rows.columns)
    assert spark.read.text(str(folder)).columns == ["value"]
    assert spark.read.text(str(folder)).count() == result["records"]


def test_ingest_agrees_on_every_count(spark, first, lake):
    folder, result = first
    found = job.call("ingest", spark, lake=lake.root, dataset="simulated", input=folder)
    counts = {k: result[k] for k in ("records", "transactions", "duplicates")}
    assert {k: found[k] for k in counts} == counts
    assert found["quarantine"] == result["malformed"]
    frauds = spark.read.format("delta").load(f"{lake.root}/labels").filter("is_fraud").count()
    assert frauds == sum(result["frauds"].values())


def test_a_file_stream_meets_the_days_in_order(spark, first, tmp_path):
    folder, _ = first
    seen = []
    stream = (
        spark.readStream.option("maxFilesPerTrigger", 1)
        .text(str(folder))
        .selectExpr("_metadata.file_name AS name")
        .writeStream.foreachBatch(lambda rows, _: seen.append(rows.first()[0]))
        .option("checkpointLocation", str(tmp_path / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    assert stream.awaitTermination(120)
    assert seen == list(files(folder))


def test_a_folder_that_holds_something_else_is_refused(spark, first, tmp_path):
    folder, _ = first
    with pytest.raises(DataError, match=r"another simulation .*seed is 1, asked for 2"):
        job.call("simulate", spark, output=folder, seed=2, **SMALL)
    (tmp_path / "letters.txt").write_text("dear")
    with pytest.raises(DataError, match=r"which holds letters\.txt and no simulation"):
        job.call("simulate", spark, output=tmp_path, **SMALL)
    assert (tmp_path / "letters.txt").read_text() == "dear"


def test_wrong_arguments_are_all_named():
    model = job.load("simulate")["Arguments"]
    words = ["from=2026-01-05T12:00", "days=0", "late=2", "merchants=10", "colour=red"]
    with pytest.raises(ConfigError) as error:
        job.parse(model, words)
    named = {problem.split(":")[0] for problem in error.value.problems}
    assert named == {"output", "from", "days", "late", "merchants", "colour"}
