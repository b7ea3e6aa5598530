"""JSON lines: each line is an object, its keys are the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudlake.ingest import files, records
from fraudlake.ingest.lines import json_objects, parse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fraudlake.datasets import Dataset


def read(spark: SparkSession, dataset: Dataset, path: str) -> DataFrame:
    """Records of all files."""
    files.names(spark, path, "jsonl files")
    return parse(records.of_text(spark.read, path), json_objects(dataset))


def read_stream(spark: SparkSession, dataset: Dataset, path: str, max_files: int) -> DataFrame:
    """Records of files as they come; the first may come later too."""
    return parse(records.of_text(files.stream(spark, max_files), path), json_objects(dataset))
