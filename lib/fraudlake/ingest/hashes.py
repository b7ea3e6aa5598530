"""Fields that are hashed at the door: what is behind it knows a card, and not its number.

HMAC-SHA-256 by a secret: without one, whoever has the hashes tries all the numbers that there are.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fraudlake.errors import ConfigError
from fraudlake.feeds import Feed
from fraudlake.ingest.values import word

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame

_BYTES = 16
_SHORTEST = 16


def secret(dataset: Feed) -> bytes:
    """The secret that a data set names.

    Raises
    ------
    ConfigError
        There is none, or it is too short to be one.
    """
    named = dataset.secret
    if named is None:
        raise ConfigError([f"secret: got none in {dataset.name}, expected env or file"])
    if named.env:
        where, found = f"the environment variable {named.env}", os.environ.get(named.env, "")
    else:
        where, path = f"the file {named.file}", Path(str(named.file))
        found = path.read_text() if path.is_file() else ""
    key = found.strip().encode()
    if len(key) < _SHORTEST:
        problem = (
            f"secret: got {len(key)} bytes from {where}, expected at least {_SHORTEST}: the data "
            f"set {dataset.name} hashes {', '.join(dataset.hashed())}"
        )
        raise ConfigError([problem])
    return key


def of_text(text: str, key: bytes) -> str:
    """The hash of a text, 32 hex digits.

    Examples
    --------
    >>> of_text("4111111111111111", b"sixteen bytes ok")
    'dbd984b54ae8c99c4be0a7a469d8c68a'
    """
    return hmac.digest(key, text.encode(), "sha256")[:_BYTES].hex()


def hashed(records: DataFrame, dataset: Feed) -> DataFrame:
    """Records as `sources.read` gives them, in place of plain texts their hashes.

    In `raw` too, wherever the text stands there as it stands in the field; numbers that look like
    cards' are masked in what goes to a table from there, as ever.
    """
    from pyspark.sql import functions as F

    own = dataset.raw_fields()
    names = [name for name in dataset.hashed() if dataset.columns[name].source in own]
    if not names:
        return records
    key = secret(dataset)

    of_each = F.arrow_udf(lambda texts: _hashes(texts, key), "string")  # type: ignore[attr-defined]  # not in pyspark's stubs
    sources = {}
    for name in names:
        column = dataset.columns[name]
        nulls = dataset.nulls if column.nulls is None else column.nulls
        field = str(column.source)
        text = F.nullif(F.btrim(F.col("fields")[field], F.lit(" \t")), F.lit(""))
        sources[field] = word.known(text, nulls)
    made = {f"_hash{place}": of_each(text) for place, text in enumerate(sources.values())}
    rows = records.withColumns(made)
    raw = F.col("raw")
    for text, name in zip(sources.values(), made, strict=True):
        raw = F.coalesce(F.replace(raw, text, F.col(name)), raw)
    at = dict(zip(sources, made, strict=True))

    def value(field: str) -> Column:
        return F.col(at[field]) if field in at else F.col("fields")[field]

    fields = F.struct(*[value(field).alias(field) for field in own])
    changed = {"raw": raw, "fields": fields}
    return rows.select(*[changed.get(n, F.col(n)).alias(n) for n in records.columns])


def _hashes(texts: pa.Array, key: bytes) -> pa.Array:
    import pyarrow as pa

    return pa.array([t if t is None else of_text(t, key) for t in texts.to_pylist()], pa.string())
