"""CSV: the first line of a file names the fields, or the data set does; each line is a record.

One record is one line: a line break inside a quoted field makes two broken records of it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from fraudlake.errors import DataError
from fraudlake.ingest import files, nested, records
from fraudlake.ingest.lines import Syntax, parse
from fraudlake.lake.frames import union

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from fraudlake.feeds import Feed

_OPENED_AT_ONCE = 16
_LOOKED_AT = 1 << 16  # bytes
_DELIMITERS = ",;\t|"


class Head(NamedTuple):
    """What the beginning of a file says: its header (None: it has none) and its encoding."""

    header: str | None
    codec: str


def read(spark: SparkSession, dataset: Feed, path: str) -> DataFrame:
    """Records of all files; each may have a header of its own, with every needed field."""
    names = files.names(spark, path, "csv files")
    groups, folders = _by_head(spark, names, dataset), files.folders(names)
    for head, members in groups.items():
        _require(head, dataset, f"the header of {members[0]}", folders)
    if len(groups) == 1:
        return _parsed(spark.read, path, next(iter(groups)), dataset, folders)
    return union(
        [
            _parsed(spark.read, [files.literal(name) for name in members], head, dataset, folders)
            for head, members in groups.items()
        ]
    )


def read_stream(spark: SparkSession, dataset: Feed, path: str, max_files: int) -> DataFrame:
    """Records of files as they come, all with the header of those that are there.

    One that comes later with another header stops the stream.
    """
    expected = "at least one csv file that shows the columns of those to come"
    names = files.names(spark, path, expected)
    heads, folders = list(_by_head(spark, names, dataset)), files.folders(names)
    if len(heads) > 1:
        told = " | ".join(f"{head.header or 'none'}" for head in heads)
        raise DataError(
            f"input: got CSV files with {len(heads)} headers ({told}), expected one in a stream"
        )
    _require(heads[0], dataset, "the CSV header", folders)
    return _parsed(files.stream(spark, max_files), path, heads[0], dataset, folders)


def _parsed(
    reader: Any, path: str | list[str], head: Head, dataset: Feed, folders: Collection[str]
) -> DataFrame:
    lines = records.of_text(reader, path, head.codec)
    how = syntax(head.header, dataset, folders)
    return parse(lines, how, head.header, dataset.files.comment)


def _by_head(spark: SparkSession, names: list[str], dataset: Feed) -> dict[Head, list[str]]:
    """How files begin → those that do; files of blank lines alone go with the first header.

    Raises
    ------
    DataError
        No file has a header, or one is no text.
    """
    with ThreadPoolExecutor(_OPENED_AT_ONCE) as pool:
        found = pool.map(lambda name: _head(spark, name, dataset), names)
        first = dict(zip(names, found, strict=True))
    heads = sorted({head for head in first.values() if head})
    if not heads:
        raise DataError(f"input: got {', '.join(names[:3])} without a line, expected a CSV header")
    groups: dict[Head, list[str]] = {head: [] for head in heads}
    for name, head in first.items():
        groups[head or heads[0]].append(name)
    return groups


def _head(spark: SparkSession, name: str, dataset: Feed) -> Head | None:
    """The header of a file, its first line that is not blank; None where there is no such line."""
    written, size, line, whole = dataset.files, _LOOKED_AT, None, False
    while line is None and not whole:
        shown = files.beginning(spark, name, size)
        codec, whole, size = written.codec(shown), len(shown) < size, size * 16
        lines = re.split(r"\r\n|\n|\r", shown.decode(codec, "replace").removeprefix("\ufeff"))
        lines = lines if whole else lines[:-1]  # the last one may be cut
        said = (t for t in lines if t.strip() and not t.startswith(written.comment or "\n"))
        line = next(said, None)
    if line is None:
        return None
    if re.search(r"[\x00-\x08\x0e-\x1f]", line):
        raise DataError(
            f"input: got {name} with a first line that is no text in {codec.upper()}, expected "
            "CSV; say how the files are written, such as `files: {encoding: UTF-16}`"
        )
    return Head(line if written.header else None, codec)


def _columns(header: str | None, dataset: Feed) -> list[str]:
    """Names of the columns under a CSV header, or those that the data set says.

    Raises
    ------
    DataError
        A name is there twice.
    """
    if header is None:
        return list(dataset.files.names)
    names = _split(header, dataset, dataset.files.delimiter)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice and not _none_named(names, dataset):
        raise DataError(
            f"input: got the CSV header {header} with {', '.join(twice)} twice, expected once"
        )
    return names


def _split(header: str, dataset: Feed, delimiter: str) -> list[str]:
    written = dataset.files
    quoting = {"quotechar": written.quote} if written.quote else {"quoting": csv.QUOTE_NONE}
    escape = None if written.escape == written.quote else written.escape
    reader = csv.reader([header], delimiter=delimiter, escapechar=escape, **quoting)
    return [name.strip() for name in next(reader)]


def _none_named(columns: Collection[str], dataset: Feed) -> bool:
    return not set(columns) & set(dataset.raw_fields())


def _require(head: Head, dataset: Feed, where: str, folders: Collection[str]) -> None:
    """Every needed field is in the header, or a folder gives it."""
    columns, header = _columns(head.header, dataset), head.header
    if header is None:
        where = "`files.names`"
    elif _none_named(columns, dataset):
        wanted = ", ".join(dataset.required_fields())
        others = [d for d in _DELIMITERS if not _none_named(_split(header, dataset, d), dataset)]
        say = f"{{delimiter: {others[0]!r}}}" if others else "{header: false, names: [...]}"
        raise DataError(
            f"input: got {header} as {where}, expected {wanted} too: none of the data set's fields "
            f"is there; is it `files: {say}`?"
        )
    records.require(columns, dataset, where, {*columns, *folders})


def syntax(header: str | None, dataset: Feed, folders: Collection[str]) -> Syntax:
    """How to parse the lines of files with this header.

    A line that names every column of the data set is the header of other files, with the columns in
    another order: the run stops rather than take one column for another. (Spark may ask this of the
    files' own header before it drops that.)
    """
    from pyspark.sql import functions as F

    written, raw, columns = dataset.files, F.col("raw"), _columns(header, dataset)
    positions = {name: f"c{number}" for number, name in enumerate(columns)}
    schema = ", ".join(f"{position} string" for position in [*positions.values(), "broken"])
    escape = written.escape or written.quote
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "broken", "escape": escape}
    options |= {"sep": written.delimiter, "quote": written.quote}
    parsed = F.from_csv(raw, schema, options)

    def text(field: str) -> Column:
        at = positions.get(nested.rooted(field)[1])
        value = F.col(f"parsed.{at}") if at else F.lit(None).cast("string")
        return files.or_folder(value, field, folders, F.col("source_file")).alias(field)

    fields = F.struct(*[text(field) for field in dataset.raw_fields()])
    conditions = []
    if header is not None:
        conditions.append((_foreign(header, columns, dataset), _stop(columns)))
    if written.quote:
        sound = (
            raw if escape == written.quote else F.regexp_replace(raw, re.escape(escape) + ".", "")
        )
        quotes = F.length(sound) - F.length(F.replace(sound, F.lit(written.quote)))
        conditions.append((quotes % 2 == 1, F.lit("expected a closing quote")))
    number = F.lit(f"expected {len(columns)} {_separated(written.delimiter)}")
    conditions.append((F.col("parsed.broken").isNotNull(), number))
    broken = F.when(*conditions[0])
    for condition in conditions[1:]:
        broken = broken.when(*condition)
    unknown = F.lit(records.unknown(columns, dataset)).cast("array<string>")
    there = {*columns, *folders}
    absent = [name for name in dataset.raw_fields() if nested.rooted(name)[1] not in there]
    passed = nested.passed(fields, dataset) if dataset.record else None
    return Syntax(parsed, fields, broken, unknown, F.lit(absent), passed)


def _foreign(header: str, columns: list[str], dataset: Feed) -> Column:
    """True for a line that is the header of other files."""
    from pyspark.sql import functions as F

    raw = F.col("raw")
    named = [field for field in dataset.raw_fields() if field in columns]
    plain = F.replace(raw, F.lit(dataset.files.quote)) if dataset.files.quote else raw
    words = F.split(plain, f" *{re.escape(dataset.files.delimiter)} *")
    names_all = raw.contains(named[0]) & (F.size(F.array_except(F.lit(named), words)) == 0)
    return (raw != header) & names_all


def _stop(columns: list[str]) -> Column:
    from pyspark.sql import functions as F

    expected = F.lit(f"', expected the header '{','.join(columns)}' as in the files read before")
    stop = F.raise_error(F.concat(F.col("source_file"), F.lit(": got '"), F.col("raw"), expected))
    return stop.cast("string")


def _separated(delimiter: str) -> str:
    return "comma-separated fields" if delimiter == "," else f"fields separated by {delimiter!r}"
