#!/usr/bin/env bash
# pyspark 4.2.0, py4j: a Java class asked for part by part (`jvm.org.apache.spark.sql.SaveMode`) costs many times what
#   it costs by its full name, again with each use
#
# One would expect: `jvm.org.apache.spark.sql.SaveMode` walks attributes of Python, or asks Java once and remembers.
# What happens: each dot is a message to Java, which takes the name up to there for a class and looks for it in every
#   JAR on the class path, in vain until the last one. Nothing is remembered. getattr(jvm, "the.full.Name") is one
#   message, and the class is found at once; pyspark's own code has come to write it so.
# Documented: py4j's page on `jvm` shows the dots and says nothing of what they cost.
# What it costs: 1.9 ms for .02 ms a mention, with the JARs of Delta beside those of Spark; a job that asks Delta's log
#   for a few things has hundreds.
# Instead: getattr(jvm, "org.apache.spark.sql.SaveMode").
#
# Seen:
#   pyspark 4.2.0, py4j 0.10.9.9
#   by parts again: a new object of Python each time
#   by parts at least 5 times as slow as by the full name: True
set -euo pipefail
unset PYTHONPATH SPARK_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyspark==4.2.0
SPARK_LOCAL_IP=127.0.0.1 venv/bin/python - 2>log <<'EOF' || { tail -n 3 log >&2 && exit 1; }
import sys
from importlib.metadata import version
from statistics import median
from time import perf_counter

from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
jvm = spark.sparkContext._jvm


def seconds(ask):
    found = []
    for _ in range(500):
        start = perf_counter()
        ask()
        found.append(perf_counter() - start)
    return median(found[100:])


parts = seconds(lambda: jvm.org.apache.spark.sql.SaveMode)
whole = seconds(lambda: getattr(jvm, "org.apache.spark.sql.SaveMode"))
print(f"pyspark {spark.version}, py4j {version('py4j')}")
anew = jvm.org is not jvm.org
print(f"by parts again: {'a new object of Python each time' if anew else 'the same object'}")
print(f"by parts at least 5 times as slow as by the full name: {parts > 5 * whole}")
if not anew or parts <= 5 * whole:
    sys.exit("changed: parts of a name are remembered, or cost no more than the whole")
EOF
