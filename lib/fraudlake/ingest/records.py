"""Records from what has columns, or is text: what formats are made of."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fraudlake.datasets import several
from fraudlake.errors import DataError
from fraudlake.ingest import files

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset


def of_files(rows: DataFrame, dataset: Dataset) -> DataFrame:
    """Records of files that have columns, as Spark reads them."""
    from pyspark.sql import functions as F

    require(rows.columns, dataset, "the columns")
    present = {field: field for field in dataset.raw_fields() if field in rows.columns}
    return of_columns(rows, dataset, F.col("_metadata.file_path"), present)


def of_table(rows: DataFrame, dataset: Dataset, path: str) -> DataFrame:
    """Records of a Delta table of raw fields, or of one that has the columns of `transactions`."""
    from pyspark.sql import functions as F

    typed: dict[str, str] = {}
    for name, column in dataset.columns.items():  # of several from one field the first holds it all
        for field in several(column.source):
            typed.setdefault(field, name)
    if not set(typed) <= set(rows.columns) and set(dataset.columns) <= set(rows.columns):
        own = [n for n, c in dataset.columns.items() if c.written or several(c.source)[1:]]
        if own:
            raise DataError(
                f"input: got the columns of {dataset.name} in {path}, expected its raw fields, as "
                f"it says how they write {', '.join(own)}; name a data set that takes the columns "
                "as they are"
            )
        rows = rows.select(*dataset.columns)
        return of_columns(rows, dataset, F.lit(path), typed)
    require(rows.columns, dataset, "the columns")
    present = {field: field for field in dataset.raw_fields() if field in rows.columns}
    return of_columns(rows, dataset, F.lit(path), present)


def of_columns(
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
    extra = [name for name in unknown(types, dataset) if name not in present.values()]
    absent = [name for name in dataset.raw_fields() if name not in present]
    return rows.select(
        F.to_json(everything, {"ignoreNullFields": "false"}).alias("raw"),
        source_file.alias("source_file"),
        F.struct(*[text(field) for field in dataset.raw_fields()]).alias("fields"),
        F.lit(None).cast("string").alias("corrupt"),
        F.lit(extra).cast("array<string>").alias("unknown"),
        F.lit(absent).cast("array<string>").alias("absent"),
    )


def require(columns: list[str], dataset: Dataset, where: str) -> None:
    """Every field that a record cannot be without is in the file.

    Raises
    ------
    DataError
        One is not.
    """
    missing = [name for name in dataset.required_fields() if name not in columns]
    if missing:
        close = [hit for name in missing for hit in get_close_matches(name, columns, n=1)]
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise DataError(
            f"input: got {', '.join(columns)} as {where}, expected {', '.join(missing)} too{hint}"
        )


def of_text(reader: Any, path: str | list[str]) -> DataFrame:
    """Lines of text files (`raw`, `source_file`), for `lines.parse`."""
    from pyspark.sql import functions as F

    text = files.load(reader, "text", path)
    source_file = F.col("_metadata.file_path").alias("source_file")
    return text.select(F.col("value").alias("raw"), source_file)


def unknown(names: Iterable[str], dataset: Dataset) -> list[str]:
    """Names of fields that the data set neither reads nor ignores."""
    return [name for name in names if name not in (*dataset.raw_fields(), *dataset.ignore)]


def _escaped(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
