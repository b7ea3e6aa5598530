"""CSV: the first line of a file names the fields, each further line is a record.

One record is one line: a line break inside a quoted field makes two broken records of it.
"""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.ingest import files, records
from fraudlake.ingest.lines import Syntax, parse
from fraudlake.lake.frames import union

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from fraudlake.datasets import Dataset

_OPENED_AT_ONCE = 16


def read(spark: SparkSession, dataset: Dataset, path: str) -> DataFrame:
    """Records of all files; each may have a header of its own, with every needed field."""
    groups = _by_header(spark, files.names(spark, path, "csv files"))
    for header, members in groups.items():
        records.require(_columns(header), dataset, f"the header of {members[0]}")
    if len(groups) == 1:
        return _parsed(spark.read, path, next(iter(groups)), dataset)
    return union(
        [
            _parsed(spark.read, [files.literal(name) for name in members], header, dataset)
            for header, members in groups.items()
        ]
    )


def read_stream(spark: SparkSession, dataset: Dataset, path: str, max_files: int) -> DataFrame:
    """Records of files as they come, all with the header of those that are there.

    One that comes later with another header stops the stream.
    """
    expected = "at least one csv file that shows the columns of those to come"
    headers = list(_by_header(spark, files.names(spark, path, expected)))
    if len(headers) > 1:
        raise DataError(
            f"input: got CSV files with {len(headers)} headers ({' | '.join(headers)}), expected "
            "one in a stream"
        )
    records.require(_columns(headers[0]), dataset, "the CSV header")
    return _parsed(files.stream(spark, max_files), path, headers[0], dataset)


def _parsed(reader: Any, path: str | list[str], header: str, dataset: Dataset) -> DataFrame:
    return parse(records.of_text(reader, path), _syntax(header, dataset), header)


def _by_header(spark: SparkSession, names: list[str]) -> dict[str, list[str]]:
    """CSV header → files that have it; files of blank lines alone go with the first header.

    Raises
    ------
    DataError
        No file has a header.
    """
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        first = dict(zip(names, pool.map(lambda name: _header(spark, name), names), strict=True))
    headers = sorted({header for header in first.values() if header})
    if not headers:
        raise DataError(f"input: got {', '.join(names[:3])} without a line, expected a CSV header")
    groups: dict[str, list[str]] = {header: [] for header in headers}
    for name, header in first.items():
        groups[header or headers[0]].append(name)
    return groups


def _header(spark: SparkSession, file: str) -> str | None:
    """First line of a file (compressed or not) that is not blank, without a byte order mark."""
    java: Any = spark.sparkContext._jvm
    path = files.hadoop_path(spark, file)
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


def _columns(header: str) -> list[str]:
    """Names of the columns in a CSV header.

    Raises
    ------
    DataError
        A name is there twice.
    """
    names = [name.strip() for name in next(csv.reader([header]))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"input: got the CSV header {header} with {', '.join(twice)} twice, expected once"
        )
    return names


def _syntax(header: str, dataset: Dataset) -> Syntax:
    """How to parse the lines of files with this header.

    A line that names every column of the data set is the header of other files, with the columns in
    another order: the run stops rather than take one column for another. (Spark may ask this of the
    files' own header before it drops that.)
    """
    from pyspark.sql import functions as F

    raw, columns = F.col("raw"), _columns(header)
    positions = {name: f"c{number}" for number, name in enumerate(columns)}
    schema = ", ".join(f"{position} string" for position in [*positions.values(), "broken"])
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "broken", "escape": '"'}
    parsed = F.from_csv(raw, schema, options)

    def text(field: str) -> Column:
        at = positions.get(field)
        value = F.col(f"parsed.{at}") if at else F.lit(None).cast("string")
        return value.alias(field)

    fields = F.struct(*[text(field) for field in dataset.raw_fields()])
    quotes = F.length(raw) - F.length(F.replace(raw, F.lit('"')))
    named = [field for field in dataset.raw_fields() if field in positions]
    words = F.split(F.replace(raw, F.lit('"')), " *, *")
    names_all = raw.contains(named[0]) & (F.size(F.array_except(F.lit(named), words)) == 0)
    foreign = (raw != header) & names_all
    expected = F.lit(f"', expected the header '{','.join(columns)}' as in the files read before")
    stop = F.raise_error(F.concat(F.col("source_file"), F.lit(": got '"), raw, expected))
    broken = (
        F.when(foreign, stop.cast("string"))
        .when(quotes % 2 == 1, F.lit("expected a closing quote"))
        .when(
            F.col("parsed.broken").isNotNull(),
            F.lit(f"expected {len(columns)} comma-separated fields"),
        )
    )
    unknown = F.lit(records.unknown(columns, dataset))
    absent = F.lit([name for name in dataset.raw_fields() if name not in columns])
    return Syntax(parsed, fields, broken, unknown, absent)
