#!/usr/bin/env bash
# pyspark 4.2.0: approx_top_k gives an empty list where five keys lead a hundredfold
#
# One would expect: approx_top_k(card, 5) gives five cards, the counts being rough.
# What happens: the sketch behind it tracks about 10,000 keys, and the function returns only keys that are
#   certain to be frequent. Among two million cards with one transaction each, five cards with 100 each
#   stay below the sketch's own error: the list is empty. No null, no warning.
# Documented: since 4.1.0; the reference of built-in functions names the arguments, no error bound. Databricks'
#   page of the same function gives one for each count (twice the rows by maxItemsTracked, 400 here). That
#   fewer than k keys may come back, or none, is said on neither. The strictness is that of DataSketches'
#   frequent items ("no false positives").
# What it costs: hot cards, terminals or addresses that are looked for this way (to spread skew, to watch
#   for card testing) are not found just where keys are many; an empty list reads as "nobody stands out".
# Instead: count exactly and take the head (groupBy, count, orderBy, limit), or raise maxItemsTracked to its
#   limit of 1,000,000 and check the size of the result.
#
# Seen:
#   pyspark 4.2.0
#   exact count:                     100 100 100 100 100
#   approx_top_k(card, 5):           (empty)
#   approx_top_k(card, 5, 1000000):  101 101 101 101 101
set -euo pipefail
unset PYTHONPATH SPARK_HOME
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyspark==4.2.0
SPARK_LOCAL_IP=127.0.0.1 venv/bin/python - 2>log <<'EOF' || { tail -n 3 log >&2 && exit 1; }
import sys

from pyspark.sql import SparkSession

spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
spark.sql("""
    SELECT id AS card FROM range(2000000)
    UNION ALL
    SELECT -1 - id % 5 AS card FROM range(500)
""").createOrReplaceTempView("payments")

top = "SELECT card, count(*) AS count FROM payments GROUP BY card ORDER BY count DESC LIMIT 5"
seen = {"exact count": {row["card"]: row["count"] for row in spark.sql(top).collect()}}
for call in ("approx_top_k(card, 5)", "approx_top_k(card, 5, 1000000)"):
    leaders = spark.sql(f"SELECT {call} FROM payments").first()[0]
    seen[call] = {leader["item"]: leader["count"] for leader in leaders}

print("pyspark", spark.version)
for name, counts in seen.items():
    print(f"{name + ':':32} {' '.join(map(str, counts.values())) or '(empty)'}")
cards = [sorted(counts) for counts in seen.values()]
if cards != [cards[0], [], cards[0]]:
    sys.exit("changed: approx_top_k no longer gives an empty list by default")
EOF
