"""Raw files, Delta tables and Kafka topics as records: each as it came, and its fields as text.

CSV and JSON lines are read line by line, so that a line that cannot be parsed is still a record.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.ingest import files, kafka, lines
from fraudlake.lake.frames import union
from fraudlake.options import is_topic

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from fraudlake.datasets import Dataset


def read(
    spark: SparkSession,
    dataset: Dataset,
    path: str,
    properties: str | None = None,
    avro: str | None = None,
) -> DataFrame:
    """Raw records of a file, a folder (with all below it), a pattern, a Delta table or a topic.

    Parameters
    ----------
    dataset
        Names the format and the fields. A folder with a Delta log is read as a table whatever the
        format; its columns are the raw fields, or the columns of `transactions`.
    path
        Local path or URI; of a topic `kafka://host:port[,host:port]/topic`, of which everything is
        read that it holds at this call. Its values are JSON, whatever the format.
    properties, avro
        Of a topic: the client's settings and the schemas of Avro values (see `kafka.named`).

    Returns
    -------
    DataFrame
        One row a record: `raw` (string, the line as it came, or the row as JSON), `source_file`
        (string, URI of the file; of the folder for a Delta table; `kafka://topic/partition/offset`,
        the offset in 20 digits), `fields` (struct of strings,
        one for each of `dataset.raw_fields()`), `corrupt` (string, why the record cannot be read,
        else null), `unknown` and `absent` (array<string>: fields of the record that the data set
        does not name, and fields that it names and the record does not have). Of a topic also
        `published_at` (timestamp of the record in Kafka).

    Raises
    ------
    DataError
        No files, or a file without a field that every record needs.
    SetupError
        No broker answers, or there is no such topic.
    """
    if is_topic(path):
        return lines.parse(kafka.read(spark, kafka.named(path, properties, avro)), dataset)
    if files.is_delta(spark, path):
        return _from_table(spark.read.format("delta").load(path), dataset, path)
    found = [file for file, _ in files.listing(spark, path)]
    if not found:
        raise DataError(f"input: got {path} without a file in it, expected {dataset.format} files")
    if dataset.format == "parquet":
        return _from_files(files.load(spark.read, "parquet", path, mergeSchema=True), dataset)
    if dataset.format == "jsonl":
        return lines.parse(_lines(spark.read, path), dataset)
    groups = files.by_header(spark, found)
    for header, members in groups.items():
        _require(lines.split_header(header), dataset, f"the header of {members[0]}")
    if len(groups) == 1:
        return lines.parse(_lines(spark.read, path), dataset, next(iter(groups)))
    return union(
        [
            lines.parse(_lines(spark.read, [files.literal(m) for m in members]), dataset, header)
            for header, members in groups.items()
        ]
    )


def read_stream(
    spark: SparkSession,
    dataset: Dataset,
    path: str,
    max_files_per_batch: int,
    max_records_per_batch: int = 50_000,
    properties: str | None = None,
    avro: str | None = None,
) -> DataFrame:
    """The same as `read`, as a stream of what is there and of what arrives later.

    Parameters
    ----------
    path
        A folder, a pattern of files, a Delta table or a topic. For Parquet and CSV some files must
        be there: they give the columns. All CSV files must have the same header; a file that
        arrives later with another one stops the stream, it is never misread.
    max_files_per_batch
        Most files in one micro-batch.
    max_records_per_batch
        Most records of a topic in one micro-batch.
    properties, avro
        As for `read`.

    Returns
    -------
    DataFrame
        A streaming DataFrame with the columns of `read`.

    Raises
    ------
    DataError
        No file to take the columns from, one without a needed field, or several CSV headers.
    SetupError
        No broker answers, or there is no such topic.
    """
    if is_topic(path):
        topic = kafka.named(path, properties, avro)
        return lines.parse(kafka.read_stream(spark, topic, max_records_per_batch), dataset)
    reader = spark.readStream.option("maxFilesPerTrigger", max_files_per_batch)
    if files.is_delta(spark, path):
        return _from_table(reader.format("delta").load(path), dataset, path)
    if dataset.format == "jsonl":
        return lines.parse(_lines(reader, path), dataset)
    found = [file for file, _ in files.listing(spark, path)]
    if not found:
        raise DataError(
            f"input: got {path} without a file in it, expected at least one {dataset.format} file "
            "that shows the columns of those to come"
        )
    if dataset.format == "parquet":
        schema = files.load(spark.read, "parquet", path, mergeSchema=True).schema
        return _from_files(files.load(reader.schema(schema), "parquet", path), dataset)
    headers = list(files.by_header(spark, found))
    if len(headers) > 1:
        raise DataError(
            f"input: got CSV files with {len(headers)} headers ({' | '.join(headers)}), expected "
            "one in a stream"
        )
    _require(lines.split_header(headers[0]), dataset, "the CSV header")
    return lines.parse(_lines(reader, path), dataset, headers[0])


def listing(spark: SparkSession, path: str, properties: str | None = None) -> list[tuple[str, int]]:
    """What an input holds now: each file with its size, each partition with its next offset."""
    if not is_topic(path):
        return files.listing(spark, path)
    ends = kafka.offsets(spark, kafka.named(path, properties))
    return [(f"{path}/{partition}", following) for partition, (_, following) in ends.items()]


def _from_files(rows: DataFrame, dataset: Dataset) -> DataFrame:
    from pyspark.sql import functions as F

    _require(rows.columns, dataset, "the columns")
    present = {field: field for field in dataset.raw_fields() if field in rows.columns}
    return _from_columns(rows, dataset, F.col("_metadata.file_path"), present)


def _from_table(rows: DataFrame, dataset: Dataset, path: str) -> DataFrame:
    """Records of a Delta table of raw fields, or of one that has the columns of `transactions`."""
    from pyspark.sql import functions as F

    typed: dict[str, str] = {}
    for name, column in dataset.columns.items():  # of several from one field the first holds it all
        typed.setdefault(column.source, name)
    if not set(typed) <= set(rows.columns) and set(typed.values()) <= set(rows.columns):
        rows = rows.select(*dataset.columns)
        return _from_columns(rows, dataset, F.lit(path), typed)
    _require(rows.columns, dataset, "the columns")
    present = {field: field for field in dataset.raw_fields() if field in rows.columns}
    return _from_columns(rows, dataset, F.lit(path), present)


def _from_columns(
    rows: DataFrame, dataset: Dataset, source_file: Column, present: dict[str, str]
) -> DataFrame:
    """Records from rows of a format with columns; `present` says which column a field is in."""
    from pyspark.sql import functions as F

    types = dict(rows.dtypes)

    def text(field: str) -> Column:
        if field not in present:
            return F.lit(None).cast("string").alias(field)
        value = F.col(_escaped(present[field])).cast("string")
        if types[present[field]] == "timestamp":  # an instant, shown in the session's zone: UTC
            value = F.concat(value, F.lit("Z"))
        return value.alias(field)

    everything = F.struct(*[_escaped(name) for name in types])
    unknown = [name for name in lines.unknown(types, dataset) if name not in present.values()]
    absent = [name for name in dataset.raw_fields() if name not in present]
    return rows.select(
        F.to_json(everything, {"ignoreNullFields": "false"}).alias("raw"),
        source_file.alias("source_file"),
        F.struct(*[text(field) for field in dataset.raw_fields()]).alias("fields"),
        F.lit(None).cast("string").alias("corrupt"),
        F.lit(unknown).cast("array<string>").alias("unknown"),
        F.lit(absent).cast("array<string>").alias("absent"),
    )


def _require(columns: list[str], dataset: Dataset, where: str) -> None:
    """Every field that a record cannot be without is in the file."""
    missing = [name for name in dataset.required_fields() if name not in columns]
    if missing:
        close = [hit for name in missing for hit in get_close_matches(name, columns, n=1)]
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise DataError(
            f"input: got {', '.join(columns)} as {where}, expected {', '.join(missing)} too{hint}"
        )


def _lines(reader: Any, path: str | list[str]) -> DataFrame:
    from pyspark.sql import functions as F

    text = files.load(reader, "text", path)
    source_file = F.col("_metadata.file_path").alias("source_file")
    return text.select(F.col("value").alias("raw"), source_file)


def _escaped(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
