"""Formats of files: one module each, which a data set names (`format: csv`).

A module has the two functions of `Format`. What it reads becomes records by `records`, where the
files have columns, or by `lines`, where they are text. To add a format, add a module.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fraudlake.feeds import Feed


class Format(Protocol):
    """What a module of a format does. Both give the columns of `sources.read`."""

    def read(self, spark: SparkSession, dataset: Feed, path: str) -> DataFrame:
        """Records of the files of a path; raises `DataError` where there is none."""

    def read_stream(
        self, spark: SparkSession, dataset: Feed, path: str, max_files: int
    ) -> DataFrame:
        """Records of what is there and of what comes later, of so many files at most at a time."""


def named(name: str) -> Format:
    """The module of a format, one of `resources.formats()`."""
    return cast(Format, import_module(f"{__name__}.{name}"))
