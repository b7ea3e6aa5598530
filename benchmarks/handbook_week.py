"""The Fraud Detection Handbook's chapter 3 week, from raw files to measures, beside its figures.

Usage: python benchmarks/handbook_week.py FOLDER [LAKE]

FOLDER holds the months 2018-04 to 2018-08 of the book's `simulated-data-raw` as Parquet; LAKE is
build/handbook/lake if left out. The jobs are those that a user runs, so a second run only reports.
Needs two cores; takes some minutes.

Train 2018-07-25 to 07-31, labels known after 7 days, test 08-08 to 08-14 without compromised cards.
The book's rows are its library defaults of the time (chapter 3); its networks were measured on four
later weeks (chapter 7) and are no like-for-like comparison.
"""

from __future__ import annotations

import json
import logging
import sys
import time

from fraudlake import job, session

PUBLISHED = {
    "book: logistic regression": (0.871, 0.606, 0.291),
    "book: random forest, 100": (0.867, 0.658, 0.287),
    "book: XGBoost 100/.3/6": (0.862, 0.639, 0.273),
    "book: perfect scorer": (1.0, 1.0, 0.397),
}
TRAIN = {"train_from": "2018-07-25", "train_to": "2018-08-01", "delay": "7d"}
TEST = {"test_from": "2018-08-08", "test_to": "2018-08-15"}
ROWS = {"rows_train": 67240, "frauds_train": 598, "rows_test": 58264, "frauds_test": 385}


def main(folder: str, lake: str = "build/handbook/lake") -> None:
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("fraudlake").setLevel(logging.INFO)
    spark = session.open_spark("handbook week")
    results, seconds = {}, {}

    def run(name, key, **values):
        started = time.monotonic()
        results[key] = job.call(name, spark, lake=lake, **values)
        seconds[key] = time.monotonic() - started
        print(json.dumps(results[key], default=str), file=sys.stderr)

    run("ingest", "ingest", dataset="handbook", input=folder)
    # The three weeks that are trained on, wait for their labels, and are tested on.
    run("features", "features", **{"from": TRAIN["train_from"], "to": TEST["test_to"]})
    for contender in ("xgboost", "mlp"):
        run("train", contender, model=contender, **TRAIN, **TEST)
        for name, expected in ROWS.items():
            found = results[contender][name]
            assert found == expected, f"{name}: got {found}, the book has {expected}"
    spark.stop()

    print(f"{'':<28}{'AUC':>7}{'AP':>7}{'CP@100':>8}{'seconds':>9}")
    for name, figures in PUBLISHED.items():
        print(f"{name:<28}" + "{:>7.3f}{:>7.3f}{:>8.3f}".format(*figures))
    for contender in ("xgboost", "mlp"):
        r = results[contender]
        figures = (r["auc"], r["average_precision"], r["card_precision_at_100"], seconds[contender])
        print(
            f"{'fraudlake: ' + contender:<28}" + "{:>7.3f}{:>7.3f}{:>8.3f}{:>9.0f}".format(*figures)
        )
    for name in ("ingest", "features"):
        print(f"{name:<50}{seconds[name]:>9.0f}")


if __name__ == "__main__":
    from words import call

    call(main)
