"""Files of an input: what is there, how large, and what Spark says where one cannot be read."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

# What Spark says where a file cannot be read; anything else is no matter of the input.
_UNREADABLE = re.compile(
    r"\[(?:FAILED_READ_FILE|CANNOT_READ_FILE_FOOTER|CANNOT_MERGE_SCHEMAS|PARQUET_TYPE|PATH_NOT_FOUND"
    r"|UNABLE_TO_INFER_SCHEMA|USER_RAISED_EXCEPTION)[\w.]*\] ([^\n]*)"
)
# Records that vanished from a topic, and the reason the connector gives.
_LOST = re.compile(
    r"not available in Kafka any more;.*?Reason:(.*?)(?:\. SQLSTATE|\n=|$)", re.DOTALL
)
_CHANGED = re.compile(
    r"\[DELTA_SOURCE_(?:TABLE_)?IGNORE_(?:CHANGES|DELETE)\][^\n]*?\bversion (\d+)"
)
_ARCHIVE = re.compile(r"(?i)\.(zip|xlsx?|7z|rar|tar|tgz|tar\.\w+)$")
# What files begin with that are no text, whatever their names.
_NO_TEXT = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "an archive", b"Rar!": "an archive"} | {
    b"\xd0\xcf\x11\xe0": "a workbook", b"PAR1": "a Parquet file", b"Obj\x01": "an Avro file",
    b"\x1f\x8b": "a file compressed by gzip", b"(\xb5/\xfd": "a file compressed by zstd",
}  # fmt: skip
_FOLDER = re.compile(r"(?<=/)([^/=]+)=[^/]*(?=/)")


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
    refuse_archives(files)
    return files


def refuse_archives(names: Iterable[str]) -> None:
    """Raise `DataError` where a file holds others: Spark would read its bytes as text."""
    for name in names:
        if ending := _ARCHIVE.search(name):
            raise DataError(
                f"input: got {name}, expected files as they are or each compressed (.gz, .bz2, "
                f".zst); take what is in the {ending[1].lower()} out of it first"
            )


def folders(names: Iterable[str]) -> frozenset[str]:
    """Fields that the folders of files give: `day` of `day=2024-01-01/part.csv`."""
    return frozenset(key for name in names for key in _FOLDER.findall(name))


def or_folder(value: Column, name: str, folders: Collection[str], source_file: Column) -> Column:
    """The text of a field or, where there is none, what the folder of its file says.

    Names of folders are written as Hive and Spark write them.
    """
    from pyspark.sql import functions as F

    if name not in folders:
        return value
    said = F.regexp_extract(source_file, f"/{re.escape(name)}=([^/]*)/", 1)
    for _ in range(2):  # once for the URI, once for the name
        said = F.try_url_decode(F.replace(said, F.lit("+"), F.lit("%2B")))
    said = F.when(~said.isin("", "__HIVE_DEFAULT_PARTITION__"), said)
    return F.coalesce(value, said)


def beginning(spark: SparkSession, name: str, size: int) -> bytes:
    """The first bytes of a file of text, compressed or not.

    Raises
    ------
    DataError
        They are those of an archive or of a file of another kind.
    """
    java: Any = spark.sparkContext._jvm
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    opening = java.org.apache.spark.sql.execution.datasources.CodecStreams
    path = hadoop_path(spark, name)
    with closing(opening.createInputStreamWithCloseResource(settings, path)) as plain:
        found = bytes(plain.readNBytes(size))
    for mark, kind in _NO_TEXT.items():
        if found.startswith(mark):
            raise DataError(
                f"input: got {name}, {kind} by its first bytes, expected a file of text; take "
                "what is in it out first, name compressed files .gz, .bz2 or .zst, or correct "
                "the data set's format"
            )
    return found


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
        if changed := _CHANGED.search(str(error)):
            raise DataError(
                f"input: got a table of which version {changed[1]} changes or deletes rows, "
                "expected rows to be added alone; source_changes=skip passes over such versions: "
                "docs/operating.md says what that leaves out"
            ) from error
        match = _UNREADABLE.search(str(error))
        if match is None:
            raise
        raise DataError(f"input: {match[1].split(' SQLSTATE')[0]}") from error


def hadoop_path(spark: SparkSession, path: str) -> Any:
    """The path as Hadoop's classes take it."""
    java: Any = spark.sparkContext._jvm
    return java.org.apache.hadoop.fs.Path(path)
