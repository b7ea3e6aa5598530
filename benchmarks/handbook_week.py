"""The Fraud Detection Handbook's chapter 3 week, from raw files to measures, beside its figures.

Usage: python benchmarks/handbook_week.py FOLDER [LAKE] [SEED]

FOLDER holds the months 2018-04 to 2018-08 of the book's `simulated-data-raw` as Parquet, and where
it does not nothing is run; LAKE is build/handbook/lake if left out, SEED 1. The jobs are those that
a user runs, so a second run only reports. Needs two cores; takes some minutes.

Train 2018-07-25 to 07-31, labels known after 7 days, test 08-08 to 08-14 without compromised cards.
Contenders are those of conf/models, by its name, and of benchmarks/handbook, which stand for the
book's parameters where ours are others. The book's figures are its library defaults of the time
(chapter 3); its networks were measured on four later weeks (chapter 7) and are no like-for-like
comparison. `handbook/REPORT.md` has what came out.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path

from fraudlake import job, session

MONTHS = [f"2018-{month:02}" for month in range(4, 9)]
OURS = Path(__file__).parent / "handbook"
# What we train, and what the book has for it.
CONTENDERS = {
    "rules": ("two rules (not in the book)", (0.813, 0.442, 0.287)),
    "logistic": ("logistic regression", (0.871, 0.606, 0.291)),
    f"{OURS}/tree_2.yaml": ("decision tree, depth 2", (0.763, 0.496, 0.241)),
    f"{OURS}/tree_unlimited.yaml": ("decision tree, unlimited", (0.788, 0.309, 0.243)),
    "tree": ("", ()),
    f"{OURS}/forest_100.yaml": ("random forest, 100", (0.867, 0.658, 0.287)),
    "forest": ("", ()),
    "xgboost": ("XGBoost 100/.3/6", (0.862, 0.639, 0.273)),
    "mlp": ("", ()),
    "isolation": ("", ()),
}
TRAIN = {"train_from": "2018-07-25", "train_to": "2018-08-01", "delay": "7d"}
TEST = {"test_from": "2018-08-08", "test_to": "2018-08-15"}
ROWS = {"rows_train": 67240, "frauds_train": 598, "rows_test": 58264, "frauds_test": 385}
MEASURES = ("auc", "average_precision", "card_precision_at_100")


def main(folder: str, lake: str = "build/handbook/lake", seed: int = 1) -> None:
    if missing := [month for month in MONTHS if not list(Path(folder).glob(f"{month}*.parquet"))]:
        print(
            f"skipped: got no Parquet of {', '.join(missing)} in {folder}, expected the months of "
            "the book's simulated-data-raw, which are no part of this repository"
        )
        return
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
    for contender in CONTENDERS:
        run("train", contender, model=contender, seed=seed, **TRAIN, **TEST)
        for name, expected in ROWS.items():
            found = results[contender][name]
            assert found == expected, f"{name}: got {found}, the book has {expected}"
    spark.stop()

    print("| contender | AUC | AP | CP@100 | Brier | seconds | published | AUC | AP | CP@100 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for contender, (published, figures) in CONTENDERS.items():
        found = results[contender]
        ours = [f"{found[measure]:.3f}" for measure in MEASURES]
        ours += [f"{found['brier']:.5f}", f"{seconds[contender]:.0f}"]
        theirs = [f"{figure:.3f}" for figure in figures] or [""] * len(MEASURES)
        print("| " + " | ".join([f"`{Path(contender).stem}`", *ours, published, *theirs]) + " |")
    print("\nA perfect scorer has a card precision of 0.397.", end=" ")
    print(", ".join(f"{name} {seconds[name]:.0f} s" for name in ("ingest", "features")))


if __name__ == "__main__":
    from words import call

    call(main)
