"""Files of an input: what is there, how large, and what Spark says where one cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What Spark says where a file cannot be read; anything else is no matter of the input.
_UNREADABLE = re.compile(
    r"\[(?:FAILED_READ_FILE|CANNOT_READ_FILE_FOOTER|CANNOT_MERGE_SCHEMAS|PARQUET_TYPE|PATH_NOT_FOUND"
    r"|UNABLE_TO_INFER_SCHEMA|USER_RAISED_EXCEPTION)[\w.]*\] ([^\n]*)"
)
# Records that vanished from a topic, and the reason the connector gives.
_LOST = re.compile(
    r"not available in Kafka any more;.*?Reason:(.*?)(?:\. SQLSTATE|\n=|$)", re.DOTALL
)


def load(reader: Any, kind: str, path: str | list[str], **options: Any) -> DataFrame:
    """Files of a kind below a path, in all its folders; `reader` is `read` or `readStream`."""
    return reader.format(kind).option("recursiveFileLookup", True).options(**options).load(path)


def stream(spark: SparkSession, max_files: int) -> Any:
    """A reader of files as they come, so many at most in one micro-batch."""
    return spark.readStream.option("maxFilesPerTrigger", max_files)


def listing(spark: SparkSession, path: str) -> list[tuple[str, int]]:
    """Every file of an input with its size in bytes; of a Delta table its folder and version."""
    if is_delta(spark, path):
        from delta.tables import DeltaTable

        row = DeltaTable.forPath(spark, path).history(1).select("version").first()
        return [(path, row["version"])] if row else []
    rows = load(spark.read, "binaryFile", path).select("path", "length").collect()
    return sorted((row["path"], row["length"]) for row in rows)


def names(spark: SparkSession, path: str, expected: str) -> list[str]:
    """Every file of an input.

    Raises
    ------
    DataError
        There is none; `expected` says in its message what was.
    """
    files = [file for file, _ in listing(spark, path)]
    if not files:
        raise DataError(f"input: got {path} without a file in it, expected {expected}")
    return files


def is_delta(spark: SparkSession, path: str) -> bool:
    """True where the path is the folder of a Delta table."""
    if re.search(r"[*?\[{]", path):
        return False
    log = hadoop_path(spark, f"{path}/_delta_log")
    return log.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).exists(log)


def literal(path: str) -> str:
    """A path in which nothing is read as a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


@contextmanager
def readable() -> Iterator[None]:
    """Turns what Spark says about an input that it cannot read into an error for the user."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except (PySparkException, Py4JError) as error:
        if lost := _LOST.search(str(error)):
            reason = " ".join(lost[1].split())
            raise DataError(
                f"input: Kafka no longer has records that were not read yet ({reason}), "
                "expected every offset since the last batch: docs/operating.md says what to do"
            ) from error
        match = _UNREADABLE.search(str(error))
        if match is None:
            raise
        raise DataError(f"input: {match[1].split(' SQLSTATE')[0]}") from error


def hadoop_path(spark: SparkSession, path: str) -> Any:
    """The path as Hadoop's classes take it."""
    java: Any = spark.sparkContext._jvm
    return java.org.apache.hadoop.fs.Path(path)
