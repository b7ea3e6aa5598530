"""What a run measured stands once, however often it runs."""

from fraudlake.lake import lake as lake_module
from fraudlake.lake import run_metrics
from fraudlake.lake.data_file import DataFileWriter
from fraudlake.lake.scan import rows_of
from fraudlake.lake.tables import METRICS


def test_a_run_is_written_once(lake):
    run = run_metrics.run_id("score", model=1)
    for value in (0.5, 0.7):  # the second is the same run again
        run_metrics.record(lake, "score", run, 3, {"threshold": value, "rows": 10})
    rows = {row["name"]: row["value"] for row in lake.read(METRICS).collect()}
    assert rows == {"threshold": 0.5, "rows": 10.0}
    run_metrics.record(lake, "score", run_metrics.run_id("score", model=2), 4, {"rows": 11})
    assert lake.read(METRICS).count() == 3


def test_a_run_reads_and_writes_only_its_own_without_a_job(lake, monkeypatch):
    runs = {f"{number:016x}": number for number in range(5)}
    for run, number in runs.items():
        run_metrics.record(lake, "score", run, number, {"rows": number})
    read = []

    def recorded(paths, schema):
        read.append(paths)
        return rows_of(paths, schema)

    monkeypatch.setattr(lake_module, "rows_of", recorded)
    started = lake.spark.sparkContext.statusTracker().getJobIdsForGroup()
    run_metrics.record(lake, "score", f"{3:016x}", 3, {"rows": 3, "flags": 1})
    assert lake.spark.sparkContext.statusTracker().getJobIdsForGroup() == started
    assert [len(paths) for paths in read] == [1]
    rows = {(row["run"], row["name"]): row["value"] for row in lake.read(METRICS).collect()}
    wanted = {(run, "rows"): number for run, number in runs.items()}
    assert rows == wanted | {(f"{3:016x}", "flags"): 1}


def test_a_run_beside_another_that_writes_the_same(lake, monkeypatch):
    run_metrics.record(lake, "score", "a", 1, {"rows": 1})
    write = DataFileWriter.write

    def late(writer, rows):
        monkeypatch.undo()
        run_metrics.record(lake, "score", "b", 1, {"rows": 2})
        return write(writer, rows)

    monkeypatch.setattr(DataFileWriter, "write", late)
    run_metrics.record(lake, "score", "b", 1, {"rows": 2, "flags": 3})
    found = sorted((row["run"], row["name"]) for row in lake.read(METRICS).collect())
    assert found == [("a", "rows"), ("b", "flags"), ("b", "rows")]
