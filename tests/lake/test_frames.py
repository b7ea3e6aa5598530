"""DataFrames that are computed once."""

from pyspark.sql import functions as F

from fraudlake.lake import frames


def test_a_checkpoint_is_computed_once_and_measured_on_the_way(spark):
    computed = spark.sparkContext.accumulator(0)

    def counted(batches):
        for batch in batches:
            computed.add(batch.num_rows)
            yield batch

    rows = spark.range(10).mapInArrow(counted, "id bigint")
    kept, (total,) = frames.checkpointed(rows, total=F.sum("id"))
    assert (kept.count(), kept.count(), total, computed.value) == (10, 10, 45, 10)
    assert "MapInArrow" not in kept._jdf.queryExecution().executedPlan().toString()
    plain, measured = frames.checkpointed(spark.range(3))
    assert (plain.count(), measured) == (3, [])


def test_a_cache_goes_with_the_block(spark):
    rows = spark.range(5)
    with frames.cached(rows) as kept:
        assert kept.storageLevel.useMemory
        assert kept.count() == 5
    assert not rows.storageLevel.useMemory


def test_a_union_goes_by_name(spark):
    one = spark.range(1)
    a, b = one.selectExpr("1 AS x", "2 AS y"), one.selectExpr("3 AS y", "4 AS x")
    assert [tuple(row) for row in frames.union([a, b]).collect()] == [(1, 2), (4, 3)]
