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
        learned, held_out = (
            [
                shard.read(group)
                for shard in snapshot.shards(folder, (0, 1), ["mean", "amount"], {flag})
                for group in shard.groups
            ]
            for flag in (False, True)
        )
        both = snapshot.shards(folder, (0, 1), ["mean", "amount"], {False, True})
        assert sum(shard.rows for shard in both) == 1000
        with pytest.raises(DataError, match="no rows for rank 2"):
            snapshot.shards(folder, (0, 2), ["amount"], {False})
    assert not Path(tmp_path / "s").exists()
    for parts, expected in ((learned, range(700)), (held_out, range(700, 1000))):
        x, label = (np.concatenate(each) for each in zip(*parts, strict=True))
        tx_id = x[:, 1].astype(int)
        assert sorted(tx_id) == list(expected) != list(tx_id)
        assert (x.dtype, label.dtype) == (np.float32, np.float32)
        np.testing.assert_array_equal(label, tx_id % 3 == 0)
        np.testing.assert_array_equal(x[:, 0], np.where(tx_id % 10 == 0, np.nan, tx_id / 2))


def test_row_groups_are_small_mixed_and_the_same_each_time(spark, tmp_path):
    rows = spark.range(40_000).selectExpr(
        "id AS tx_id", "CAST(id AS float) AS amount", "0 AS label", "false AS held_out"
    )

    def read():
        with snapshot.written(rows.repartition(1, "tx_id"), str(tmp_path / "s")) as folder:
            (shard,) = snapshot.shards(folder, [0], ["amount"], {False})
            return [shard.read(group)[0][:, 0] for group in shard.groups]

    first = read()
    assert [len(group) for group in first] == [16_384, 16_384, 7_232]
    for group in first:
        # The mean of a sample: six of its standard errors.
        assert abs(group.mean() - 20_000) < 6 * 11_547 / len(group) ** 0.5
    for one, other in zip(first, read(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_fails_inside_leaves_nothing_either(spark, tmp_path):
    rows = spark.range(3).selectExpr("id AS tx_id", "0 AS label", "false AS held_out")

    def fail():
        with snapshot.written(rows, str(tmp_path / "s")) as folder:
            raise RuntimeError(folder)

    with pytest.raises(RuntimeError, match=r"file:/.*/s"):
        fail()
    assert not Path(tmp_path / "s").exists()
