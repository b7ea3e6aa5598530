"""Raw files and Delta tables as records: the record as it came, and its fields as text.

CSV and JSON lines are read line by line, so that a line that cannot be parsed is still a record.
One record is one line: a line break inside a quoted CSV field makes two broken records of it.
"""

from __future__ import annotations

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.ingest.checks import quoted
from fraudlake.tables import union

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from fraudlake.datasets import Dataset

_NAMES_SHOWN = 80
_OPENED_AT_ONCE = 16


def read(spark: SparkSession, dataset: Dataset, path: str) -> DataFrame:
    """Raw records of a file, a folder (with all below it), a pattern of files, or a Delta table.

    Parameters
    ----------
    dataset
        Names the format and the fields. A folder with a Delta log is read as a table whatever the
        format; its columns are the raw fields, or the columns of `transactions`.
    path
        Local path or URI.

    Returns
    -------
    DataFrame
        One row a record: `raw` (string, the line as it came, or the row as JSON), `source_file`
        (string, URI of the file; of the folder for a Delta table), `fields` (struct of strings,
        one for each of `dataset.raw_fields()`), `corrupt` (string, why the record cannot be read,
        else null), `unknown` and `absent` (array<string>: fields of the record that the data set
        does not name, and fields that it names and the record does not have).

    Raises
    ------
    DataError
        No files, or a file without a field that every record needs.
    """
    if is_delta(spark, path):
        table = spark.read.format("delta").load(path)
        return _from_columns(table, dataset, _uri(spark, path), typed_names=True)
    if not listing(spark, path):
        raise DataError(f"input: got {path} without a file in it, expected {dataset.format} files")
    if dataset.format == "parquet":
        return _from_columns(_files(spark.read, "parquet", path, mergeSchema=True), dataset)
    if dataset.format == "jsonl":
        return parse_lines(_lines(spark.read, path), dataset)
    by_header: dict[str, list[str]] = {}
    for file, header in _headers(spark, path).items():
        by_header.setdefault(header, []).append(file)
    if len(by_header) == 1:
        return parse_lines(_lines(spark.read, path), dataset, next(iter(by_header)))
    return union(
        [
            parse_lines(_lines(spark.read, [_literal(file) for file in files]), dataset, header)
            for header, files in sorted(by_header.items())
        ]
    )


def read_stream(
    spark: SparkSession, dataset: Dataset, path: str, files_per_batch: int
) -> DataFrame:
    """The same as `read`, as a stream of what is there and of what arrives later.

    Parameters
    ----------
    path
        A folder, a pattern of files or a Delta table. For Parquet and CSV some files must be there:
        they give the columns. All CSV files must have the same header; a file that arrives
        later with another one stops the stream, it is never misread.
    files_per_batch
        Most files in one micro-batch.

    Returns
    -------
    DataFrame
        A streaming DataFrame with the columns of `read`.

    Raises
    ------
    DataError
        No file to take the columns from, one without a needed field, or several CSV headers.
    """
    reader = spark.readStream.option("maxFilesPerTrigger", files_per_batch)
    if is_delta(spark, path):
        table = reader.format("delta").load(path)
        return _from_columns(table, dataset, _uri(spark, path), typed_names=True)
    if dataset.format == "jsonl":
        return parse_lines(_lines(reader, path), dataset)
    if not listing(spark, path):
        raise DataError(
            f"input: got {path} without a file in it, expected at least one {dataset.format} file "
            "that shows the columns of those to come"
        )
    if dataset.format == "parquet":
        schema = _files(spark.read, "parquet", path, mergeSchema=True).schema
        return _from_columns(_files(reader.schema(schema), "parquet", path), dataset)
    headers = sorted(set(_headers(spark, path).values()))
    if len(headers) > 1:
        raise DataError(f"input: got CSV files with several headers ({headers}), expected one in a stream")
    return parse_lines(_lines(reader, path), dataset, headers[0])


