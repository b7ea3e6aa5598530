"""A file of a table, written by a task of Python, and what Delta's log says of it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

# Distinct values among so many, beyond which a dictionary is longer than the values.
_SAMPLE, _FEW = 20_000, 0.25


@dataclass(frozen=True)
class DataFile:
    """A file that a commit can add.

    Attributes
    ----------
    path
        Its name in the table's folder.
    size
        Bytes.
    rows
        How many it has.
    stats
        That, and of some columns the least, the greatest and how many are null, as Delta's log
        has them.
    """

    path: str
    size: int
    rows: int
    stats: str


@dataclass(frozen=True)
class DataFileWriter:
    """What writes files of a table.

    Attributes
    ----------
    folder
        The table's.
    columns
        Names and types, in order; `nullable` is false where none may be null.
    indexed
        Columns whose range the log keeps.
    """

    folder: str
    columns: pa.Schema
    indexed: tuple[str, ...]

    def write(self, rows: pa.Table) -> DataFile:
        """Write rows, which have all columns, as one file of a name that nothing else has.

        Raises
        ------
        ValueError
            A column that must not be null is; in Delta's words, for `violations.told`.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        for field in self.columns:
            if not field.nullable and rows[field.name].null_count:
                raise ValueError(f"NOT NULL constraint violated for column: {field.name}")
        columns = [_typed(rows[field.name], field.type) for field in self.columns]
        rows = pa.table(columns, self.columns.names)
        path = f"part-{uuid.uuid4()}.snappy.parquet"
        pq.write_table(
            rows,
            f"{self.folder}/{path}",
            compression="snappy",
            use_dictionary=[name for name in rows.column_names if _repeats(rows[name])],
            store_schema=False,
            store_decimal_as_integer=True,
        )
        stats = {"numRecords": len(rows)} | _ranges(rows, self.indexed)
        size = Path(self.folder, path).stat().st_size
        return DataFile(path, size, len(rows), json.dumps(stats))


def _typed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """A column of a type, or of a dictionary of it."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type) and column.type.value_type == kind:
        return column
    return column.cast(kind)


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether values come again so often that a dictionary of them is short."""
    few = column.slice(0, _SAMPLE)
    return len(few.unique()) <= _FEW * len(few)


def _ranges(rows: pa.Table, names: tuple[str, ...]) -> dict[str, Any]:
    """Least and greatest values and nulls of some columns."""
    import pyarrow.compute as pc

    least, greatest, nulls = {}, {}, {}
    for name in names:
        nulls[name] = rows[name].null_count
        both = pc.min_max(rows[name])
        low, high = _said(both["min"]), _said(both["max"])
        if low is not None:
            least[name] = low
        if high is not None:
            greatest[name] = high
    return {"minValues": least, "maxValues": greatest, "nullCount": nulls}


def _said(value: pa.Scalar) -> Any:
    """A value as the log says it, None where that has another way for it to be said.

    Instants are cut to milliseconds, which readers know.
    """
    plain = value.as_py()
    if isinstance(plain, datetime):
        return plain.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return plain if isinstance(plain, int | str) else None
