"""Avro values as text: a value names its schema by the bytes it begins with.

Two framings name a schema: Avro's single-object encoding by its fingerprint, that of Confluent's
registry by a number. A value that does not name one of ours is a corrupt record, never misread.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_SINGLE_OBJECT = b"\xc3\x01"
_CONFLUENT = b"\x00"
_ID_BYTES = 4


def schemas(path: Path) -> dict[bytes, str]:
    """Avro schemas of a file or of a folder's `*.avsc`, by what their values begin with.

    Parameters
    ----------
    path
        Each schema serves values in single-object encoding. One in a file named by a number
        (`17.avsc`) also serves values with this id in Confluent's framing.

    Returns
    -------
    dict
        First bytes of a value → the schema, JSON.

    Raises
    ------
    ConfigError
        No such file, or one that is no schema of a record.
    """
    from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form

    files = sorted(path.glob("*.avsc")) if path.is_dir() else [path]
    if not files:
        raise ConfigError([f"avro: got {str(path)!r} without a file in it, expected *.avsc"])
    found: dict[bytes, str] = {}
    for file in files:
        try:
            schema = json.loads(file.read_text())
            parse_schema(schema)
            if schema.get("type") != "record":
                raise ValueError(f"type {schema.get('type')!r}")  # noqa: TRY301
        except Exception as error:  # noqa: BLE001 - each kind of wrong schema has one of its own
            reason = " ".join(str(error).split())
            raise ConfigError(
                [f"avro: got {str(file)!r}, expected the Avro schema of a record ({reason})"]
            ) from None
        text = json.dumps(schema)
        mark = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
        found[_SINGLE_OBJECT + bytes.fromhex(mark)[::-1]] = text
        if file.stem.isdigit():
            found[_CONFLUENT + int(file.stem).to_bytes(_ID_BYTES, "big")] = text
    return found


def to_text(records: DataFrame, known: Mapping[bytes, str]) -> DataFrame:
    """Records with `value` (binary) replaced by `raw` and `broken`.

    Returns
    -------
    DataFrame
        `raw` (string: the record as JSON; the value in base64 where it cannot be read), `broken`
        (string: what was expected of it, else null), and the other columns.
    """
    from pyspark.sql.types import StructType

    others = [name for name in records.columns if name != "value"]
    schema = StructType([records.schema[name] for name in others])
    schema = schema.add("raw", "string").add("broken", "string")

    def decoded(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        decode = Decoder(known)
        for batch in batches:
            values = batch.column("value").to_pylist()
            texts, reasons = zip(*map(decode, values), strict=True) if values else ((), ())
            columns = [batch.column(name) for name in others]
            columns += [pa.array(texts, pa.string()), pa.array(reasons, pa.string())]
            yield pa.RecordBatch.from_arrays(columns, [*others, "raw", "broken"])

    return records.mapInArrow(decoded, schema)


class Decoder:
    """Value → (text, what was expected where it cannot be read)."""

    def __init__(self, known: Mapping[bytes, str]) -> None:
        from fastavro.schema import parse_schema

        self._schemas = {mark: parse_schema(json.loads(text)) for mark, text in known.items()}

    def __call__(self, value: bytes | None) -> tuple[str, str | None]:
        """An Avro value → JSON text, and what is wrong with it, if anything."""
        from fastavro import schemaless_reader

        value = value or b""
        size = 1 + _ID_BYTES if value.startswith(_CONFLUENT) else len(_SINGLE_OBJECT) + 8
        schema = self._schemas.get(value[:size])
        if schema is None:
            return _encoded(value), (
                "expected an Avro value that names a schema of avro=, in single-object encoding or "
                "Confluent's framing"
            )
        stream = io.BytesIO(value)
        stream.seek(size)
        try:
            record = schemaless_reader(stream, schema)
            text = json.dumps(_plain(record), ensure_ascii=False, default=_text)
        except Exception as error:  # noqa: BLE001 - bytes from outside may break a reader anywhere
            return _encoded(value), f"expected an Avro value of its schema ({type(error).__name__})"
        if stream.read(1):
            return _encoded(value), "expected an Avro value of its schema, not more bytes"
        return text, None


def _plain(value: Any) -> Any:
    """Numbers that JSON lacks (NaN, infinities) as text: the checks refuse them by name."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _text(value: object) -> str:
    """Logical types as the checks read them: instants with offset, decimals, days, UUIDs."""
    return _encoded(value) if isinstance(value, bytes) else str(value)


def _encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
