"""The Handbook's 12 windows by four engines: from the same Parquet files to a table on disk.

Each engine drops the doubles, computes the windows and writes every column.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import ParquetFile

DAYS = (1, 7, 30)
DELAY = 7
DAY = 86_400_000_000


def columns() -> list[str]:
    """Names of the 12 columns, in order."""
    names = []
    for days in DAYS:
        names += [f"customer_count_{days}d", f"customer_mean_amount_{days}d"]
    for days in DAYS:
        names += [f"terminal_count_{days}d_delay7d", f"terminal_rate_fraud_{days}d_delay7d"]
    return names


def fraudlake(source: Path, target: Path) -> None:
    """The kernels of this project, which take a double once, to the table `features` of a lake."""
    from fraudlake import session
    from fraudlake.datasets import load_dataset
    from fraudlake.features.batch.compute import Batch, brought_home, feature_columns, own_columns
    from fraudlake.features.batch.home import HomeTask
    from fraudlake.features.batch.survey import survey
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.features.stages import Result
    from fraudlake.features.table.files import WRITTEN, ByDay, WriteFile, collected
    from fraudlake.features.table.layout import files_of
    from fraudlake.lake import Lake
    from fraudlake.lake.scan import Scan, shared_out
    from fraudlake.lake.tables import FEATURES

    spark = session.open_spark("windows", light=True, **_spark())  # as the job does
    raw = spark.read.parquet(str(source))
    files = [(str(path), ParquetFile(path).metadata.num_rows) for path in source.glob("*.parquet")]
    rows = Scan(raw, shared_out(sorted(files)))

    def told(batches):
        """Statements about the frauds, a week later; who says nothing does not call it fraud."""
        for batch in batches:
            frauds = batch.filter(pc.equal(batch["fraud"], 1))
            known = pc.add(frauds["event_time"].cast("int64"), 7 * DAY)
            columns = {
                "tx_id": frauds["tx_id"],
                "is_fraud": pa.array([True] * len(frauds), pa.bool_()),
                "known_at": known.cast(pa.timestamp("us", "UTC")),
                "source": pa.array(["bank"] * len(frauds), pa.string()),
            }
            yield pa.record_batch(columns)

    said = "tx_id bigint, is_fraud boolean, known_at timestamp, source string"
    labels = rows.mapped(["tx_id", "event_time", "fraud"], told, said)
    handbook, dataset = load_feature_set("handbook"), load_dataset("handbook")
    lake = Lake(spark, str(target.parent), target.name)
    lake.create(FEATURES, dataset.entity_types() | feature_columns(handbook))
    seen = survey(rows, handbook, dataset.entities)
    result = Result(own_columns(dataset.entities), tuple(handbook.features))
    batch = Batch(rows, None, Scan(labels), handbook, dataset.entities, seen)
    task = HomeTask(batch.windows, WriteFile(lake.file_writer(FEATURES), result, handbook.hash))
    made = brought_home(batch, ByDay(files_of(seen.days)), result.reads, task, WRITTEN)
    lake.replace_files(FEATURES, collected(made).files)
    spark.stop()


def spark_range(source: Path, target: Path) -> None:
    """Spark's own RANGE BETWEEN windows, to a Delta table."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    from fraudlake import session

    spark = session.open_spark("windows", **_spark())
    rows = spark.read.parquet(str(source)).dropDuplicates(["tx_id"])
    rows = rows.withColumn("micros", F.unix_micros("event_time"))
    cents = (F.col("amount") * 100).cast("bigint")
    by_customer = Window.partitionBy("customer_id").orderBy("micros")
    by_terminal = Window.partitionBy("terminal_id").orderBy("micros")
    found = []
    for days in DAYS:
        over = by_customer.rangeBetween(-days * DAY + 1, 0)
        count = F.count("*").over(over)
        found += [count, F.sum(cents).over(over) / (count * 100)]
    for days in DAYS:
        over = by_terminal.rangeBetween(-(DELAY + days) * DAY + 1, -DELAY * DAY)
        count = F.count("*").over(over)
        rate = F.coalesce(F.try_divide(F.sum("fraud").over(over), count), F.lit(0.0))
        found += [count, rate]
    named = [column.alias(name) for column, name in zip(found, columns(), strict=True)]
    kept = ["tx_id", "event_time", "customer_id", "terminal_id", "amount"]
    rows.select(*kept, *named).write.format("delta").save(str(target))
    spark.stop()


def duckdb(source: Path, target: Path) -> None:
    """DuckDB's RANGE windows, to one Parquet file."""
    import duckdb as engine

    kept = "tx_id, event_time, customer_id, terminal_id, cents / 100 AS amount"
    found, windows = [], []
    for days in DAYS:
        frame = f"RANGE BETWEEN {days * DAY - 1} PRECEDING AND CURRENT ROW"
        windows.append(f"c{days} AS (PARTITION BY customer_id ORDER BY micros {frame})")
        count = f"count(*) OVER c{days}"
        found += [count, f"sum(cents) OVER c{days} / (100.0 * {count})"]
    for days in DAYS:
        first, last = (DELAY + days) * DAY - 1, DELAY * DAY
        frame = f"RANGE BETWEEN {first} PRECEDING AND {last} PRECEDING"
        windows.append(f"t{days} AS (PARTITION BY terminal_id ORDER BY micros {frame})")
        count = f"count(*) OVER t{days}"
        found += [count, f"coalesce(sum(fraud) OVER t{days} / {count}, 0)"]
    named = ", ".join(f"{sql} AS {name}" for sql, name in zip(found, columns(), strict=True))
    payments = f"SELECT *, epoch_us(event_time) AS micros FROM read_parquet('{source}/*.parquet')"
    target.mkdir()
    with engine.connect() as connection:
        connection.execute("SET threads = 2; SET memory_limit = '12GB'")
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(
            f"COPY (WITH payments AS (SELECT DISTINCT ON (tx_id) * FROM ({payments})) "
            f"SELECT {kept}, {named} FROM payments WINDOW {', '.join(windows)}) "
            f"TO '{target}/rows.parquet' (FORMAT parquet)"
        )


def polars(source: Path, target: Path) -> None:
    """Polars' `rolling_*_by` over groups, to one Parquet file.

    Its windows have no delay: one with a delay is the longer window less the delay.
    """
    import polars as pl

    def rolled(column: str, key: str, days: int) -> pl.Expr:
        return pl.col(column).rolling_sum_by("event_time", f"{days}d", closed="right").over(key)

    rows = pl.scan_parquet(f"{source}/*.parquet").unique("tx_id").sort("event_time")
    rows = rows.with_columns(pl.lit(1).alias("one"), (pl.col("cents") / 100).alias("amount"))
    found = []
    for days in DAYS:
        count = rolled("one", "customer_id", days)
        found += [count, rolled("cents", "customer_id", days) / (100 * count)]
    for days in DAYS:
        count, frauds = (
            rolled(column, "terminal_id", DELAY + days) - rolled(column, "terminal_id", DELAY)
            for column in ("one", "fraud")
        )
        found += [count, pl.when(count > 0).then(frauds / count).otherwise(0.0)]
    named = [column.alias(name) for column, name in zip(found, columns(), strict=True)]
    kept = ["tx_id", "event_time", "customer_id", "terminal_id", "amount"]
    target.mkdir()
    rows.select(*kept, *named).collect().write_parquet(target / "rows.parquet")


ENGINES = {"fraudlake": fraudlake, "spark": spark_range, "duckdb": duckdb, "polars": polars}


def _spark() -> dict[str, str]:
    return {"spark.master": "local[2]", "spark.driver.memory": "8g"}
