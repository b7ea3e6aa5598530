"""Rows written by Spark are those that the ranks read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fraudlake.errors import DataError
from fraudlake.launch import snapshot


def test_ranks_read_what_was_written_and_nothing_stays(spark, tmp_path):
    rows = spark.range(1000).selectExpr(
        "id AS tx_id",
        "CAST(id AS float) AS amount",
        "CAST(IF(id % 10 = 0, NULL, id / 2) AS float) AS mean",
        "CAST(id % 3 = 0 AS int) AS label",
        "id >= 700 AS held_out",
    )
    (tmp_path / "s" / "left by a killed run").mkdir(parents=True)
    with snapshot.written(rows.repartition(2, "tx_id"), str(tmp_path / "s")) as folder:
        parts = [snapshot.read(folder, rank, ["mean", "amount"]) for rank in (0, 1)]
        with pytest.raises(DataError, match="no rows for rank 2"):
            snapshot.read(folder, 2, ["amount"])
    assert not Path(tmp_path / "s").exists()
    x, label, held_out = (np.concatenate(each) for each in zip(*parts, strict=True))
    tx_id = x[:, 1].astype(int)
    assert sorted(tx_id) == list(range(1000))
    assert (x.dtype, label.dtype, held_out.dtype) == (np.float32, np.float32, bool)
    np.testing.assert_array_equal(label, tx_id % 3 == 0)
    np.testing.assert_array_equal(held_out, tx_id >= 700)
    np.testing.assert_array_equal(x[:, 0], np.where(tx_id % 10 == 0, np.nan, tx_id / 2))


def test_what_fails_inside_leaves_nothing_either(spark, tmp_path):
    def fail():
        with snapshot.written(spark.range(3), str(tmp_path / "s")) as folder:
            raise RuntimeError(folder)

    with pytest.raises(RuntimeError, match=r"file:/.*/s"):
        fail()
    assert not Path(tmp_path / "s").exists()
