"""Parquet: a column is a field, null in files that lack it.

Files whose columns Spark can merge are read at once. Where it cannot, each kind of file is read by
itself: as fields become text, a column that one file has as whole numbers and another as doubles is
one field. Nanoseconds, which Spark has no type for, are cut to microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

from fraudlake import session
from fraudlake.errors import DataError
from fraudlake.ingest import files, nested, records
from fraudlake.lake.frames import union

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import DataType, StructType

    from fraudlake.feeds import Feed

_NANOS_AS_LONG = "spark.sql.legacy.parquet.nanosAsLong"
_OPENED_AT_ONCE = 16
_WHY_APART = re.compile(r"PARQUET_TYPE_ILLEGAL.*NANOS|CANNOT_MERGE_SCHEMAS", re.DOTALL)


def read(spark: SparkSession, dataset: Feed, path: str) -> DataFrame:
    """Records of all files."""
    names = files.names(spark, path, "parquet files")
    found = frames(spark, path, names)
    _require_alike({name: rows.schema for name, rows in found.items()}, dataset)
    folders = files.folders(names)
    return union([records.of_files(rows, dataset, folders) for rows in found.values()])


def frames(spark: SparkSession, path: str, names: list[str]) -> dict[str, DataFrame]:
    """Rows of all files by the name of one: all at once, or where Spark cannot, kind by kind."""
    if (rows := _at_once(spark, path)) is not None:
        return {names[0]: rows}
    return {
        kind.members[0]: _rows(spark.read, [files.literal(name) for name in kind.members], kind)
        for kind in _kinds(spark, names)
    }


def read_stream(spark: SparkSession, dataset: Feed, path: str, max_files: int) -> DataFrame:
    """Records of files as they come, with the columns of those that are there."""
    expected = "at least one parquet file that shows the columns of those to come"
    names = files.names(spark, path, expected)
    kind = _Kind(names, {})
    if (rows := _at_once(spark, path)) is None:
        kind, *others = _kinds(spark, names)
        if others:
            raise DataError(
                f"input: got {kind.members[0]} and {others[0].members[0]}, whose columns differ in "
                "type, expected one type of a column in all files of a stream"
            )
        rows = files.load(spark.read, "parquet", files.literal(names[0]))
    reader = files.stream(spark, max_files).schema(rows.schema)
    return records.of_files(_rows(reader, path, kind), dataset, files.folders(names))


def _at_once(spark: SparkSession, path: str) -> DataFrame | None:
    """All files with the columns of all; None where they have to be looked at one by one."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        with session.configured(spark, {_NANOS_AS_LONG: "false"}):
            return files.load(spark.read, "parquet", path, mergeSchema=True)
    except (PySparkException, Py4JError) as error:
        if not _WHY_APART.search(str(error)):
            raise
    # Whoever reads from here on knows by the files' own footers which numbers are nanoseconds.
    spark.conf.set(_NANOS_AS_LONG, "true")
    return None


class _Kind(NamedTuple):
    """Files with the same columns, and what Spark does not say of these: by name, also within."""

    members: list[str]
    unsaid: Mapping[str, Any]


def _kinds(spark: SparkSession, names: list[str]) -> list[_Kind]:
    """Files by the columns and types that their footers say."""
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        footers = list(pool.map(lambda name: _footer(spark, name), names))
    kinds: dict[str, _Kind] = {}
    for name, (said, unsaid) in zip(names, footers, strict=True):
        kinds.setdefault(said, _Kind([], unsaid)).members.append(name)
    return list(kinds.values())


def _footer(spark: SparkSession, name: str) -> tuple[str, Mapping[str, Any]]:
    """The columns of a file as text, and those that are nanoseconds, or empty (UNKNOWN)."""
    java: Any = spark.sparkContext._jvm
    settings = spark.sparkContext._jsc.hadoopConfiguration()
    hadoop = java.org.apache.parquet.hadoop
    file = hadoop.util.HadoopInputFile.fromPath(files.hadoop_path(spark, name), settings)
    with closing(hadoop.ParquetFileReader.open(file)) as opened:
        schema = opened.getFooter().getFileMetaData().getSchema()
    said = schema.toString()
    return said, _unsaid(schema) if re.search("NANOS|UNKNOWN", said) else {}


def _unsaid(group: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column in group.getFields():
        kind = str(column.getLogicalTypeAnnotation())
        inner = {} if column.isPrimitive() else _unsaid(column.asGroupType())
        if inner or "NANOS" in kind or kind == "UNKNOWN":
            found[column.getName()] = inner or kind
    return found


def _rows(reader: Any, path: str | list[str], kind: _Kind) -> DataFrame:
    """Rows of files of one kind."""
    rows = files.load(reader, "parquet", path)
    told = {
        name: _told(rows[nested.escaped(name)], rows.schema[name].dataType, said)
        for name, said in kind.unsaid.items()
    }
    return rows.withColumns(told) if told else rows


def _told(value: Column, kind: DataType, unsaid: Any) -> Column:
    """A column as what its footer says that it is."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, StructType

    if isinstance(unsaid, str):
        if unsaid == "UNKNOWN":
            return F.lit(None)
        micros = F.call_function("div", value - F.pmod(value, F.lit(1000)), F.lit(1000))
        instant = F.timestamp_micros(micros)
        return instant if unsaid.endswith("true)") else instant.cast("timestamp_ntz")
    if isinstance(kind, StructType):
        parts = [
            _told(value[part.name], part.dataType, unsaid.get(part.name, {})).alias(part.name)
            for part in kind
        ]
        return F.when(value.isNotNull(), F.struct(*parts)) if unsaid else value
    if isinstance(kind, ArrayType) and unsaid:  # a group around a group around the element
        (inner,) = unsaid.values()
        (element,) = inner.values()
        return F.transform(value, lambda part: _told(part, kind.elementType, element))
    return value


def _require_alike(schemas: Mapping[str, StructType], dataset: Feed) -> None:
    """Every field has one type in all files, but for numbers of several kinds and empty columns.

    Raises
    ------
    DataError
        One has not.
    """
    from pyspark.sql.types import NullType, NumericType

    problems = []
    for field in dataset.raw_fields():
        place = nested.rooted(field)[1]
        seen: dict[str, tuple[DataType, str]] = {}
        for name, schema in schemas.items():
            found = nested.in_struct(None, schema, place)
            if found and not isinstance(found[1], NullType):
                # A time says itself whether it has a zone.
                kind = found[1].typeName().removesuffix("_ntz")
                kind = "number" if isinstance(found[1], NumericType) else kind
                seen.setdefault(kind, (found[1], name))
        if len(seen) > 1:
            told = " and ".join(f"{kind.simpleString()} in {name}" for kind, name in seen.values())
            problems.append(f"{field} as {told}")
    if problems:
        raise DataError(
            f"input: got {'; '.join(problems)}, expected one type of a column in all files, "
            "numbers apart; write one of them anew"
        )
