"""Records of another file or table beside those of a feed: found by a key, one at most for each."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from fraudlake.columns import Column as Field
from fraudlake.columns import several
from fraudlake.errors import DataError
from fraudlake.ingest import checks, files
from fraudlake.ingest.values import reading
from fraudlake.options import is_topic

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

    from fraudlake.feeds import Feed


def place(dataset: Feed, name: str, path: str) -> str:
    """Where the records lie that are joined by a name to an input at a path.

    Raises
    ------
    DataError
        The input is a topic, which has no folder.
    """
    given = dataset.joined[name].input
    if "://" in given or posixpath.isabs(given):
        return given
    if is_topic(path):
        raise DataError(
            f"input: got the topic {path}, expected files: {given}, which {dataset.name} joins as "
            f"{name}, lies beside them; or say an absolute path as joined.{name}.input"
        )
    return posixpath.join(posixpath.dirname(path.rstrip("/")), given)


@contextmanager
def told(name: str, path: str) -> Iterator[None]:
    """Says of an error that it is of what is joined by a name, not of the input."""
    try:
        with files.readable():
            yield
    except DataError as error:
        said = str(error).removeprefix("input: ")
        raise DataError(f"joined.{name}, {path}: {said}") from error


def beside(records: DataFrame, dataset: Feed, name: str, others: DataFrame) -> DataFrame:
    """Records with the fields of those beside them as well, as `NAME.FIELD`; null where none is.

    A record is never doubled: of several beside it that differ, it is corrupt, and that says why.

    Parameters
    ----------
    records, others
        As `sources.read` gives them; others of the feed `dataset.beside(name)`.

    Raises
    ------
    DataError
        One of the others cannot be read or has no key, or none has a field that is required.
    """
    from pyspark.sql import functions as F

    feed, by = dataset.beside(name), dataset.joined[name].by
    key, *columns = feed.columns.values()
    wanted = {str(column.source): column for column in columns}
    found = F.col("fields")
    others = others.withColumn("_key", reading.text(key, found, dataset))
    empty, unknown = _looked_at(others, key, wanted)
    if lacking := [field for field in dataset.required_beside(name) if field in empty]:
        raise DataError(
            f"got no record with {', '.join(lacking)}, expected every field that the data set "
            f"{dataset.name} needs (there are others: {', '.join(unknown) or 'none'})"
        )
    texts = {field: reading.text(column, found, feed) for field, column in wanted.items()}
    held = F.struct(*[text.alias(field) for field, text in texts.items()])
    one = others.groupBy("_key").agg(F.min(held).alias("_one"), F.max(held).alias("_other"))
    one = one.select("_key", "_one", (F.col("_one") != F.col("_other")).alias("_differ"))
    asked = reading.text(Field.model_validate({"source": by, "type": "string"}), found, dataset)
    rows = records.withColumn("_key", asked).join(one, "_key", "left")
    sound = F.col("corrupt").isNull() & ~F.coalesce("_differ", F.lit(False))
    named = " ".join(several(by))
    expected = f", expected one record of {name} with this {named}: there are several that differ"
    differ = F.concat(F.lit("got "), checks.quoted(F.col("_key")), F.lit(expected))
    none = F.array().cast("array<string>")
    held_already = cast("StructType", records.schema["fields"].dataType).names
    fields = F.struct(
        *[found[field].alias(field) for field in held_already],
        *[F.col("_one")[field].alias(f"{name}.{field}") for field in wanted],
    )
    alone = F.when(F.col("_one").isNull(), F.array(F.lit(name))).otherwise(none)

    def and_beside(column: str, names: list[str], *further: Column) -> Column:
        said = F.lit([f"{name}.{field}" for field in names]).cast("array<string>")
        return F.when(sound, F.concat(column, said, *further)).otherwise(none)

    changed = {
        "corrupt": F.coalesce("corrupt", F.when(F.col("_differ"), differ)),
        "fields": F.when(sound, fields),
        "unknown": and_beside("unknown", unknown),
        "absent": and_beside("absent", empty, alone),
    }
    return rows.select(*[changed.get(c, F.col(c)).alias(c) for c in records.columns])


def _looked_at(others: DataFrame, key: Field, wanted: Iterable[str]) -> tuple[list[str], list[str]]:
    """Fields that no record has a value of, and fields that nobody reads; all records are sound."""
    from pyspark.sql import functions as F

    named = " ".join(several(key.source))
    keyless = F.concat(F.lit("got "), checks.quoted(F.col("raw")), F.lit(f", expected {named}"))
    lost = F.coalesce("corrupt", F.when(F.col("_key").isNull(), keyless))
    (counts,) = others.agg(
        F.count(lost).alias("lost"),
        F.min(F.when(lost.isNotNull(), F.struct("source_file", lost.alias("why")))).alias("first"),
        F.array_sort(F.array_distinct(F.flatten(F.collect_set("unknown")))).alias("unknown"),
        F.struct(*[F.count(F.col("fields")[f]).alias(f) for f in wanted]).alias("held"),
    ).collect()
    if first := counts["first"]:
        raise DataError(
            f"{first['why']} (in {first['source_file']}), and so of {counts['lost']} records in "
            "all: correct them, as nobody can say whose they are"
        )
    return [f for f in wanted if not counts["held"][f]], counts["unknown"]
