#!/usr/bin/env bash
# pyspark 4.2.0: a model that flags nothing has an F1 of 0.99
#
# One would expect: MulticlassClassificationEvaluator(metricName="f1") over two classes gives the F1 of the
#   fraud class, as scikit-learn's f1_score does: 0 for a model that never says fraud. Metrics that are
#   weighted by class carry it in their name: weightedPrecision, weightedRecall, weightedFMeasure.
# What happens: "f1" is weightedFMeasure under another name: the average over classes by their size. With
#   0.8 % fraud the sound class decides alone. It is the default metric as well.
# Documented: the list of metrics in the API does not say it; the page on evaluation metrics gives formulas
#   under the long names. A clearer name was talked about in "Clarify that fMeasure in MulticlassMetrics is
#   'micro' f1_score" (SPARK-15617, 2016); the old one stayed.
# What it costs: CrossValidator takes the model that flags least, and a dashboard shows 0.99 on the day on
#   which flagging stopped.
# Instead: metricName="fMeasureByLabel", metricLabel=1.0.
#
# Seen:
#   pyspark 4.2.0, 100,000 payments, 800 frauds, none flagged
#   f1               0.988 (the default metric)
#   weightedFMeasure 0.988
#   fMeasureByLabel  0.000
set -euo pipefail
unset PYTHONPATH SPARK_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyspark==4.2.0 numpy==2.4.6
SPARK_LOCAL_IP=127.0.0.1 venv/bin/python - 2>log <<'EOF' || { tail -n 3 log >&2 && exit 1; }
import sys

from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
scored = spark.range(100_000).selectExpr(
    "CASE WHEN id < 800 THEN 1D ELSE 0D END AS label", "0D AS prediction"
)

print(f"pyspark {spark.version}, 100,000 payments, 800 frauds, none flagged")
default = MulticlassClassificationEvaluator().getMetricName()
seen = {}
for name in ("f1", "weightedFMeasure", "fMeasureByLabel"):
    evaluator = MulticlassClassificationEvaluator(metricName=name, metricLabel=1.0)
    seen[name] = round(evaluator.evaluate(scored), 3)
    print(f"{name:16} {seen[name]:.3f}{' (the default metric)' if name == default else ''}")
if seen != {"f1": 0.988, "weightedFMeasure": 0.988, "fMeasureByLabel": 0.0}:
    sys.exit("changed: f1 is no longer the average weighted by class size")
EOF
