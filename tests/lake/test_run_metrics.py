"""What a run measured stands once, however often it runs."""

from fraudlake.lake import run_metrics
from fraudlake.lake.tables import METRICS


def test_a_run_is_written_once(lake):
    run = run_metrics.run_id("score", model=1)
    for value in (0.5, 0.7):  # the second is the same run again
        run_metrics.record(lake, "score", run, 3, {"threshold": value, "rows": 10})
    rows = {row["name"]: row["value"] for row in lake.read(METRICS).collect()}
    assert rows == {"threshold": 0.5, "rows": 10.0}
    run_metrics.record(lake, "score", run_metrics.run_id("score", model=2), 4, {"rows": 11})
    assert lake.read(METRICS).count() == 3
