#!/usr/bin/env bash
# pyspark 4.2.0: a perfect ranking has an area under the precision-recall curve of 0.5
#
# One would expect: BinaryClassificationEvaluator(metricName="areaUnderPR") gives 1 where each of 100 frauds
#   scores above each of 199,900 sound payments, as scikit-learn's average precision does.
# What happens: 0.5. The curve is cut into 1,000 bins of equally many distinct scores, 200 here; the first
#   bin holds all frauds and as many sound payments, so the curve starts at precision 0.5. The area under
#   the ROC curve hardly feels the bins (0.9997), which makes the other figure look sound, too.
# Documented: numBins is described as the number of bins to down-sample the curves to; its default is 1000
#   since 3.0. What that does to rare classes is not said. "Correct thresholds downsampled in
#   BinaryClassificationMetrics" (SPARK-27577) was about the bins' borders.
# What it costs: with 0.05 % fraud no model can show more than 0.5, and good models look alike;
#   CrossValidator, which takes this evaluator, picks among them by chance.
# Instead: numBins=0 (every distinct score is a point of the curve).
#
# Seen:
#   pyspark 4.2.0
#   numBins   area under PR   area under ROC
#   1000             0.5000           0.9997
#   0                1.0000           1.0000
set -euo pipefail
unset PYTHONPATH SPARK_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyspark==4.2.0 numpy==2.4.6
SPARK_LOCAL_IP=127.0.0.1 venv/bin/python - 2>log <<'EOF' || { tail -n 3 log >&2 && exit 1; }
import sys

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
scored = spark.range(200_000).selectExpr(
    "id / 200000D AS rawPrediction", "CASE WHEN id >= 199900 THEN 1D ELSE 0D END AS label"
)

print("pyspark", spark.version)
print("numBins   area under PR   area under ROC")
areas = {}
for bins in (BinaryClassificationEvaluator().getNumBins(), 0):
    pr, roc = (
        BinaryClassificationEvaluator(metricName=name, numBins=bins).evaluate(scored)
        for name in ("areaUnderPR", "areaUnderROC")
    )
    areas[bins] = round(pr, 4)
    print(f"{bins:<8} {pr:15.4f} {roc:16.4f}")
if areas != {1000: 0.5, 0: 1.0}:
    sys.exit("changed: the default bins no longer halve the area of a perfect ranking")
EOF
