"""Opens Spark: on one machine from `conf/spark/local.conf`, or as spark-submit has set it up."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake import resources
from fraudlake.errors import SetupError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DELTA_CLASS = "io.delta.sql.DeltaSparkSessionExtension"
_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
# Java's first compiler alone, with as much room for code as both would have.
_LIGHT = "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"
_RULES = {
    "spark.sql.session.timeZone": "UTC",
    # By default an instant is written in 96 bits, which others read at a third of the speed.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # An append counts its rows by them (`delta_log.append`).
    "spark.databricks.delta.stats.collect": "true",
    # No table is partitioned, and on the nested expressions of the record checks this rule alone
    # takes 20 s a query: it writes the lineage of a join key out in full.
    "spark.sql.optimizer.dynamicPartitionPruning.enabled": "false",
}


def local_properties(path: Path | None = None) -> dict[str, str]:
    """Properties of `conf/spark/local.conf`: one `key value` a line, `#` starts a comment line."""
    path = path or resources.folder("conf") / "spark" / "local.conf"
    pairs = (line.split(None, 1) for line in path.read_text().splitlines())
    return {p[0]: p[1].strip() for p in pairs if len(p) == 2 and not p[0].startswith("#")}


def open_spark(app_name: str, light: bool = False, **properties: str) -> SparkSession:
    """The Spark session of this process.

    Under spark-submit its properties rule; else `conf/spark/local.conf` does. Time is UTC either
    way. Executors run the Python of this process unless `PYSPARK_PYTHON` or `spark.pyspark.python`
    says otherwise.

    Parameters
    ----------
    app_name
        Name shown in Spark's UI and logs.
    light
        Whether Java does little beside Python: on one machine it then compiles fast, not well.
    properties
        Further Spark properties, `_` for `.` not allowed: pass them as `**{"spark.x": "y"}`.

    Raises
    ------
    SetupError
        Delta's JARs are not on the class path, or Java is missing.
    """
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql import SparkSession

    settings = dict(properties)
    if not submitted:
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        settings = local_properties() | settings
        _check_jars(settings)
        if light:
            settings[_JAVA_OPTIONS] = f"{settings.get(_JAVA_OPTIONS, '')} {_LIGHT}".strip()
    builder = SparkSession.builder.appName(app_name)
    try:
        with nullcontext() if submitted else _from_archive(settings):
            for key, value in settings.items():
                builder = builder.config(key, value)
            spark = builder.getOrCreate()
    except PySparkRuntimeError as error:
        raise SetupError(
            f"Spark did not start ({error.getCondition()}): got no answer from Java, expected Java "
            "17 or 21 on PATH or JAVA_HOME, and the memory that spark.driver.memory asks for; run "
            "`make setup` to have both checked"
        ) from error
    spark.sparkContext.setLogLevel("ERROR")
    jvm: Any = spark.sparkContext._jvm
    try:
        jvm.java.lang.Class.forName(
            _DELTA_CLASS, False, jvm.Thread.currentThread().getContextClassLoader()
        )
    except Exception:  # noqa: BLE001 - py4j wraps whatever Java throws
        spark.stop()
        raise SetupError(_no_jars("the class path")) from None
    for key, value in _RULES.items():
        spark.conf.set(key, value)
    return spark


@contextmanager
def configured(spark: SparkSession, settings: Mapping[str, str]) -> Iterator[None]:
    """Give the session some settings until the block ends, however it ends."""
    before = {key: spark.conf.get(key, None) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        yield
    finally:
        # Where Java has died, what it died of is the news.
        with suppress(ConnectionError):
            for key, old in before.items():
                spark.conf.unset(key) if old is None else spark.conf.set(key, old)


def start_folder() -> Path:
    """Where `scripts/classes.py` leaves what Java starts from, beside Spark's JARs."""
    import pyspark

    return Path(pyspark.__file__).parent / "start"


@contextmanager
def _from_archive(settings: dict[str, str]) -> Iterator[None]:
    """Let Java, started within the block, take its classes from an archive where there is one.

    Java looks whether it is for these JARs and itself, and leaves it alone where not. One that was
    cut off, which Java would not survive, is not shown to it.
    """
    folder, names = start_folder(), ("SPARK_HOME", "SPARK_CONF_DIR")
    archive, java = folder / "classes.jsa", folder / "java-home"
    if not java.is_file() or any(name in os.environ for name in names):
        yield
        return
    options = settings.get(_JAVA_OPTIONS, "")
    size = folder / "size"
    whole = size.is_file() and archive.is_file() and archive.stat().st_size == int(size.read_text())
    if whole:
        quiet = "-Xlog:cds=off -Xlog:cds+dynamic=off"
        settings[_JAVA_OPTIONS] = f'{options} "-XX:SharedArchiveFile={archive}" {quiet}'.strip()
    os.environ.setdefault("JAVA_HOME", java.read_text())
    # It is for one class path, on which a folder must be empty; Spark's own has a file.
    os.environ["SPARK_CONF_DIR"] = str(folder / "conf")
    try:
        yield
    finally:
        del os.environ["SPARK_CONF_DIR"]


def _check_jars(settings: dict[str, str]) -> None:
    import pyspark

    folder = Path(os.environ.get("SPARK_HOME") or Path(pyspark.__file__).parent) / "jars"
    if settings.get("spark.jars") or settings.get("spark.jars.packages"):
        return
    if not glob.glob(str(folder / "delta-spark_*.jar")):
        raise SetupError(_no_jars(str(folder)))


def _no_jars(where: str) -> str:
    return (
        f"Delta Lake is missing: got no delta-spark JAR on {where}, expected the JARs listed in "
        "scripts/jars.sha256; run `make setup`, or name them with spark.jars"
    )


def slots(spark: SparkSession) -> int:
    """Tasks that can run at the same time: cores of all executors / `spark.task.cpus`.

    On a cluster whose executors are still registering this waits for what the application asked for
    (at most 30 s).
    """
    import time

    context = spark.sparkContext
    cpus = int(context.getConf().get("spark.task.cpus", "1"))
    if str(context.master).startswith("local["):
        return context.defaultParallelism // cpus
    wanted = int(context.getConf().get("spark.cores.max", "0"))
    deadline = time.monotonic() + 30
    while context.defaultParallelism < wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    return context.defaultParallelism // cpus


def require_slots(spark: SparkSession, workers: int, what: str) -> None:
    """Refuse at once what would otherwise wait ten minutes for tasks that cannot start together.

    Raises
    ------
    SetupError
        Fewer slots than workers.
    """
    free = slots(spark)
    if free < workers:
        raise SetupError(
            f"{what} needs {workers} tasks at the same time, got {free} slots: give the "
            f"application {workers} cores (spark.master local[{workers}] or "
            f"spark.cores.max={workers}), or lower the contender's `workers`"
        )
