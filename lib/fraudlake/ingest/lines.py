"""Lines of text as records: a line that cannot be parsed is a record too, a corrupt one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from fraudlake import layout
from fraudlake.ingest import files, nested
from fraudlake.ingest.checks import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.feeds import Feed

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
    passed
        True where the line is no payment and is passed over; None where every line is one.
    opened
        What makes rows of payments of the rows with `parsed`; None: they are.
    deep
        Paths that are absent, too, where their text is null.
    """

    parsed: Column
    fields: Column
    broken: Column
    unknown: Column
    absent: Column
    passed: Column | None = None
    opened: Callable[[DataFrame], DataFrame] | None = None
    deep: tuple[str, ...] = ()


def parse(
    lines: DataFrame, syntax: Syntax, header: str | None = None, comment: str | None = None
) -> DataFrame:
    """Records from lines of text.

    Parameters
    ----------
    lines
        Columns `raw` and `source_file` (strings), and any others; batch or stream. Where there is a
        column `broken`, it says why a record is corrupt before its text is looked at.
    header, comment
        Lines equal to it, or that begin with it, are no records.

    Returns
    -------
    DataFrame
        The columns of `sources.read` and the other columns of `lines`. Where lines may be passed
        over, a line with nothing on it, or with null, is.
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
    if comment is not None:
        lines = lines.where(~raw.startswith(comment))
    records = lines.withColumn("parsed", syntax.parsed)
    if syntax.opened is not None:
        records = syntax.opened(records)
    broken, kept = F.coalesce("broken", syntax.broken), []
    if syntax.passed is not None:
        nothing = F.btrim(raw, F.lit(" \t")).isin("", "null")
        passed = F.coalesce(nothing | (broken.isNull() & syntax.passed), F.lit(False))
        broken, kept = F.when(~passed, broken), [passed.alias("passed_over")]
    # What was parsed goes no further than this: each step that it is handed on costs a copy of it.
    records = records.select(
        "raw",
        "source_file",
        broken.alias("broken"),
        syntax.fields.alias("fields"),
        syntax.unknown.cast("array<string>").alias("unknown"),
        syntax.absent.cast("array<string>").alias("absent"),
        *kept,
        *others,
    )
    sentence = F.concat(F.lit("got "), quoted(raw), F.lit(", "), F.col("broken"))
    good, none = F.col("broken").isNull(), F.lit([]).cast("array<string>")
    absent = F.col("absent")
    if syntax.deep:
        fields = [F.when(F.col("fields")[name].isNull(), F.lit(name)) for name in syntax.deep]
        absent = F.concat(absent, F.array_compact(F.array(*fields)))
    return records.select(
        "raw",
        "source_file",
        F.when(good, F.col("fields")).alias("fields"),
        F.when(~good, sentence).alias("corrupt"),
        F.when(good, F.col("unknown")).otherwise(none).alias("unknown"),
        F.when(good, absent).otherwise(none).alias("absent"),
        *(["passed_over"] if kept else []),
        *others,
    )


def json_objects(dataset: Feed, folders: Collection[str] = ()) -> Syntax:
    """Each line is a JSON object, or a message around one.

    The record is put into an object that ends with a field of ours: Spark stops reading where a
    value ends, so anything behind the record would go unseen. Values are variants, which keep 38
    digits of a number where text would have gone through a double.

    Parameters
    ----------
    folders
        Fields that the names of folders give (`files.folders`).
    """
    from pyspark.sql import functions as F

    wrapped = F.concat(F.lit('{"record":'), F.col("raw"), F.lit(',"end":1}'))
    schema = "record map<string, variant>, `end` string, broken string"
    options = {"columnNameOfCorruptRecord": "broken", "allowSingleQuotes": "false"}
    parsed = F.from_json(wrapped, schema, {"mode": "PERMISSIVE", **options})
    message = F.col("parsed.record")
    path = dataset.record.path if dataset.record else None
    payment = F.col("payment") if path else message

    def text(name: str) -> Column:
        in_message, place = nested.rooted(name)
        value = nested.in_map(message if in_message else payment, place)
        return files.or_folder(value, name, folders, F.col("source_file")).alias(name)

    fields = F.struct(*[text(name) for name in dataset.raw_fields()])
    names = F.map_keys(message)
    broken = F.when(
        message.isNull() | F.col("parsed.end").isNull() | F.col("parsed.broken").isNotNull(),
        F.lit("expected one JSON object"),
    ).when(
        F.size(names) > F.size(F.array_distinct(names)),
        F.lit("expected one JSON object with each field once"),
    )
    own = F.map_keys(payment)
    extra = F.array_except(own, F.lit(nested.heads(dataset)))
    extra = F.transform(extra, lambda name: F.left(name, F.lit(_NAMES_SHOWN)))
    wanted = [name for name in dataset.raw_fields() if name not in folders]
    flat = [name for name in wanted if layout.steps(name) == [name]]
    deep = tuple(name for name in wanted if name not in flat)
    lacking = F.array_except(F.lit(flat).cast("array<string>"), own)
    syntax = Syntax(parsed, fields, broken, extra, lacking, deep=deep)
    if not dataset.record:
        return syntax
    if not path:
        return syntax._replace(passed=nested.passed(fields, dataset))
    passed = nested.passed(fields, dataset, payment.isNotNull()) | F.col("nothing")
    broken = broken.when(~passed & payment.isNull(), F.lit(f"expected an object at {path}"))
    opened = partial(nested.open_maps, message=message, dataset=dataset)
    return syntax._replace(broken=broken, passed=passed, opened=opened)
