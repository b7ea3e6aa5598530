"""Files of an input: what is there, how large, and which header each CSV file has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_OPENED_AT_ONCE = 16
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


def listing(spark: SparkSession, path: str) -> list[tuple[str, int]]:
    """Every file of an input with its size in bytes; of a Delta table its folder and version."""
    if is_delta(spark, path):
        from delta.tables import DeltaTable

        row = DeltaTable.forPath(spark, path).history(1).select("version").first()
        return [(path, row["version"])] if row else []
    rows = load(spark.read, "binaryFile", path).select("path", "length").collect()
    return sorted((row["path"], row["length"]) for row in rows)


def is_delta(spark: SparkSession, path: str) -> bool:
    """True where the path is the folder of a Delta table."""
    if re.search(r"[*?\[{]", path):
        return False
    log = _hadoop_path(spark, f"{path}/_delta_log")
    return log.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).exists(log)


def by_header(spark: SparkSession, files: list[str]) -> dict[str, list[str]]:
    """CSV header → files that have it; files of blank lines alone go with the first header.

    Raises
    ------
    DataError
        No file has a header.
    """
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        found = dict(zip(files, pool.map(lambda file: _header(spark, file), files), strict=True))
    headers = sorted({header for header in found.values() if header})
    if not headers:
        raise DataError(f"input: got {', '.join(files[:3])} without a line, expected a CSV header")
    groups: dict[str, list[str]] = {header: [] for header in headers}
    for file, header in found.items():
        groups[header or headers[0]].append(file)
    return groups


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
        said = _UNREADABLE.search(str(error))
        if said is None:
            raise
        raise DataError(f"input: {said[1].split(' SQLSTATE')[0]}") from error


def _header(spark: SparkSession, file: str) -> str | None:
    """First line of a file (compressed or not) that is not blank, without a byte order mark."""
    java: Any = spark.sparkContext._jvm
    path = _hadoop_path(spark, file)
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    codecs = java.org.apache.hadoop.io.compress.CompressionCodecFactory(system.getConf())
    codec, stream = codecs.getCodec(path), system.open(path)
    try:
        plain = codec.createInputStream(stream) if codec else stream
        text = java.java.io.InputStreamReader(plain, "UTF-8")
        lines = java.java.io.BufferedReader(text)
        line = lines.readLine()
        while line is not None and not line.strip():
            line = lines.readLine()
    finally:
        stream.close()
    return None if line is None else line.removeprefix("\ufeff")


def _hadoop_path(spark: SparkSession, path: str) -> Any:
    java: Any = spark.sparkContext._jvm
    return java.org.apache.hadoop.fs.Path(path)
