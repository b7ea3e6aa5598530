"""Boosted trees on Spark beside XGBoost in one process and XGBoost's own Spark estimator.

    .venv/bin/python benchmarks/boosting.py [rows=2000000] [columns=30] [rounds=100] [repeats=3] \
        [engines=fraudlake,xgboost,estimator]

Made-up rows in Parquet, one file a task, a quarter of them held out. Each engine does what a
training does: it reads the files, grows one booster without the held-out rows and one with all, on
two processors. In turn, in one run; medians, ratios to XGBoost in one process with two threads, and
the AUC of the first booster on the held-out rows.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost
from sklearn.metrics import roc_auc_score

from fraudlake import session
from fraudlake.models.xgboost.contender import XGBoostContender
from fraudlake.models.xgboost.fit import fit

TASKS = 2
PARAMETERS = {"max_depth": 6, "max_bin": 256}


def make(folder: Path, rows: int, columns: int) -> list[str]:
    """Parquet files; the label hangs on a few columns and their products."""
    names = [f"f{n}" for n in range(columns)]
    for task in range(TASKS):
        random = np.random.default_rng(task)
        x = random.normal(size=(rows // TASKS, columns)).astype(np.float32)
        odds = x[:, 0] * x[:, 1] + x[:, 2] - np.abs(x[:, 3]) - 3
        table = pa.table(dict(zip(names, x.T, strict=True)))
        label = random.random(len(x)) < 1 / (1 + np.exp(-odds))
        held_out = np.arange(len(x)) % 4 == 3
        table = table.append_column("label", pa.array(label.astype(np.int32)))
        table = table.append_column("held_out", pa.array(held_out))
        pq.write_table(table, folder / f"part-{task}.parquet", row_group_size=100_000)
    return names


def boosters(engine: str, spark, folder: Path, names: list[str], rounds: int):
    contender = XGBoostContender(
        kind="xgboost", workers=TASKS, rounds=rounds, parameters=PARAMETERS
    )
    parameters = contender.parameters.model_dump(exclude={"monotone_constraints"})
    if engine == "xgboost":
        table = pq.read_table(folder)
        x = np.column_stack([table[name].to_numpy() for name in names])
        label, held_out = table["label"].to_numpy(), table["held_out"].to_numpy()
        parameters |= {"objective": "binary:logistic", "nthread": TASKS, "tree_method": "hist"}
        found = []
        for chosen in (~held_out, np.ones(len(x), bool)):
            matrix = xgboost.QuantileDMatrix(
                x[chosen], label[chosen], max_bin=PARAMETERS["max_bin"], nthread=TASKS
            )
            found.append(xgboost.train(parameters, matrix, rounds))
        return found
    rows = spark.read.parquet(str(folder)).persist()
    rows.count()  # as a training has them
    try:
        if engine == "fraudlake":
            with tempfile.TemporaryDirectory() as scratch:
                weights = fit(rows, names, contender, 0, f"{scratch}/fit")
            found = [xgboost.Booster(model_file=bytearray(weights.early))]
            found[0].feature_names = None
            return found
        from xgboost.spark import SparkXGBClassifier

        trees = SparkXGBClassifier(
            features_col=names, label_col="label", num_workers=TASKS, n_estimators=rounds,
            tree_method="hist", verbose=False, verbosity=0, **parameters,
        )  # fmt: skip
        return [trees.fit(some).get_booster() for some in (rows.where("NOT held_out"), rows)]
    finally:
        rows.unpersist()


def main(rows="2000000", columns="30", rounds="100", repeats="3",
         engines="fraudlake,xgboost,estimator"):  # fmt: skip
    folder = Path(tempfile.mkdtemp())
    spark = session.open_spark(
        "boosting",
        **{
            "spark.master": f"local[{TASKS}]",
            "spark.driver.memory": "6g",
            "spark.ui.enabled": "false",
            # A file a task, and both tasks read at once.
            "spark.sql.files.maxPartitionBytes": "1g",
            "spark.sql.files.openCostInBytes": "1g",
        },
    )
    try:
        names = make(folder, int(rows), int(columns))
        table = pq.read_table(folder)
        some = table.filter(table["held_out"])
        x = np.column_stack([some[name].to_numpy() for name in names])
        matrix, label = xgboost.DMatrix(x), some["label"].to_numpy()
        took: dict[str, list[float]] = {engine: [] for engine in engines.split(",")}
        auc = {}
        for _ in range(int(repeats)):
            for engine, seconds in took.items():
                started = time.perf_counter()
                early = boosters(engine, spark, folder, names, int(rounds))[0]
                seconds.append(time.perf_counter() - started)
                early.feature_names = None
                auc[engine] = roc_auc_score(label, early.predict(matrix))
                print(f"{engine:10} {seconds[-1]:6.1f} s  AUC {auc[engine]:.5f}", file=sys.stderr)
        base = statistics.median(took.get("xgboost", [np.nan]))
        for engine, seconds in took.items():
            median = statistics.median(seconds)
            print(f"{engine:10} {median:6.1f} s  {median / base:5.2f}  AUC {auc[engine]:.5f}")
    finally:
        spark.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    from words import call

    call(main)
