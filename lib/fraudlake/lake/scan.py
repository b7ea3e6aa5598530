"""Rows of a table as tasks of Python take them: Arrow columns, read from its own files.

Spark's reader makes a row of Java's of every transaction, and takes it apart again on the way to
Python. A table whose files are plain Parquet on a disk that all tasks see is read by the tasks
themselves; any other through Spark, and the log says why.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from fraudlake.instants import microseconds
from fraudlake.lake.plain import obstacle_to_reading

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.sql import DataFrame

    from fraudlake.lake.delta_log import State

log = logging.getLogger("fraudlake")

# A task of Python over Arrow, as `mapInArrow` takes it.
ArrowTask = Callable[[Iterator["pa.RecordBatch"]], Iterator["pa.RecordBatch"]]
# Rows that a task reads, where files and their row groups allow it, and those of a batch.
_ROWS = 500_000
# Bytes of a row in a file whose statistics do not say how many rows it has.
_ROW_BYTES = 30


@dataclass(frozen=True)
class Share:
    """Of a file's row groups, the run that is number `number` (from 0) of `of` equal ones."""

    path: str
    number: int = 0
    of: int = 1


@dataclass(frozen=True)
class TableFile:
    """A file that a table has.

    Attributes
    ----------
    name
        As Delta's log has it.
    path
        Where it is.
    rows
        How many it has, or about so many where the log does not say it.
    first, last
        No row has an `event_time` before the one, or after the other (microseconds; None: not
        known).
    ranges
        Column → least and greatest value, of those that the log keeps.
    """

    name: str
    path: str
    rows: int
    first: int | None
    last: int | None
    ranges: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def meets(self, column: str, low: Any, high: Any) -> bool:
        """Whether it may have rows with low ≤ value ≤ high."""
        least, greatest = self.ranges.get(column, (low, high))
        return bool(least <= high and greatest >= low)


@dataclass(frozen=True)
class Scan:
    """Rows that tasks of Python take.

    Attributes
    ----------
    frame
        The rows, as Spark has them.
    shares
        What of the files each task reads; None: Spark reads.
    since, until
        Of the files' rows, those with since ≤ `event_time` < until (microseconds; None: no bound).
    ids
        Rows with a `tx_id` before the one or after the other may be left out; None: none.
    """

    frame: DataFrame
    shares: tuple[tuple[Share, ...], ...] | None = None
    since: int | None = None
    until: int | None = None
    ids: tuple[int, int] | None = None

    def without(self, other: Scan) -> Scan:
        """The rows but those of files that another scan reads, where both are read from files."""
        if self.shares is None or other.shares is None:
            return self
        read = {share.path for shares in other.shares for share in shares}
        kept = (tuple(s for s in shares if s.path not in read) for shares in self.shares)
        return replace(self, shares=tuple(shares for shares in kept if shares))

    def mapped(self, columns: Sequence[str], task: ArrowTask, schema: str) -> DataFrame:
        """What a task makes of these columns, with its schema in SQL."""
        rows = self.frame.select(*columns)
        if self.shares is None:
            return rows.mapInArrow(task, schema)
        from pyspark.sql.pandas.types import to_arrow_schema

        types = to_arrow_schema(rows.schema, timezone="UTC")
        reading = _ReadTask(self.shares, types, self.since, self.until, self.ids, task)
        number = len(self.shares)
        return rows.sparkSession.range(0, number, 1, max(1, number)).mapInArrow(reading, schema)


def scan_of(
    name: str,
    state: State | str,
    frame: DataFrame,
    start: datetime | None,
    end: datetime | None,
    ids: tuple[int, int] | None = None,
) -> Scan:
    """Rows of a table, those of a range of `event_time`, of files with a `tx_id` of a range.

    Parameters
    ----------
    name
        What the lake calls the table, for the log.
    state
        Its files; or in words why they cannot be looked at.
    frame
        The rows, as Spark has them.
    """
    reason = state if isinstance(state, str) else obstacle_to_reading(state)
    if isinstance(state, str) or reason:
        log.info("%s is read through Spark: got %s, expected plain files on a disk", name, reason)
        return Scan(frame)
    since, until = (None if bound is None else microseconds(bound) for bound in (start, end))
    files = [
        (file.path, file.rows)
        for file in files_of(state)
        if (ids is None or file.meets("tx_id", *ids))
        and (until is None or file.first is None or file.first < until)
        and (since is None or file.last is None or file.last >= since)
    ]
    return Scan(frame, shared_out(files), since, until, ids)


def files_of(state: State) -> list[TableFile]:
    """The files of a table."""
    return [_file(state.root, file) for file in state.files]