def parse_lines(lines: DataFrame, dataset: Dataset, header: str | None = None) -> DataFrame:
    """Records from lines of text: JSON objects, or CSV where a header is given.

    Parameters
    ----------
    lines
        Columns `raw` and `source_file` (strings); batch or stream.
    header
        The header line of CSV; lines equal to it are no records.

    Returns
    -------
    DataFrame
        The columns of `read`.
    """
    from pyspark.sql import functions as F

    raw = F.col("raw")
    as_text = F.when(~F.is_valid_utf8(raw), F.lit("expected text in UTF-8"))
    blank = F.when(F.btrim(raw, F.lit(" \t")) == "", F.lit("expected a record, not a blank line"))
    lines = lines.withColumn("broken", F.coalesce(as_text, blank))
    lines = lines.withColumn("raw", F.make_valid_utf8(raw))
    if header is None:
        parsed, fields, broken, names = _json(dataset)
        unknown = F.array_except(names, F.lit([*dataset.raw_fields(), *dataset.ignore]))
        unknown = F.transform(unknown, lambda name: F.left(name, F.lit(_NAMES_SHOWN)))
        absent = F.array_except(F.lit(dataset.raw_fields()), names)
    else:
        columns = _split(header)
        present = _require(columns, dataset, "the header of a CSV file")
        lines = lines.where(raw != header)
        parsed, fields, broken = _csv(columns, dataset, present)
        unknown, absent = F.lit(_unknown(columns, dataset)), F.lit(_absent(present, dataset))
    parsed_lines = lines.withColumn("parsed", parsed)
    broken = F.concat(F.lit("got "), quoted(raw), F.lit(", "), F.coalesce("broken", broken))
    corrupt = parsed_lines.withColumn("corrupt", broken)
    readable = F.col("corrupt").isNull()
    none = F.lit([]).cast("array<string>")
    return corrupt.select(
        "raw",
        "source_file",
        F.when(readable, fields).alias("fields"),
        "corrupt",
        F.when(readable, unknown).otherwise(none).alias("unknown"),
        F.when(readable, absent).otherwise(none).alias("absent"),
    )


def listing(spark: SparkSession, path: str) -> list[tuple[str, int]]:
    """Every file that `read` reads with its size in bytes; a Delta table with its version."""
    if is_delta(spark, path):
        from delta.tables import DeltaTable

        history = DeltaTable.forPath(spark, path).history(1)
        return [(path, history.select("version").first()[0])]
    rows = _files(spark.read, "binaryFile", path).select("path", "length")
    return sorted((row[0], row[1]) for row in rows.collect())


def is_delta(spark: SparkSession, path: str) -> bool:
    """True where the path is the folder of a Delta table."""
    system, folder = _open(spark, path)
    return not re.search(r"[*?\[{]", path) and system.exists(_path(spark, path + "/_delta_log"))


def _json(dataset: Dataset) -> tuple[Column, Column, Column, Column]:
    """How to parse a JSON line: parsed value, fields, what is broken, names of the fields.

    The record is put into an object that ends with a field of ours: Spark stops reading where a
    value ends, so anything behind the record would go unseen. Values are variants, which keep 38
    digits of a number where text would have gone through a double.
    """
    from pyspark.sql import functions as F

    wrapped = F.concat(F.lit('{"record":'), F.col("raw"), F.lit(',"end":1}'))
    schema = "record map<string, variant>, `end` string, broken string"
    options = {"columnNameOfCorruptRecord": "broken", "allowSingleQuotes": "false"}
    parsed = F.from_json(wrapped, schema, {"mode": "PERMISSIVE", **options})
    record = F.col("parsed.record")
    names = F.map_keys(record)
    fields = F.struct(
        *[
            F.try_element_at(record, F.lit(name)).cast("string").alias(name)
            for name in dataset.raw_fields()
        ]
    )
    broken = F.when(
        record.isNull() | F.col("parsed.end").isNull() | F.col("parsed.broken").isNotNull(),
        F.lit("expected one JSON object"),
    ).when(
        F.size(names) > F.size(F.array_distinct(names)),
        F.lit("expected one JSON object with each field once"),
    )
    return parsed, fields, broken, names


def _csv(columns: list[str], dataset: Dataset, present: dict[str, str]) -> tuple[Column, Column, Column]:
    """How to parse a CSV line: parsed value, fields, what is broken."""
    from pyspark.sql import functions as F

    raw = F.col("raw")
    positions = [f"c{number}" for number in range(len(columns))]
    schema = ", ".join(f"{position} string" for position in [*positions, "broken"])
    options = {"columnNameOfCorruptRecord": "broken", "escape": '"'}
    parsed = F.from_csv(raw, schema, {"mode": "PERMISSIVE", **options})
    place = dict(zip(columns, positions, strict=True))
    fields = F.struct(
        *[
            (F.col(f"parsed.{place[name]}") if name in present else F.lit(None).cast("string")).alias(name)
            for name in dataset.raw_fields()
        ]
    )
    quotes = F.length(raw) - F.length(F.replace(raw, F.lit('"')))
    named = F.lit([name for name in columns if name in present])
    foreign = raw.contains(columns[0]) & (F.size(F.array_except(named, F.split(raw, " *, *"))) == 0)
    stop = F.raise_error(
        F.concat(
            F.lit("input: got the header "), raw, F.lit(" in "), F.col("source_file"),
            F.lit(f", expected {','.join(columns)} as in the files read before"),
        )
    )  # fmt: skip
    broken = (
        F.when(foreign, stop.cast("string"))
        .when(quotes % 2 == 1, F.lit("expected a closing quote"))
        .when(F.col("parsed.broken").isNotNull(), F.lit(f"expected {len(columns)} comma-separated fields"))
    )
    return parsed, fields, broken


