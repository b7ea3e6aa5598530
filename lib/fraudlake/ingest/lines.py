"""Lines of text as records: JSON objects, or CSV.

One record is one line: a line break inside a quoted CSV field makes two broken records of it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import TYPE_CHECKING

from fraudlake.errors import DataError
from fraudlake.ingest.checks import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset

_NAMES_SHOWN = 80


def parse(lines: DataFrame, dataset: Dataset, header: str | None = None) -> DataFrame:
    """Records from lines of text: JSON objects, or CSV where a header is given.

    Parameters
    ----------
    lines
        Columns `raw` and `source_file` (strings), and any others; batch or stream. Where there is a
        column `broken`, it says why a record is corrupt before its text is looked at.
    header
        The header line of CSV; lines equal to it are no records.

    Returns
    -------
    DataFrame
        The columns of `sources.read` and the other columns of `lines`.
    """
    from pyspark.sql import functions as F

    others = [name for name in lines.columns if name not in ("raw", "source_file", "broken")]
    given = [F.col("broken")] if "broken" in lines.columns else []
    raw = F.col("raw")
    as_text = F.when(~F.is_valid_utf8(raw), F.lit("expected text in UTF-8"))
    blank = F.when(F.btrim(raw, F.lit(" \t")) == "", F.lit("expected a record, not a blank line"))
    lines = lines.withColumn("broken", F.coalesce(*given, as_text, blank))
    lines = lines.withColumn("raw", F.make_valid_utf8(raw))
    if header is None:
        parsed, fields, broken, names = _json(dataset)
        extra = F.array_except(names, F.lit([*dataset.raw_fields(), *dataset.ignore]))
        extra = F.transform(extra, lambda name: F.left(name, F.lit(_NAMES_SHOWN)))
        lacking = F.array_except(F.lit(dataset.raw_fields()), names)
    else:
        columns = split_header(header)
        lines = lines.where(raw != header)
        parsed, fields, broken = _csv(header, columns, dataset)
        extra = F.lit(unknown(columns, dataset))
        lacking = F.lit([name for name in dataset.raw_fields() if name not in columns])
    records = lines.withColumn("parsed", parsed)
    records = records.withColumn("broken", F.coalesce("broken", broken))
    said = F.concat(F.lit("got "), quoted(raw), F.lit(", "), F.col("broken"))
    records = records.withColumn("corrupt", F.when(F.col("broken").isNotNull(), said))
    good = F.col("corrupt").isNull()
    none = F.lit([]).cast("array<string>")
    return records.select(
        "raw",
        "source_file",
        F.when(good, fields).alias("fields"),
        "corrupt",
        F.when(good, extra.cast("array<string>")).otherwise(none).alias("unknown"),
        F.when(good, lacking.cast("array<string>")).otherwise(none).alias("absent"),
        *others,
    )


def split_header(header: str) -> list[str]:
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


def unknown(names: Iterable[str], dataset: Dataset) -> list[str]:
    """Names of fields that the data set neither reads nor ignores."""
    return [name for name in names if name not in (*dataset.raw_fields(), *dataset.ignore)]


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


def _csv(header: str, columns: list[str], dataset: Dataset) -> tuple[Column, Column, Column]:
    """How to parse a CSV line: parsed value, fields, what is broken.

    A line that names every column of the data set is the header of other files, with the columns in
    another order: the run stops rather than take one column for another. (Spark may ask this of the
    files' own header before it drops that.)
    """
    from pyspark.sql import functions as F

    raw = F.col("raw")
    place = {name: f"c{number}" for number, name in enumerate(columns)}
    schema = ", ".join(f"{position} string" for position in [*place.values(), "broken"])
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "broken", "escape": '"'}
    parsed = F.from_csv(raw, schema, options)

    def text(field: str) -> Column:
        found = F.col(f"parsed.{place[field]}") if field in place else F.lit(None).cast("string")
        return found.alias(field)

    fields = F.struct(*[text(field) for field in dataset.raw_fields()])
    quotes = F.length(raw) - F.length(F.replace(raw, F.lit('"')))
    named = [field for field in dataset.raw_fields() if field in place]
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
    return parsed, fields, broken
