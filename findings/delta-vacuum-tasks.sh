#!/usr/bin/env bash
# delta-spark 4.4.0: VACUUM of a table of one file starts ten thousand tasks
#
# One would expect: a table of one file in one folder is listed by a task or two, or without any; where nothing
#   is to be removed, VACUUM ends in a moment.
# What happens: the folder's listing is spread over spark.sql.sources.parallelPartitionDiscovery.parallelism tasks,
#   a setting of Spark for another thing, 10000 by default. Spark itself takes the smaller of it and the number of
#   paths; Delta takes it as it is.
# Documented: the page "Table utility commands" has a setting for deleting in parallel and none for listing. The
#   remedy was named in delta issues 220 (2019) and 395 (2020), where it was about tables of many files.
# What it costs: nightly upkeep of a dozen small tables, whose work is nothing, keeps a small cluster or a single
#   machine busy for minutes: half a minute a table on two cores.
# Instead: set it to about the number of cores in sessions that run VACUUM.
#
# Seen:
#   delta-spark 4.4.0, pyspark 4.2.0
#   Deleted 0 files and directories in a total of 1 directories.
#   default: 10000 tasks or more
#   Deleted 0 files and directories in a total of 1 directories.
#   set to 4: fewer than 100 tasks
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
    SparkSession.builder.master("local[2]")
    .config("spark.ui.enabled", "false")
    .config("spark.jars.ivy", f"{os.getcwd()}/ivy")
    .config("spark.jars.packages", "io.delta:delta-spark_4.2_2.13:4.4.0")
    # What pyspark has itself: of Delta's dependencies only Delta's own and Unity Catalog's are wanted.
    .config("spark.jars.excludes", "org.*:*,com.*:*,commons-*:*,javax.*:*,io.airlift:*")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.databricks.delta.snapshotPartitions", "1")
    .config("spark.sql.shuffle.partitions", "2")
    .getOrCreate()
)
context = spark.sparkContext
context.setLogLevel("OFF")
print(f"delta-spark {version('delta-spark')}, pyspark {spark.version}")
path = f"{os.getcwd()}/payments"
spark.range(100).coalesce(1).write.format("delta").save(path)
parquet = [name for name in os.listdir(path) if name.endswith(".parquet")]
assert len(parquet) == 1, parquet


def tasks_of_vacuum(group):
    """Tasks that the jobs of one VACUUM ran."""
    context.setJobGroup(group, group)
    spark.sql(f"VACUUM delta.`{path}`").collect()
    tracker = context.statusTracker()
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = {stage for job in jobs for stage in job.stageIds}
    found = [tracker.getStageInfo(stage) for stage in stages]
    return sum(stage.numCompletedTasks for stage in found if stage)


many = tasks_of_vacuum("default")
print("default:", "10000 tasks or more" if many >= 10_000 else f"{many} tasks")
spark.conf.set("spark.sql.sources.parallelPartitionDiscovery.parallelism", "4")
few = tasks_of_vacuum("set")
print("set to 4:", "fewer than 100 tasks" if few < 100 else f"{few} tasks")
if not (many >= 10_000 and few < 100):
    sys.exit("changed: VACUUM starts as many tasks as a small table needs")
EOF