def _from_columns(
    rows: DataFrame, dataset: Dataset, source_file: str | None = None, typed_names: bool = False
) -> DataFrame:
    """Records from rows of a format with columns; instants get the offset that they mean."""
    from pyspark.sql import functions as F

    types = dict(rows.dtypes)
    typed = {column.source: name for name, column in dataset.columns.items()}
    if typed_names and not set(typed) <= set(types) and set(typed.values()) <= set(types):
        present, unknown, absent = typed, [], []
    else:
        present = _require(list(types), dataset, "the columns")
        unknown, absent = _unknown(list(types), dataset), _absent(present, dataset)

    def text(field: str) -> Column:
        if field not in present:
            return F.lit(None).cast("string").alias(field)
        name = present[field]
        value = F.col(_escaped(name)).cast("string")
        if types[name] == "timestamp":
            value = F.concat(value, F.lit("Z"))
        return value.alias(field)

    from_file = F.col("_metadata.file_path") if source_file is None else F.lit(source_file)
    everything = F.struct(*[_escaped(name) for name in types])
    return rows.select(
        F.to_json(everything, {"ignoreNullFields": "false"}).alias("raw"),
        from_file.alias("source_file"),
        F.struct(*[text(field) for field in dataset.raw_fields()]).alias("fields"),
        F.lit(None).cast("string").alias("corrupt"),
        F.lit(unknown).cast("array<string>").alias("unknown"),
        F.lit(absent).cast("array<string>").alias("absent"),
    )


def _require(columns: list[str], dataset: Dataset, where: str) -> dict[str, str]:
    """Field → column for the fields that are there; each needed one must be."""
    present = {field: field for field in dataset.raw_fields() if field in columns}
    missing = [
        column.source for column in dataset.columns.values() if column.required and column.source not in present
    ]
    if missing:
        close = [hit for name in missing for hit in get_close_matches(name, columns, n=1)]
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise DataError(
            f"input: got {', '.join(columns)} as {where}, expected {', '.join(missing)} too{hint}"
        )
    return present


def _unknown(columns: list[str], dataset: Dataset) -> list[str]:
    return [name for name in columns if name not in (*dataset.raw_fields(), *dataset.ignore)]


def _absent(present: dict[str, str], dataset: Dataset) -> list[str]:
    return [name for name in dataset.raw_fields() if name not in present]


def _files(reader: Any, format: str, path: str | list[str], **options: Any) -> DataFrame:
    return reader.format(format).option("recursiveFileLookup", True).options(**options).load(path)


def _lines(reader: Any, path: str | list[str]) -> DataFrame:
    from pyspark.sql import functions as F

    lines = _files(reader, "text", path)
    return lines.select(F.col("value").alias("raw"), F.col("_metadata.file_path").alias("source_file"))


def _headers(spark: SparkSession, path: str) -> dict[str, str]:
    """File → its first line; files without one are left out."""
    files = [file for file, size in listing(spark, path) if size]
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        lines = pool.map(lambda file: _first_line(spark, file), files)
    found = {file: line for file, line in zip(files, lines, strict=True) if line is not None}
    if not found:
        raise DataError(f"input: got {path} with empty files alone, expected a header in each")
    return found


def _first_line(spark: SparkSession, file: str) -> str | None:
    """First line of a file that may be compressed, without a byte order mark."""
    java = spark.sparkContext._jvm
    system, path = _open(spark, file)
    stream = system.open(path)
    try:
        codec = java.org.apache.hadoop.io.compress.CompressionCodecFactory(system.getConf()).getCodec(path)
        plain = codec.createInputStream(stream) if codec else stream
        line = java.java.io.BufferedReader(java.java.io.InputStreamReader(plain, "UTF-8")).readLine()
    finally:
        stream.close()
    return line.removeprefix("\ufeff") if line else None


def _split(header: str) -> list[str]:
    names = [name.strip() for name in next(csv.reader([header]))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"input: got the CSV header {header} with {', '.join(twice)} twice, expected once")
    return names


def _path(spark: SparkSession, path: str) -> Any:
    return spark.sparkContext._jvm.org.apache.hadoop.fs.Path(path)


def _open(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """File system of a path, and the path as that file system names it."""
    hadoop = _path(spark, path)
    return hadoop.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf()), hadoop


def _uri(spark: SparkSession, path: str) -> str:
    system, folder = _open(spark, path)
    return system.makeQualified(folder).toString()


def _literal(path: str) -> str:
    """A path in which nothing is read as a pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", path)


def _escaped(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
