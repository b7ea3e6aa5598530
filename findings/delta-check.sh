#!/usr/bin/env bash
# delta-spark 4.4.0: a CHECK lets NaN in and keeps null out, the reverse of what one knows of CHECK
#
# One would expect: CHECK (score BETWEEN 0 AND 1) keeps NaN out, which is no number between 0 and 1; and
#   CHECK (score >= 0.5) lets null in, as the SQL standard has it: a CHECK is broken by false, not by unknown.
# What happens: Delta wants the expression to be true, so null is refused in a column that may be null. And the
#   expression is Spark's, for which NaN is greater than every number: "score >= 0.5" and "amount > 0" are true
#   for NaN, and infinity passes as well. BETWEEN with an upper bound is the one that stops both.
# Documented: the page "Constraints" calls these standard SQL and says that the expression must be true. On null:
#   "Check constraints should not throw an exception when the condition is unknown (null)" (delta issue 1714,
#   open since 2023). On NaN: "NaN Semantics" in Spark's SQL reference; neither page names the other.
# What it costs: the table of flagged payments, guarded by its threshold, takes the rows of a model that broke
#   down, and averages over it become NaN; a nullable column gets a NOT NULL that nobody wrote.
# Instead: bound both sides and say it of null: CHECK (score IS NULL OR score BETWEEN 0 AND 1).
#
# Seen:
#   delta-spark 4.4.0, pyspark 4.2.0
#   constraint                                  0.2       NULL      NaN       Infinity
#   score >= 0.5                                refused   refused   stored    stored
#   score IS NULL OR score BETWEEN 0.5 AND 1    refused   stored    refused   refused
set -euo pipefail
unset PYTHONPATH SPARK_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyspark==4.2.0 delta-spark==4.4.0
SPARK_LOCAL_IP=127.0.0.1 venv/bin/python - 2>log <<'EOF' || { tail -n 3 log >&2 && exit 1; }
import os
import sys
from importlib.metadata import version

from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", "false")
    .config("spark.jars.ivy", f"{os.getcwd()}/ivy")
    .config("spark.jars.packages", "io.delta:delta-spark_4.2_2.13:4.4.0")
    # What pyspark has itself: of Delta's dependencies only Delta's own and Unity Catalog's are wanted.
    .config("spark.jars.excludes", "org.*:*,com.*:*,commons-*:*,javax.*:*,io.airlift:*")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.databricks.delta.snapshotPartitions", "1")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("OFF")

print(f"delta-spark {version('delta-spark')}, pyspark {spark.version}")
values = {"0.2": "0.2D", "NULL": "NULL", "NaN": "double('NaN')", "Infinity": "double('Infinity')"}
print(f"{'constraint':43}", *(f"{name:9}" for name in values))
seen = []
for i, check in enumerate(("score >= 0.5", "score IS NULL OR score BETWEEN 0.5 AND 1")):
    spark.sql(f"CREATE TABLE flagged{i} (score DOUBLE) USING delta")
    spark.sql(f"ALTER TABLE flagged{i} ADD CONSTRAINT valid CHECK ({check})")
    for value in values.values():
        try:
            spark.sql(f"INSERT INTO flagged{i} VALUES ({value})")
            seen.append("stored")
        except Exception as error:
            if "DELTA_VIOLATE_CONSTRAINT" not in str(error):
                raise
            seen.append("refused")
    print(f"{check:43}", *(f"{word:9}" for word in seen[-4:]))
if seen != "refused refused stored stored refused stored refused refused".split():
    sys.exit("changed: the constraint stops NaN, or lets null through")
EOF
