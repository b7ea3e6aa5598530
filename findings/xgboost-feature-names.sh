#!/usr/bin/env bash
# xgboost 3.2.0 on pyspark 4.2.0: a feature that is called `weight` weighs the rows, too
#
# One would expect: SparkXGBClassifier with features_col=[names] takes those columns as features, and a
#   row's weight from weight_col alone. What a column is called makes no difference.
# What happens: within the estimator a frame of features and of its own columns lies under one set of
#   names. A feature called `weight` is a feature and the sample weight at once, one called `baseMargin`
#   is the score that every row starts from. Nothing is said; the model is another one.
# Documented: no. The names stand in xgboost/spark/data.py alone.
# What it costs: parcels have a weight, and so have baskets and insured goods. Frauds among light ones are
#   hardly learnt, scores are no shares of frauds any more, and no parameter explains it.
# Instead: give columns of such names others before fit: weight, baseMargin, qid, label, values,
#   validationIndicator.
#
# Seen:
#   xgboost-cpu 3.2.0 pyspark 4.2.0
#   share of frauds 0.198
#   the feature called grams: mean score 0.198, furthest from grams 0.000
#   the feature called weight: mean score 0.189, furthest from grams 0.384
#   the feature called baseMargin: mean score 0.059, furthest from grams 0.413
set -euo pipefail
unset PYTHONPATH SPARK_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6 pyspark==4.2.0 pandas==2.3.3 pyarrow==25.0.1
export PYSPARK_PYTHON=$PWD/venv/bin/python SPARK_LOCAL_IP=127.0.0.1
venv/bin/python - 2>log <<'EOF' || { grep -E "Error|changed" log | tail -n 3 >&2 && exit 1; }
import sys
from importlib.metadata import version

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from xgboost.spark import SparkXGBClassifier

random = np.random.default_rng(0)
number = 4000
frame = pd.DataFrame({"amount": random.random(number), "grams": random.random(number) ** 4})
frame["fraud"] = (random.random(number) < 0.5 * frame["amount"] * (1 - frame["grams"])).astype(int)

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()


def scores_of(name):
    """What the model says of the rows, the second feature under this name."""
    rows = spark.createDataFrame(frame.rename(columns={"grams": name})).coalesce(1)
    estimator = SparkXGBClassifier(
        features_col=["amount", name], label_col="fraud", n_estimators=30, max_depth=3
    )
    probability = estimator.fit(rows).transform(rows).select("probability").toPandas()
    return np.array([vector[1] for vector in probability["probability"]])


print("xgboost-cpu", version("xgboost-cpu"), "pyspark", version("pyspark"))
print(f"share of frauds {frame['fraud'].mean():.3f}")
scores = {name: scores_of(name) for name in ("grams", "weight", "baseMargin")}
off = {name: float(np.abs(each - scores["grams"]).max()) for name, each in scores.items()}
for name, each in scores.items():
    print(f"the feature called {name}: mean score {each.mean():.3f}, furthest from grams {off[name]:.3f}")
spark.stop()
if off["weight"] < 0.05 or off["baseMargin"] < 0.05:
    sys.exit("changed: the name of a feature makes no difference")
EOF
