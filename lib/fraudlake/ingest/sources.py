"""Raw files, Delta tables and Kafka topics as records: each as it came, and its fields as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudlake.ingest import files, formats, hashes, joins, kafka, lines, records
from fraudlake.options import is_topic

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fraudlake.feeds import Feed


def read(
    spark: SparkSession,
    dataset: Feed,
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
        read that it holds at this call. Its values are JSON, whatever the format. What the data set
        names as `joined` is read too, from the same folder.
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
    ConfigError
        A column is to be hashed, and there is no secret to do it by.
    DataError
        No files, or a file without a field that every record needs.
    SetupError
        No broker answers, or there is no such topic.
    """
    if is_topic(path):
        values = kafka.read(spark, kafka.named(path, properties, avro))
        found = lines.parse(values, lines.json_objects(dataset))
    elif files.is_delta(spark, path):
        found = records.of_table(spark.read.format("delta").load(path), dataset, path)
    else:
        found = formats.named(dataset.format).read(spark, dataset, path)
    found = hashes.hashed(found, dataset)
    for name in dataset.joined:
        place = joins.place(dataset, name, path)
        with joins.told(name, place):
            found = joins.beside(found, dataset, name, read(spark, dataset.beside(name), place))
    return found


def read_stream(
    spark: SparkSession,
    dataset: Feed,
    path: str,
    max_files_per_batch: int,
    max_records_per_batch: int = 50_000,
    properties: str | None = None,
    avro: str | None = None,
    skip_changes: bool = False,
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
    skip_changes
        Of a Delta table, pass over commits that change or delete rows; else they end the stream.

    Returns
    -------
    DataFrame
        A streaming DataFrame with the columns of `read`.

    Raises
    ------
    ConfigError
        As for `read`.
    DataError
        No file to take the columns from, one without a needed field, or several CSV headers.
    SetupError
        No broker answers, or there is no such topic.
    """
    if is_topic(path):
        values = kafka.read_stream(
            spark, kafka.named(path, properties, avro), max_records_per_batch
        )
        found = lines.parse(values, lines.json_objects(dataset))
    elif files.is_delta(spark, path):
        reader = files.stream(spark, max_files_per_batch).format("delta")
        rows = reader.option("skipChangeCommits", skip_changes).load(path)
        found = records.of_table(rows, dataset, path)
    else:
        found = formats.named(dataset.format).read_stream(spark, dataset, path, max_files_per_batch)
    return hashes.hashed(found, dataset)


def listing(
    spark: SparkSession, dataset: Feed, path: str, properties: str | None = None
) -> list[tuple[str, int]]:
    """What an input holds now, and what is joined to it: each file with its size, each partition
    with its next offset.
    """
    if not is_topic(path):
        places = [path, *(joins.place(dataset, name, path) for name in dataset.joined)]
        return [file for place in places for file in files.listing(spark, place)]
    ends = kafka.offsets(spark, kafka.named(path, properties))
    return [(f"{path}/{partition}", following) for partition, (_, following) in ends.items()]
