"""JSON lines: each line is an object, its keys are the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fraudlake.ingest import files, records
from fraudlake.ingest.lines import json_objects, parse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fraudlake.feeds import Feed


def read(spark: SparkSession, dataset: Feed, path: str) -> DataFrame:
    """Records of all files."""
    return _records(spark, spark.read, dataset, path, files.names(spark, path, "jsonl files"))


def read_stream(spark: SparkSession, dataset: Feed, path: str, max_files: int) -> DataFrame:
    """Records of files as they come; the first may come later too.

    What the names of folders say is read where there is such a folder already.
    """
    names = [name for name, _ in files.listing(spark, path)]
    files.refuse_archives(names)
    return _records(spark, files.stream(spark, max_files), dataset, path, names)


def _records(
    spark: SparkSession, reader: Any, dataset: Feed, path: str, names: list[str]
) -> DataFrame:
    written = dataset.files
    shown = b"" if written.encoding == "utf-8" or not names else files.beginning(spark, names[0], 4)
    lines = records.of_text(reader, path, written.codec(shown))
    return parse(lines, json_objects(dataset, files.folders(names)))
