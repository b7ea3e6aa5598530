"""Unknown files as records of text: what a data set would read, with every field that is there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake.datasets import Dataset
from fraudlake.errors import DataError
from fraudlake.ingest import cards, files, sources
from fraudlake.ingest.formats import parquet
from fraudlake.profile import sniff

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import DataType

_LOOKED_AT = 2**20  # bytes of a file
_OPENED = 20  # files
MOST_FIELDS = 400
_NO_STEP = set(".[]")


@dataclass(frozen=True)
class Raw:
    """Files as records.

    Attributes
    ----------
    format, files
        Keys of the data set.
    fields
        Names of fields, and paths to them, in the order in which they stand.
    rows
        As `sources.read` gives them.
    questions
        What only the owner of the files knows.
    """

    format: str
    files: dict[str, Any]
    fields: tuple[str, ...]
    rows: DataFrame
    questions: tuple[str, ...]


def look(spark: SparkSession, path: str) -> Raw:
    """Find out what files are, and read all that is in them as text.

    Raises
    ------
    DataError
        There are none, or none that `ingest` reads.
    """
    if files.is_delta(spark, path):
        kinds = [spark.read.format("delta").load(path).schema]
        found = sniff.Written("parquet", {}, tuple(_names(of_schemas(kinds))))
        names: list[str] = []
    else:
        names = files.names(spark, path, "raw files")
        found = _of_files(spark, path, names)
    fields = list(dict.fromkeys((*found.names, *sorted(files.folders(names)))))
    questions = list(found.questions)
    hidden = [name for name in fields if cards.found_in(name)]
    if hidden:
        questions.append(f"{len(hidden)} fields have card numbers as their names: left out")
    if len(fields) > MOST_FIELDS:
        questions.append(f"{len(fields)} fields: the first {MOST_FIELDS} were looked at")
    fields = [name for name in fields if name not in hidden][:MOST_FIELDS]
    if not fields:
        raise DataError(f"input: got {path} without a field, expected records with fields")
    rows = sources.read(spark, bare(found.format, found.files, fields), path)
    return Raw(found.format, found.files, tuple(fields), rows, tuple(dict.fromkeys(questions)))


def bare(kind: str, written: dict[str, Any], fields: Sequence[str]) -> Dataset:
    """A data set that reads every field as text."""
    needed = {"tx_id": "bigint", "event_time": "timestamp", "amount": "decimal(18,2)"}
    columns: dict[str, Any] = {
        name: {"source": fields[0], "type": sql_type} for name, sql_type in needed.items()
    }
    for number, field in enumerate(fields):
        columns[f"c{number}"] = {"source": field, "type": "string", "required": False}
    return Dataset.model_validate(
        {"format": kind, "files": written, "columns": columns, "entities": {}}
    )


def _of_files(spark: SparkSession, path: str, names: Sequence[str]) -> sniff.Written:
    if any(".parquet" in name or name.endswith((".parq", ".pq")) for name in names):
        kinds = parquet.frames(spark, path, list(names)).values()
        return sniff.Written("parquet", {}, tuple(_names(of_schemas(k.schema for k in kinds))))
    heads = []
    for name in names[:_OPENED]:
        beginning = files.beginning(spark, name, _LOOKED_AT)
        if one := sniff.written(beginning, whole=len(beginning) < _LOOKED_AT):
            heads.append((name, one, beginning))
    if not heads:
        raise DataError(f"input: got {', '.join(names[:3])} without a record, expected some")
    first = heads[0][1]
    fields, questions = list(first.names), list(first.questions)
    for name, one, _ in heads[1:]:
        fields += one.names
        if (one.format, one.files) != (first.format, first.files):
            questions.append(
                f"{name} is written in another way than {heads[0][0]}: which is right?"
            )
    if first.format == "jsonl":
        codec = first.files.get("encoding", "utf-8")
        found = of_lines(
            line for _, _, text in heads for line in sniff.lines_of(text, codec, whole=False)
        )
        fields = list(_names(found))
        questions += [
            f"{path} holds up to {most} values, and the first is read: is each a payment "
            f'(`record: {{path: "{path}[]"}}`)?'
            for path, most in found.items()
            if most > 1
        ]
    return first._replace(names=tuple(dict.fromkeys(fields)), questions=tuple(questions))


def _names(found: dict[str, int]) -> Iterator[str]:
    return (name for name, most in found.items() if not most)


def of_lines(lines: Iterable[str]) -> dict[str, int]:
    """Paths in JSON lines → 0 for a value, for an array the most elements that one has.

    Examples
    --------
    >>> of_lines(['{"a": {"b": 1}, "items": [{"price": 2}, {"price": 3}]}'])
    {'a.b': 0, 'items': 2, 'items[0].price': 0}
    """
    found: dict[str, int] = {}
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        for path, most in _walked(value, ""):
            found[path] = max(most, found.get(path, 0))
    return found


def _walked(value: Any, path: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if not path and not isinstance(inner, (dict, list)):
                yield key, 0
            elif key and not _NO_STEP & set(key):
                yield from _walked(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        if value:
            yield path, len(value)
            yield from _walked(value[0], f"{path}[0]")
    elif path:
        yield path, 0


def of_schemas(schemas: Iterable[DataType]) -> dict[str, int]:
    """Paths in rows of files that have columns, as `of_lines`; how long arrays are is not known."""
    found: dict[str, int] = {}
    for schema in schemas:
        found |= dict.fromkeys(_leaves(schema, ""), 0)
    return found


def _leaves(kind: DataType, path: str) -> Iterator[str]:
    from pyspark.sql.types import ArrayType, MapType, StructType

    if isinstance(kind, StructType):
        for part in kind:
            yield from _leaves(part.dataType, f"{path}.{part.name}" if path else part.name)
    elif isinstance(kind, ArrayType):
        yield from _leaves(kind.elementType, f"{path}[0]")
    elif not isinstance(kind, MapType):
        yield path
