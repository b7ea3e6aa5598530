"""Lines of text as records: a line that cannot be parsed is a record too, a corrupt one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fraudlake.ingest.checks import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset

_NAMES_SHOWN = 80


class Syntax(NamedTuple):
    """How lines are parsed: columns over `raw`, and over `parsed` once that is there.

    Attributes
    ----------
    parsed
        The parsed value.
    fields
        Struct of strings, one for each of `dataset.raw_fields()`.
    broken
        What was expected of the line, null where it is sound.
    unknown, absent
        Names of fields, arrays of strings: those that the data set does not name, and those that
        it names and the line does not have.
    """

    parsed: Column
    fields: Column
    broken: Column
    unknown: Column
    absent: Column


def parse(lines: DataFrame, syntax: Syntax, header: str | None = None) -> DataFrame:
    """Records from lines of text.

    Parameters
    ----------
    lines
        Columns `raw` and `source_file` (strings), and any others; batch or stream. Where there is a
        column `broken`, it says why a record is corrupt before its text is looked at.
    header
        Lines equal to it are no records.

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
    if header is not None:
        lines = lines.where(raw != header)
    records = lines.withColumn("parsed", syntax.parsed)
    records = records.withColumn("broken", F.coalesce("broken", syntax.broken))
    sentence = F.concat(F.lit("got "), quoted(raw), F.lit(", "), F.col("broken"))
    records = records.withColumn("corrupt", F.when(F.col("broken").isNotNull(), sentence))
    good = F.col("corrupt").isNull()
    none = F.lit([]).cast("array<string>")
    return records.select(
        "raw",
        "source_file",
        F.when(good, syntax.fields).alias("fields"),
        "corrupt",
        F.when(good, syntax.unknown.cast("array<string>")).otherwise(none).alias("unknown"),
        F.when(good, syntax.absent.cast("array<string>")).otherwise(none).alias("absent"),
        *others,
    )


def json_objects(dataset: Dataset) -> Syntax:
    """Each line is a JSON object.

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
    extra = F.array_except(names, F.lit([*dataset.raw_fields(), *dataset.ignore]))
    extra = F.transform(extra, lambda name: F.left(name, F.lit(_NAMES_SHOWN)))
    lacking = F.array_except(F.lit(dataset.raw_fields()), names)
    return Syntax(parsed, fields, broken, extra, lacking)