def _file(root: str, file: Mapping[str, Any]) -> TableFile:
    stats = json.loads(file.get("stats") or "{}")
    least, greatest = (stats.get(f"{end}Values", {}) for end in ("min", "max"))
    ranges = {name: (least[name], greatest[name]) for name in least if name in greatest}
    times = (of.get("event_time") for of in (least, greatest))
    first, last = (time and microseconds(datetime.fromisoformat(time)) for time in times)
    rows = stats.get("numRecords", file["size"] // _ROW_BYTES)
    # Statistics are cut to milliseconds.
    last = None if last is None else last + 999
    return TableFile(file["path"], _path(root, file["path"]), rows, first, last, ranges)


def _path(root: str, path: str) -> str:
    """Where a file is; Delta's log has an URI, most often one that counts from the table."""
    if ":" in path.split("/", maxsplit=1)[0]:
        return unquote(urlparse(path).path)
    return f"{root}/{unquote(path)}"


def shared_out(files: Sequence[tuple[str, int]]) -> tuple[tuple[Share, ...], ...]:
    """What each task reads, of files and their rows: a few small ones, or a part of a large one.

    >>> [len(shares) for shares in shared_out([("a", 9), ("b", 1_000_000), ("c", 9), ("d", 9)])]
    [1, 1, 1, 2]
    """
    tasks: list[tuple[Share, ...]] = []
    waiting: list[Share] = []
    size = 0.0
    for path, rows in files:
        parts = max(1, round(rows / _ROWS))
        for number in range(parts):
            if waiting and size + rows / parts > _ROWS:
                tasks.append(tuple(waiting))
                waiting, size = [], 0.0
            waiting.append(Share(path, number, parts))
            size += rows / parts
    return (*tasks, tuple(waiting)) if waiting else tuple(tasks)


def first_value(files: Sequence[TableFile], column: str) -> Any:
    """A column's value in some row of some files; None where there is no row."""
    import pyarrow.parquet as pq

    for file in files:
        with pq.ParquetFile(file.path) as opened:
            for batch in opened.iter_batches(1, columns=[column]):
                return batch[column][0].as_py()
    return None


def rows_of(paths: Sequence[str], schema: pa.Schema) -> pa.Table:
    """All rows of some files, the columns as a schema has them."""
    import pyarrow as pa

    reading = _ReadTask((), schema, None, None, None, iter)
    return pa.Table.from_batches(reading.rows([Share(path) for path in paths]), schema)


def _number(value: Any) -> int:
    return microseconds(value) if isinstance(value, datetime) else value


@dataclass(frozen=True)
class _ReadTask:
    """What reads a partition's shares, and hands the rows to a task."""

    shares: tuple[tuple[Share, ...], ...]
    schema: pa.Schema
    since: int | None
    until: int | None
    ids: tuple[int, int] | None
    task: ArrowTask

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What the task makes of the rows."""
        numbers = (number for batch in batches for number in batch["id"].to_pylist())
        return self.task(batch for number in numbers for batch in self.rows(self.shares[number]))

    def rows(self, shares: Sequence[Share]) -> Iterator[pa.RecordBatch]:
        """The rows of some shares."""
        import pyarrow.parquet as pq

        wanted = list(self.schema.names)
        if (self.since, self.until) != (None, None) and "event_time" not in wanted:
            wanted.append("event_time")
        for share in shares:
            with pq.ParquetFile(share.path, coerce_int96_timestamp_unit="us") as file:
                number = file.num_row_groups
                groups = range(
                    share.number * number // share.of, (share.number + 1) * number // share.of
                )
                wanted_groups = [n for n in groups if self._meets(file.metadata.row_group(n))]
                if not wanted_groups:
                    continue
                # Columns that came to the table later are not in its older files.
                there = [name for name in wanted if name in file.schema_arrow.names]
                for batch in file.iter_batches(_ROWS, wanted_groups, there, use_threads=False):
                    yield self._conformed(batch)

    def _meets(self, group: pq.RowGroupMetaData) -> bool:
        """Whether a row group may have rows that are asked for."""
        last = None if self.until is None else self.until - 1
        bounds = {"event_time": (self.since, last), "tx_id": self.ids or (None, None)}
        for number in range(group.num_columns):
            column = group.column(number)
            low, high = bounds.get(column.path_in_schema, (None, None))
            told = column.statistics
            if (low, high) == (None, None) or told is None or not told.has_min_max:
                continue
            least, greatest = _number(told.min), _number(told.max)
            if (high is not None and least > high) or (low is not None and greatest < low):
                return False
        return True

    def _conformed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The columns as the table declares them, of the rows that lie in the range."""
        import numpy as np
        import pyarrow as pa

        columns = [
            batch[field.name].cast(field.type)
            if field.name in batch.schema.names
            else pa.nulls(len(batch), field.type)
            for field in self.schema
        ]
        rows = pa.record_batch(columns, schema=self.schema)
        if self.since is None and self.until is None:
            return rows
        time = batch["event_time"].cast("int64").to_numpy()
        inside = np.ones(len(time), bool)
        if self.since is not None:
            inside &= time >= self.since
        if self.until is not None:
            inside &= time < self.until
        return rows if inside.all() else rows.filter(pa.array(inside))
