"""Parquet: a column is a field, null in files that lack it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudlake.ingest import files, records

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fraudlake.datasets import Dataset


def read(spark: SparkSession, dataset: Dataset, path: str) -> DataFrame:
    """Records of all files."""
    files.names(spark, path, "parquet files")
    return records.of_files(files.load(spark.read, "parquet", path, mergeSchema=True), dataset)


def read_stream(spark: SparkSession, dataset: Dataset, path: str, max_files: int) -> DataFrame:
    """Records of files as they come, with the columns of those that are there."""
    expected = "at least one parquet file that shows the columns of those to come"
    files.names(spark, path, expected)
    schema = files.load(spark.read, "parquet", path, mergeSchema=True).schema
    reader = files.stream(spark, max_files).schema(schema)
    return records.of_files(files.load(reader, "parquet", path), dataset)
