"""Records from what has columns, or is text: what formats are made of."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, cast

from fraudlake import layout
from fraudlake.columns import several
from fraudlake.errors import DataError
from fraudlake.ingest import files, nested
from fraudlake.ingest.checks import quoted

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType

    from fraudlake.feeds import Feed

# Nothing is lost: quarantine gives it back.
_AS_JSON = {
    "ignoreNullFields": "false",
    "timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "timestampNTZFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSS",
}


def of_files(rows: DataFrame, dataset: Feed, folders: Collection[str] = ()) -> DataFrame:
    """Records of files that have columns, as Spark reads them.

    Parameters
    ----------
    folders
        Fields that the names of folders give (`files.folders`).
    """
    from pyspark.sql import functions as F

    return _of_messages(rows, dataset, F.col("_metadata.file_path"), folders)


def of_table(rows: DataFrame, dataset: Feed, path: str) -> DataFrame:
    """Records of a Delta table of raw fields, or of one that has the columns of `transactions`."""
    from pyspark.sql import functions as F

    typed: dict[str, str] = {}
    for name, column in dataset.columns.items():  # of several from one field the first holds it all
        for field in several(column.source):
            typed.setdefault(field, name)
    if not set(typed) <= set(rows.columns) and set(dataset.columns) <= set(rows.columns):
        columns = dataset.columns.items()
        own = [
            name
            for name, column in columns
            if column.written
            or column.repeats
            or column.hash
            or several(column.source)[1:]
            or any(field.partition(".")[0] in dataset.joined for field in several(column.source))
        ]
        if own:
            raise DataError(
                f"input: got the columns of {dataset.name} in {path}, expected its raw fields, as "
                f"it says how they write {', '.join(own)}; name a data set that takes the columns "
                "as they are"
            )
        rows = rows.select(*dataset.columns)
        found = {field: (F.col(name), rows.schema[name].dataType) for field, name in typed.items()}
        fields = _fields(dataset, found, F.lit(path))
        everything = F.struct(*dataset.columns)
        return rows.select(*_columns(dataset, everything, F.lit(path), fields, found, []).values())
    return _of_messages(rows, dataset, F.lit(path))


def _of_messages(
    rows: DataFrame, dataset: Feed, source_file: Column, folders: Collection[str] = ()
) -> DataFrame:
    """Records of rows with the raw fields, or with messages around them."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import StructType

    schema, path = rows.schema, dataset.record.path if dataset.record else None
    message = F.struct(*[nested.escaped(name) for name in schema.names])
    kind: Any = schema
    payment, lost, nothing = None, F.lit(False), F.lit(False)
    if path:
        rows = rows.select(message.alias("message"), source_file.alias("source_file"))
        opened = nested.open_structs(rows, schema, dataset)
        if opened is None:
            raise DataError(
                f"input: got {', '.join(schema.names)} as the columns, expected {path} among them, "
                "as `record.path` says"
            )
        rows, kind = opened, cast(StructType, opened.schema["payment"].dataType)
        source_file, message = F.col("source_file"), F.col("message")
        payment, nothing = F.col("payment"), F.col("nothing")
        lost = payment.isNull()
    found = {}
    for name in dataset.raw_fields():
        in_message, place = nested.rooted(name)
        within: tuple[Any, Any] = (message, schema) if path and in_message else (payment, kind)
        if field := nested.in_struct(*within, place):
            found[name] = field
    require(kind.names, dataset, "the columns", {*found, *folders})
    extra = unknown(kind.names, dataset)
    fields = _fields(dataset, found, source_file, folders)
    columns = _columns(dataset, message, source_file, fields, found.keys() | folders, extra)
    if not dataset.record:
        return rows.select(*columns.values())
    passed = nested.passed(fields, dataset, ~lost) | nothing
    sentence = F.concat(
        F.lit("got "), quoted(columns["raw"]), F.lit(f", expected an object at {path}")
    )
    columns["corrupt"] = F.when(~passed & lost, sentence).alias("corrupt")
    return rows.select(*columns.values(), passed.alias("passed_over"))


def _fields(
    dataset: Feed,
    found: Mapping[str, tuple[Column, DataType]],
    source_file: Column,
    folders: Collection[str] = (),
) -> Column:
    """The struct `fields`; `found` says where and of what type each is."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import NullType, TimestampType

    def text(field: str) -> Column:
        value, kind = found.get(field, (F.lit(None), NullType()))
        value = value.cast("string")
        if isinstance(kind, TimestampType):  # an instant, shown in the session's zone: UTC
            value = F.concat(value, F.lit("Z"))
        return files.or_folder(value, field, folders, source_file).alias(field)

    return F.struct(*[text(field) for field in dataset.raw_fields()])


def _columns(
    dataset: Feed,
    message: Column,
    source_file: Column,
    fields: Column,
    found: Collection[str],
    extra: list[str],
) -> dict[str, Column]:
    """The columns of `sources.read`."""
    from pyspark.sql import functions as F

    absent = [name for name in dataset.raw_fields() if name not in found]
    columns = {
        "raw": F.to_json(message, _AS_JSON),
        "source_file": source_file,
        "fields": fields,
        "corrupt": F.lit(None).cast("string"),
        "unknown": F.lit(extra).cast("array<string>"),
        "absent": F.lit(absent).cast("array<string>"),
    }
    return {name: column.alias(name) for name, column in columns.items()}


def require(
    columns: list[str], dataset: Feed, where: str, found: Collection[str] | None = None
) -> None:
    """Every field that a record cannot be without is among the columns, or was found otherwise.

    Raises
    ------
    DataError
        One is not.
    """
    there = columns if found is None else found
    missing = [name for name in dataset.required_fields() if name not in there]
    if missing:
        close = [hit for name in missing for hit in get_close_matches(name, columns, n=1)]
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise DataError(
            f"input: got {', '.join(columns)} as {where}, expected {', '.join(missing)} too{hint}"
        )


def of_text(reader: Any, path: str | list[str], codec: str = "utf-8") -> DataFrame:
    """Lines of text files (`raw`, `source_file`), for `lines.parse`.

    In another encoding than UTF-8 there is a column `broken` too: what was expected of a line that
    is no such text.
    """
    from pyspark.sql import functions as F

    source_file = F.col("_metadata.file_path").alias("source_file")
    if codec == "utf-8":
        return files.load(reader, "text", path).select(F.col("value").alias("raw"), source_file)
    end = layout.line_end(codec)
    rows = files.load(reader, "text", path, **({} if end == "\n" else {"lineSep": end}))
    decoded = F.arrow_udf(lambda values: _decoded(values, codec), "string")  # type: ignore[attr-defined]  # not in pyspark's stubs
    rows = rows.select(decoded(F.col("value").cast("binary")).alias("raw"), source_file)
    broken = F.when(F.col("raw").contains("\ufffd"), F.lit(f"expected text in {codec.upper()}"))
    return rows.withColumn("broken", broken)


def _decoded(values: pa.Array, codec: str) -> pa.Array:
    """Lines as text, without a mark of their byte order."""
    import pyarrow as pa

    texts = (value.decode(codec, "replace") for value in values.to_pylist())
    return pa.array([t.removeprefix("\ufeff").removesuffix("\r") for t in texts], pa.string())


def unknown(names: Iterable[str], dataset: Feed) -> list[str]:
    """Names of fields that the data set neither reads nor ignores."""
    known = nested.heads(dataset)
    return [name for name in names if name not in known]
