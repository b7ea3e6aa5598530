"""The incremental build: computes the rows that new input touches, and writes those that differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING

from fraudlake.errors import DataError
from fraudlake.features.batch.addresses import MOVED
from fraudlake.features.batch.compute import Batch, brought_home, own_columns
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.stages import Result
from fraudlake.features.table.arrivals import Arrivals, arrivals
from fraudlake.features.table.changed import (
    WRITTEN,
    ByDayNumber,
    Change,
    ChangeTask,
    StandingTask,
    WriteChange,
    changed_rows,
    ids_updated,
    ranges,
)
from fraudlake.features.table.layout import by_time
from fraudlake.instants import closed_range, time_range
from fraudlake.lake import Lake, violations
from fraudlake.lake.data_file import DataFile
from fraudlake.lake.frames import cached
from fraudlake.lake.scan import Scan
from fraudlake.lake.tables import FEATURES, FLAGGED, LABELS, SCORES, Table

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

_DAY = timedelta(days=1)


def increment(
    lake: Lake,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    since: Mapping[str, int],
    until: Mapping[str, int],
) -> dict[str, int]:
    """Give the feature table what it lacks since the input tables stood at other versions.

    Rows that came are computed, and of the others those windows that what came is in. In one commit
    the files in which any row is new or other now make way for others; the rest stay.

    Parameters
    ----------
    entities
        Entity → its column, for all entities of the data set.
    since, until
        Input table → version that the standing rows were made from, and version to go to; without
        `labels` where no feature is over labels.

    Returns
    -------
    dict
        `new` and `updated`: rows that the table lacked, and that have other values now.
        `scores_affected`, `flagged_affected`: rows of `scores` and `flagged` about those updated.

    Raises
    ------
    WholeBuildError
        As `arrivals` says, or files of the table overlap too much.
    DataError
        Rows would have been lost or doubled, or others wrote meanwhile; nothing was written.
    """
    came = arrivals(lake, feature_set, entities, since, until)
    if came is None:
        return {"new": 0, "updated": 0, "scores_affected": 0, "flagged_affected": 0}
    labels = lake.scan(LABELS, until["labels"], ids=came.seen.ids) if "labels" in until else None
    batch = Batch(came.added, came.others, labels, feature_set, entities, came.seen)
    version, writer = lake.version(FEATURES), lake.file_writer(FEATURES)
    files = lake.files(FEATURES, version)
    if writer is None or files is None:
        return _through_spark(lake, came, batch)
    homes, standing = ranges(files, came.first, came.last, came.seen.days)
    paths = {home: tuple(file.path for file in group) for home, group in standing.items()}
    task = _task(batch, writer.columns, paths, WriteChange(writer))
    made = brought_home(batch, homes, task.result.reads, task, WRITTEN, came.changing)
    with violations.told(lake.features, FEATURES), cached(made) as told:
        homes_told = told.drop("ids").collect()
        which = reduce(xor, (row["which"] for row in homes_told), 0)
        if which != came.seen.which:
            raise DataError(
                f"{lake.features}: got other transactions than came; nothing was written, run again"
            )
        written = [row for row in homes_told if row["path"]]
        new, updated = (sum(row[name] for row in written) for name in ("new", "updated"))
        stale = told.where("updated > 0").mapInArrow(ids_updated, "tx_id bigint")
        within = closed_range(came.first, came.last)
        about = [_about(lake, t, within, stale) if updated else 0 for t in (SCORES, FLAGGED)]
    if written:
        gone = {f.name for row in written for f in standing.get(row["home"], ())}
        made_files = [DataFile(r["path"], r["size"], r["rows"], r["stats"]) for r in written]
        lake.replace_files(FEATURES, made_files, gone, version)
    return _counts(new, updated, about)


def _task(
    batch: Batch,
    columns: pa.Schema,
    standing: Mapping[int, tuple[str, ...]] | None,
    then: Callable[[int, Change], Iterator[pa.RecordBatch]],
) -> ChangeTask:
    result = Result(own_columns(batch.entities), tuple(batch.feature_set.features))
    return ChangeTask(batch.windows, result, columns, batch.feature_set.hash, standing, then)


def _through_spark(lake: Lake, came: Arrivals, batch: Batch) -> dict[str, int]:
    """The same where Spark must read or write the table: days with changes are written anew."""
    from pyspark.sql import functions as F
    from pyspark.sql.pandas.types import to_arrow_schema

    existing = lake.read(FEATURES)
    near = Scan(existing.where(closed_range(came.first, came.last)))
    homes = ByDayNumber(batch.partitions)
    task = _task(batch, to_arrow_schema(existing.schema, timezone="UTC"), None, changed_rows)
    beside = near.mapped(existing.columns, StandingTask(homes), MOVED)
    kinds = {**dict(existing.dtypes), "_existed": "boolean"}
    schema = ", ".join(f"`{name}` {kind}" for name, kind in kinds.items())
    made = brought_home(batch, homes, task.result.reads, task, schema, came.changing, beside)
    with cached(made) as rows:
        days = rows.groupBy(F.to_date("event_time")).agg(
            F.count_if(~F.col("_existed")), F.count_if("_existed")
        )
        counts = sorted(tuple(row) for row in days.collect())
        new, updated = (sum(row[place] for row in counts) for place in (1, 2))
        within = _ranges([day for day, _, _ in counts])
        stale = rows.where("_existed").select("tx_id")
        about = [_about(lake, t, within, stale) if updated else 0 for t in (SCORES, FLAGGED)]
        if counts:
            _write(lake, rows.drop("_existed"), within)
    return _counts(new, updated, about)


def _write(lake: Lake, rows: DataFrame, within: str) -> None:
    """Put the rows in their place: the days in which they lie are rewritten in one commit."""
    existing = lake.read(FEATURES).where(within)
    others = existing.join(rows.select("tx_id"), "tx_id", "left_anti").select(*existing.columns)
    times = existing.select("event_time").unionByName(rows.select("event_time"))
    lake.replace_where(FEATURES, by_time(others.unionByName(rows), times), within)


def _about(lake: Lake, table: Table, within: str, ids: DataFrame) -> int:
    """Rows of a table about transactions of a range of time."""
    if not lake.exists(table):
        return 0
    return lake.read(table).where(within).join(ids, "tx_id", "left_semi").count()


def _counts(new: int, updated: int, about: Sequence[int]) -> dict[str, int]:
    scores, flags = about
    return {"new": new, "updated": updated, "scores_affected": scores, "flagged_affected": flags}


def _ranges(days: Sequence[date]) -> str:
    """SQL condition on `event_time`: on these days, or between two that lie close together.

    >>> _ranges([date(2018, 4, 1), date(2018, 4, 2), date(2018, 4, 9)]).count(" OR ")
    1
    """
    if not days:
        return "false"
    # At most a hundred ranges, however long the history.
    close = max(_DAY, (days[-1] - days[0]) / 100)
    starts = [days[0], *(b for a, b in itertools.pairwise(days) if b - a > close)]
    ends = [*(a for a, b in itertools.pairwise(days) if b - a > close), days[-1]]
    return " OR ".join(
        f"({time_range(_midnight(start), _midnight(end + _DAY))})"
        for start, end in zip(starts, ends, strict=True)
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
