"""Tasks that run together know each other, and an error comes with its words."""

from __future__ import annotations

import json

import pytest

from fraudlake.launch import barrier


def meet(task, table, word):
    heard = task.share(f"{word} of {task.rank}")
    found = {"rank": task.rank, "size": task.size, "rows": table.num_rows, "heard": heard}
    return {"found": json.dumps(found).encode(), "empty": b""}


def fail_on_rank_1(task, _table):
    if task.rank == 1:
        raise ValueError("no rows like these")
    task.share("")
    return {}


def test_tasks_meet(spark):
    rows = spark.range(10).repartition(2)
    result = barrier.run(rows, meet, "word")
    assert result["empty"] == b""
    found = json.loads(result["found"])
    assert (found["rank"], found["size"], found["heard"]) == (0, 2, "word of 0")
    assert 0 < found["rows"] < 10


def test_an_error_of_one_task_is_told(spark):
    with pytest.raises(Exception, match="no rows like these"):
        barrier.run(spark.range(10).repartition(2), fail_on_rank_1)
