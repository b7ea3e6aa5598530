#!/usr/bin/env bash
# pyspark 4.2.0: 23 hours ago and 24 hours ago are the same moment
#
# One would expect: INTERVAL 1 DAY may follow the calendar, INTERVAL 24 HOURS is 24 hours of elapsed time; a
#   card that paid 23.5 hours ago is in a window of 24 hours, whatever the clocks did.
# What happens: both are one type in Spark. It adds whole days by the calendar of the session's time zone and
#   only the rest as elapsed time. Within a day of the clocks going forward, minus 24 hours is one calendar day,
#   so 23 hours; minus 23 hours is 23 hours as well. RANGE BETWEEN INTERVAL 24 HOURS PRECEDING does the same;
#   F.window("24 hours") counts elapsed time.
# Documented: "Literals" in the SQL reference describes one day-time type with fields from day to second and
#   says nothing of how it is added. Since 3.2: "Support add/subtract of a day-time interval to/from a
#   timestamp" (SPARK-34761) chose to split off whole days, as the older interval type did, which knew whether
#   days or hours had been written.
# What it costs: velocity features ("payments in 24 hours") miss an hour on one day of the year and take in one
#   too many on another, for all cards at once, and differ from any service that computes elapsed time.
# Instead: run sessions in UTC (spark.sql.session.timeZone), or order the window by seconds:
#   ORDER BY unix_seconds(ts) RANGE BETWEEN 86400 PRECEDING AND CURRENT ROW.
#
# Seen:
#   pyspark 4.2.0, clocks went forward in the night before 2026-03-29 12:30 in Berlin
#   session time zone   minus 23 hours     minus 24 hours     payment 23.5 hours ago is in the window
#   Europe/Berlin       2026-03-28 12:30   2026-03-28 12:30   by INTERVAL 24 HOURS: no, by seconds: yes
#   UTC                 2026-03-28 11:30   2026-03-28 10:30   by INTERVAL 24 HOURS: yes, by seconds: yes
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

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
query = """
    SELECT date_format(ts - INTERVAL 23 HOURS, 'yyyy-MM-dd HH:mm') AS minus_23,
           date_format(ts - INTERVAL 24 HOURS, 'yyyy-MM-dd HH:mm') AS minus_24,
           count(*) OVER (ORDER BY ts RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW) = 2,
           count(*) OVER (ORDER BY unix_seconds(ts) RANGE BETWEEN 86400 PRECEDING AND CURRENT ROW) = 2
    FROM VALUES (TIMESTAMP'2026-03-28T11:00:00Z'), (TIMESTAMP'2026-03-29T10:30:00Z') AS payments(ts)
    ORDER BY ts DESC LIMIT 1
"""
print(f"pyspark {spark.version}, clocks went forward in the night before 2026-03-29 12:30 in Berlin")
print("session time zone   minus 23 hours     minus 24 hours     payment 23.5 hours ago is in the window")
seen = {}
for zone in ("Europe/Berlin", "UTC"):
    spark.conf.set("spark.sql.session.timeZone", zone)
    minus_23, minus_24, by_interval, by_seconds = spark.sql(query).first()
    seen[zone] = (minus_23 == minus_24, by_interval, by_seconds)
    yes = {True: "yes", False: "no"}
    windows = f"by INTERVAL 24 HOURS: {yes[by_interval]}, by seconds: {yes[by_seconds]}"
    print(f"{zone:19} {minus_23}   {minus_24}   {windows}")
if seen != {"Europe/Berlin": (True, False, True), "UTC": (False, True, True)}:
    sys.exit("changed: 24 hours are no longer a calendar day of the session's time zone")
EOF
