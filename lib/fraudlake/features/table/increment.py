"""The incremental build: computes the rows that new input touches, and writes those that differ."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.features.batch.compute import compute
from fraudlake.features.batch.survey import survey
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import reach_of
from fraudlake.features.table.affected import MICROS, affected_transactions
from fraudlake.features.table.layout import by_time
from fraudlake.instants import closed_range, time_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.scan import Scan
from fraudlake.lake.tables import FEATURES, FLAGGED, SCORES, TRANSACTIONS, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Increment:
    """Rows of the feature table that are not what they should be, and what came of them.

    Attributes
    ----------
    rows
        New and changed rows as they should stand, and `_existed` (whether there was a row before).
    within
        SQL condition on `event_time`: the days in which they lie.
    new, updated
        How many rows are not in the table yet, and how many have other values.
    scores, flags
        How many rows of `scores` and `flagged` are about updated rows, made from other values.
    """

    rows: DataFrame
    within: str
    new: int
    updated: int
    scores: int
    flags: int


@contextmanager
def increment(
    lake: Lake,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    since: Mapping[str, int],
    until: Mapping[str, int],
    statements: DataFrame | None,
) -> Iterator[Increment]:
    """What the rows of the feature table lack since the input tables stood at other versions.

    Parameters
    ----------
    entities
        Entity → its column, for all entities of the data set.
    since, until
        Input table → version that the standing rows were made from, and version to go to.
    statements
        All statements about frauds; None where no feature is over labels.

    Returns
    -------
    Increment
        Its rows are cached until the block ends.

    Raises
    ------
    WholeBuildError
        As `affected.affected_transactions` says.
    """
    with ExitStack() as stack:

        def keep(frame: DataFrame) -> DataFrame:
            return stack.enter_context(cached(frame))

        targets, first, last = affected_transactions(
            lake, feature_set, entities, since, until, statements, keep
        )
        reach = feature_set.lookback // timedelta(microseconds=1)
        reached = lake.read(TRANSACTIONS, until["transactions"]).where(
            closed_range(first - reach, last)
        )
        rows = compute(
            targets,
            _context(reached, targets, feature_set, entities),
            statements,
            feature_set,
            entities,
            survey(Scan(reached), feature_set, entities),
        )
        existing = lake.read(FEATURES).where(closed_range(first, last))
        yield _counted(lake, keep(_different(rows, existing)))


def write(lake: Lake, increment: Increment) -> None:
    """Put the rows in their place: the days in which they lie are rewritten in one commit."""
    existing = lake.read(FEATURES).where(increment.within)
    columns = existing.columns
    others = existing.join(increment.rows.select("tx_id"), "tx_id", "left_anti").select(*columns)
    rows = others.unionByName(increment.rows.select(*columns))
    times = existing.select("event_time").unionByName(increment.rows.select("event_time"))
    lake.replace_where(FEATURES, by_time(rows, times), increment.within)


def _context(
    reached: DataFrame, targets: DataFrame, feature_set: FeatureSet, entities: Mapping[str, str]
) -> Callable[[str], DataFrame]:
    """Entity → the further transactions that count in windows of the targets."""
    from pyspark.sql import functions as F

    others = reached.join(targets.select("tx_id"), "tx_id", "left_anti")
    windows = feature_set.by_entity()

    def context(entity: str) -> DataFrame:
        at, features = F.expr(MICROS), windows[entity]
        keys = features[0].keys(entities)
        needed = targets.groupBy(*keys).agg(
            (F.min(at) - reach_of(features)).alias("_after"), F.max(at).alias("_until")
        )
        rows = others.join(needed, keys)
        return rows.where((at > F.col("_after")) & (at <= F.col("_until")))

    return context


def _different(rows: DataFrame, existing: DataFrame) -> DataFrame:
    """Rows that do not stand as they are; `_existed` where others stand in their place."""
    from pyspark.sql import functions as F

    content = F.struct(*(name for name in existing.columns if name != "tx_id"))
    both = rows.join(existing.select("tx_id", content.alias("_old")), "tx_id", "left")
    other = both.where(~content.eqNullSafe(F.col("_old")))
    return other.select(*existing.columns, F.col("_old").isNotNull().alias("_existed"))


def _counted(lake: Lake, rows: DataFrame) -> Increment:
    from pyspark.sql import functions as F

    days = rows.groupBy(F.to_date("event_time")).agg(
        F.count_if(~F.col("_existed")), F.count_if("_existed")
    )
    counts = sorted(tuple(row) for row in days.collect())
    within = _ranges([day for day, _, _ in counts])
    stale = rows.where("_existed").select("tx_id")

    def about(table: Table) -> int:
        if not lake.exists(table):
            return 0
        return lake.read(table).where(within).join(stale, "tx_id", "left_semi").count()

    return Increment(
        rows,
        within,
        sum(new for _, new, _ in counts),
        sum(updated for _, _, updated in counts),
        about(SCORES),
        about(FLAGGED),
    )


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
