"""What the batch plan saves: a day added against a full rebuild, one hot key cut against uncut.

    .venv/bin/python benchmarks/plan.py [rows=1000000] [days=365] [hot=0.5] \
        [parts=increments,hot,spark]

`rows` payments of `days` days by rows/200 customers at rows/100 terminals, a share `hot` of them at
one terminal. First part: the Handbook's features of all days but the last; then the last day comes,
then 1,000 late payments and 1,000 corrected labels; beside each increment's time stands that of a
full build of the same lake. Second part: the hot terminal with windows of 1 hour to 365 days, cut
in time and not. Memory is the largest sum over Python workers, seen ten times a second. Third part:
one terminal with a 30-day window beside Spark's own, at sizes where that comes to an end.
"""

from __future__ import annotations

import tempfile
import threading
import time
from dataclasses import replace

import psutil
from pyspark.sql import Window
from pyspark.sql import functions as F

from fraudlake import session
from fraudlake.datasets import load_dataset
from fraudlake.features.batch.compute import compute
from fraudlake.features.batch.survey import survey
from fraudlake.features.definition.feature_set import FeatureSet, load_feature_set
from fraudlake.features.table.build import build
from fraudlake.lake import Lake
from fraudlake.lake.scan import Scan
from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS

DATASET = load_dataset("handbook")


def payments(spark, rows, days, hot):
    """Payments in the order of time; everything follows from `tx_id`."""
    return spark.range(rows).selectExpr(
        "id AS tx_id",
        f"timestamp_micros(1514764800000000 + id * {days * 86_400_000_000 // rows}) AS event_time",
        "CAST(1 + pmod(xxhash64(id, 1), 9000) / 100 AS decimal(18,2)) AS amount",
        f"pmod(xxhash64(id, 2), {rows // 200}) AS customer_id",
        f"IF(pmod(xxhash64(id, 3), 1000) < {hot * 1000:.0f}, -1,"
        f" pmod(xxhash64(id, 4), {rows // 100})) AS terminal_id",
    )


def labels(rows, source="bank", fraud="pmod(xxhash64(tx_id, 5), 100) = 0"):
    known = "event_time + INTERVAL 7 DAYS AS known_at"
    return rows.selectExpr("tx_id", f"{fraud} AS is_fraud", known, f"'{source}' AS source")


def append(lake, table, rows):
    lake.create(
        table, {"customer_id": "bigint", "terminal_id": "bigint"} if table is TRANSACTIONS else {}
    )
    rows.write.format("delta").mode("append").save(lake.path(table))


class Peak(threading.Thread):
    """Largest memory of all Python workers together while the block runs, in MB."""

    def __enter__(self):
        self.megabytes, self.running = 0.0, True
        self.start()
        return self

    def __exit__(self, *_):
        self.running = False
        self.join()

    def run(self):
        while self.running:
            used = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    if "python" in child.name():
                        used += child.memory_full_info().uss
                except psutil.Error:
                    continue
            self.megabytes = max(self.megabytes, used / 1e6)
            time.sleep(0.1)


def timed(run):
    started = time.perf_counter()
    result = run()
    return time.perf_counter() - started, result


def increments(spark, folder, rows, days, hot):
    feature_set = load_feature_set("handbook")
    everything = payments(spark, rows, days, hot)
    last = f"event_time >= date_add(DATE'2018-01-01', {days - 1})"
    late = f"pmod(xxhash64(tx_id, 6), {rows}) < 1000"
    corrected = f"pmod(xxhash64(tx_id, 7), {rows}) < 1000"
    steps = [
        ("all but a day", f"NOT {last} AND NOT {late}", "false"),
        ("the last day", f"{last} AND NOT {late}", "false"),
        ("late, corrected", late, corrected),
    ]
    lake = Lake(spark, f"{folder}/lake")
    print(f"{'':<16}{'new':>9}{'updated':>9}{'increment':>12}{'full build':>12}")
    for number, (name, which, again) in enumerate(steps):
        append(lake, TRANSACTIONS, everything.where(which))
        append(lake, LABELS, labels(everything.where(which)))
        if again != "false":
            append(lake, LABELS, labels(everything.where(again), "court", "true"))
        seconds, result = timed(lambda: build(lake, feature_set, DATASET))
        whole = Lake(spark, f"{folder}/whole{number}")
        for table in (TRANSACTIONS, LABELS):
            append(whole, table, lake.read(table))
        full, _ = timed(lambda whole=whole: build(whole, feature_set, DATASET))
        a, b = lake.read(FEATURES), whole.read(FEATURES)
        assert a.exceptAll(b).isEmpty()
        assert b.exceptAll(a).isEmpty()
        first = "new" not in result
        shown = f"{'' if first else f'{seconds:.1f} s':>12}{full:>10.1f} s"
        print(
            f"{name:<16}{result.get('new', result['rows']):>9}{result.get('updated', 0):>9}{shown}"
        )


