"""Window features three ways on the same rows: our build, Spark's own RANGE windows, pandas.

    .venv/bin/python benchmarks/windows.py [rows=200000] [hot=0.0] [repeats=3]

Rows: `rows` payments of 60 days by rows/200 customers at rows/100 terminals; a share `hot` of them
at one terminal, as large merchants are. Features: the Handbook's 12 windows. Each way's values are
compared with ours, bit for bit, before its time is printed; times are the best of `repeats`, and
cover reading the rows from Parquet and computing every column, writing none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from decimal import Decimal

import numpy as np
import pandas as pd

from fraudlake import session
from fraudlake.features.compute import about_frauds, compute, feature_columns
from fraudlake.features.definition import load_feature_set

DAY = 86_400_000_000
ENTITIES = {"customer": "customer_id", "terminal": "terminal_id"}
DAYS = (1, 7, 30)


def payments(rows, hot):
    """Payments at distinct times: Spark's RANGE would count later ones of the same instant."""
    random = np.random.default_rng(0)
    terminal = random.integers(1, rows // 100 + 1, rows)
    terminal[random.random(rows) < hot] = 0
    micros = np.sort(random.choice(60 * 86_400_000, rows, replace=False)) * 1000
    return pd.DataFrame(
        {
            "tx_id": np.arange(rows),
            "event_time": pd.to_datetime(micros, unit="us", utc=True).astype("datetime64[us, UTC]"),
            "customer_id": random.integers(0, rows // 200, rows),
            "terminal_id": terminal,
            "amount": [Decimal(int(c)) / 100 for c in random.integers(100, 30_000, rows)],
            "is_fraud": random.random(rows) < 0.01,
        }
    )


def ours(spark, folder):
    feature_set = load_feature_set("handbook")
    rows = spark.read.parquet(folder).withColumn("amount", _money())
    nothing = rows.where("false")
    labels = rows.selectExpr(
        "tx_id", "is_fraud", "event_time + INTERVAL 7 DAYS AS known_at", "'bank' AS source"
    )
    few = about_frauds(labels).cache()  # as the build does: Spark broadcasts what it knows is small
    few.count()
    return compute(rows, lambda _: nothing, few, feature_set, ENTITIES)


def spark_range(spark, folder):
    """What the manual suggests: RANGE BETWEEN, ordered by microseconds."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows = spark.read.parquet(folder).withColumn("amount", _money())
    rows = rows.withColumn("micros", F.unix_micros("event_time"))
    by_customer = Window.partitionBy("customer_id").orderBy("micros")
    by_terminal = Window.partitionBy("terminal_id").orderBy("micros")
    columns = {}
    for days in DAYS:
        recent = by_customer.rangeBetween(-days * DAY + 1, 0)
        mature = by_terminal.rangeBetween(-(7 + days) * DAY + 1, -7 * DAY)
        count, frauds = F.count("*").over(mature), F.count_if("is_fraud").over(mature)
        columns |= {
            f"customer_count_{days}d": F.count("*").over(recent),
            f"customer_mean_amount_{days}d": F.sum((F.col("amount") * 100).cast("bigint")).over(
                recent
            )
            / (F.count("*").over(recent) * 100),
            f"terminal_count_{days}d_delay7d": count,
            f"terminal_rate_fraud_{days}d_delay7d": F.coalesce(
                F.try_divide(frauds, count), F.lit(0.0)
            ),
        }
    return rows.select("tx_id", *(column.alias(name) for name, column in columns.items()))


def pandas_rolling(folder):
    """What a notebook does: groupby and rolling; a delayed window is the longer less the delay."""
    rows = pd.read_parquet(folder)
    rows["cents"] = (rows["amount"].astype(float) * 100).round()
    rows["fraud"] = rows["is_fraud"].astype(float)
    columns = {}

    def rolled(key, column, days):
        """Count and sum of the last days, in the order of `rows`."""
        ordered = rows.sort_values([key, "event_time"])
        windows = ordered.set_index("event_time").groupby(key)[column].rolling(f"{days}D")
        result = np.empty((2, len(rows)))
        result[:, ordered.index] = windows.count(), windows.sum()
        return result

    for days in DAYS:
        count, total = rolled("customer_id", "cents", days)
        columns[f"customer_count_{days}d"] = count
        columns[f"customer_mean_amount_{days}d"] = total / (count * 100)
    late = rolled("terminal_id", "fraud", 7)
    for days in DAYS:
        count, frauds = rolled("terminal_id", "fraud", 7 + days) - late
        columns[f"terminal_count_{days}d_delay7d"] = count
        rate = np.divide(frauds, count, out=np.zeros(len(rows)), where=count > 0)
        columns[f"terminal_rate_fraud_{days}d_delay7d"] = rate
    return pd.DataFrame(columns).assign(tx_id=rows["tx_id"])


def _money():
    from pyspark.sql import functions as F

    return F.col("amount").cast("decimal(18,2)")


def best(repeats, run):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def noop(frame):
    frame.write.format("noop").mode("overwrite").save()
    frame.sparkSession.catalog.clearCache()


def main(rows="200000", hot="0.0", repeats="3"):
    repeats = int(repeats)
    spark = session.open_spark("windows")
    with tempfile.TemporaryDirectory() as folder:
        payments(int(rows), float(hot)).to_parquet(f"{folder}/rows.parquet", index=False)
        names = [n for n in feature_columns(load_feature_set("handbook")) if "_" in n]
        expected = ours(spark, folder).toPandas().sort_values("tx_id")[names].to_numpy(float)
        reference = pandas_rolling(folder).sort_values("tx_id")[names].to_numpy(float)
        assert np.array_equal(expected, reference), "pandas gives other values"
        of_spark = spark_range(spark, folder).toPandas().sort_values("tx_id")[names].to_numpy(float)
        assert np.array_equal(expected, of_spark), "Spark's RANGE windows give other values"
        seconds = {
            "ours": best(repeats, lambda: noop(ours(spark, folder))),
            "Spark RANGE": best(repeats, lambda: noop(spark_range(spark, folder))),
            "pandas rolling": best(repeats, lambda: pandas_rolling(folder)),
        }
    spark.stop()
    print(f"{rows} rows, {hot} of them at one terminal; equal values to the bit")
    for name, value in seconds.items():
        print(f"{name:<16}{value:8.2f} s {value / seconds['ours']:8.2f} ×")


if __name__ == "__main__":
    main(**dict(word.split("=") for word in sys.argv[1:]))