def hot_key(spark, folder, rows, days):
    payments(spark, rows, days, 1.0).write.parquet(f"{folder}/hot")
    frame = spark.read.parquet(f"{folder}/hot")
    print(f"\none terminal, {rows} rows")
    print(f"{'window':<8}{'uncut':>10}{'cut':>10}{'slices':>8}{'memory':>18}")
    for window in ("1h", "1d", "30d", "365d"):
        block = {
            "entity": "terminal",
            "operations": ["count", {"mean": "amount"}],
            "windows": [window],
        }
        feature_set = FeatureSet.model_validate({"features": [block]})
        seconds, memory, sums = [], [], set()
        seen = survey(Scan(frame), feature_set, DATASET.entities)
        for chosen in (replace(seen, slicing={}), seen):
            made = compute(frame, None, None, feature_set, DATASET.entities, chosen)
            with Peak() as peak:
                took, row = timed(made.selectExpr("bit_xor(xxhash64(*))", "count(*)").first)
            seconds.append(took)
            memory.append(peak.megabytes)
            sums.add(tuple(row))
        assert len(sums) == 1, "slices give other values"
        span = days * 86_400_000_000
        slices = -(-span // seen.slicing["terminal"].length) if seen.slicing else 1
        print(
            f"{window:<8}{seconds[0]:>8.1f} s{seconds[1]:>8.1f} s{slices:>8}"
            f"{memory[0]:>9.0f}{memory[1]:>6.0f} MB"
        )


def beside_spark(spark, folder):
    window = {"entity": "terminal", "operations": ["count", {"mean": "amount"}], "windows": ["30d"]}
    feature_set = FeatureSet.model_validate({"features": [window]})
    range_of = Window.partitionBy("terminal_id").orderBy(F.unix_micros("event_time"))
    frame_of = range_of.rangeBetween(-30 * 86_400_000_000 + 1, 0)
    print(f"\none terminal, 30 days\n{'rows':<10}{'kernels':>10}{'Spark':>10}")
    for rows in (25_000, 50_000, 100_000, 200_000):
        path = f"{folder}/beside{rows}"
        payments(spark, rows, 365, 1.0).write.parquet(path)
        frame = spark.read.parquet(path)
        ours = compute(frame, None, None, feature_set, DATASET.entities)
        own = frame.select(
            "tx_id",
            F.count("*").over(frame_of).alias(feature_set.features[0].name),
            F.avg("amount").over(frame_of),
        )
        took, found = [], set()
        for made in (ours, own):
            check = f"bit_xor(xxhash64(tx_id, CAST({feature_set.features[0].name} AS bigint)))"
            seconds, row = timed(made.selectExpr(check).first)
            took.append(seconds)
            found.add(row[0])
        assert len(found) == 1, "other counts than Spark's"
        print(f"{rows:<10}{took[0]:>8.1f} s{took[1]:>8.1f} s", flush=True)


def main(rows="1000000", days="365", hot="0.5", parts="increments,hot,spark"):
    spark = session.open_spark("plan")
    with tempfile.TemporaryDirectory() as folder:
        if "increments" in parts:
            increments(spark, folder, int(rows), int(days), float(hot))
        if "hot" in parts:
            hot_key(spark, folder, int(rows), int(days))
        if "spark" in parts:
            beside_spark(spark, folder)
    spark.stop()


if __name__ == "__main__":
    from words import call

    call(main)
