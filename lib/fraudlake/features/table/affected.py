"""What came to the input tables since a build, and which rows of the feature table it affects.

A new transaction affects its own row and the later rows of its entities whose windows hold it; a
label statement affects rows at or after `known_at` whose windows hold its transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Feature, reach_of
from fraudlake.instants import closed_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import union
from fraudlake.lake.tables import LABELS, TRANSACTIONS, Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Beyond this share of the rows, computing everything is less work than looking for what to compute.
_MOST = 0.5
MICROS = "unix_micros(event_time)"


class WholeBuildError(Exception):
    """An increment is not possible, or not worth it; the text says why."""


def affected_transactions(
    lake: Lake,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    since: Mapping[str, int],
    until: Mapping[str, int],
    statements: DataFrame | None,
    keep: Callable[[DataFrame], DataFrame],
) -> tuple[DataFrame, int, int]:
    """Transactions whose features may have changed between two states of the input tables.

    Parameters
    ----------
    entities
        Entity → its column, for all entities of the data set.
    since, until
        Input table → version that standing features were made from, and version to go to.
    statements
        All statements about frauds; None where no feature is over labels.
    keep
        Caches a frame, for as long as the result is used.

    Returns
    -------
    tuple
        Rows of `transactions`, cached; their first and last `event_time`, in microseconds (0 where
        there are none).

    Raises
    ------
    WholeBuildError
        The input tables were changed other than by appending; their change feed cannot be read; or
        most rows are affected.
    """
    from pyspark.sql import functions as F

    transactions = lake.read(TRANSACTIONS, until["transactions"])
    total = transactions.count()
    added, number = _appended(TRANSACTIONS, lake, since, until, keep)
    _worth_it(number, total)
    stated = None
    if statements is not None:
        appended, _ = _appended(LABELS, lake, since, until, keep)
        stated = keep(_on_frauds(appended, statements, transactions, feature_set))
    intervals = []
    for features in feature_set.by_entity().values():
        keys = features[0].keys(entities)
        intervals.append(
            (keys, reach_of(features), keep(_affected_intervals(added, stated, keys, features)))
        )
    rows = keep(_affected(transactions, added, intervals))
    at = F.expr(MICROS)
    number, first, last = rows.agg(F.count("*"), F.min(at), F.max(at)).collect()[0]
    _worth_it(number, total)
    return rows, first or 0, last or 0


def _appended(
    table: Table,
    lake: Lake,
    since: Mapping[str, int],
    until: Mapping[str, int],
    keep: Callable[[DataFrame], DataFrame],
) -> tuple[DataFrame, int]:
    """Rows that came to a table between two versions, cached, and how many they are."""
    from pyspark.errors import PySparkException
    from pyspark.sql import functions as F

    other = F.col("_change_type") != "insert"
    try:
        rows = keep(lake.changes(table, since[table.name], until[table.name]))
        count, others = rows.agg(F.count("*"), F.count_if(other)).collect()[0]
    except PySparkException as error:
        reason = str(error).splitlines()[0]
        raise WholeBuildError(
            f"what came to {table.name} cannot be read any more: {reason}"
        ) from error
    if others:
        raise WholeBuildError(f"rows of {table.name} were changed or deleted")
    return rows, count


def _worth_it(number: int, total: int) -> None:
    if number > _MOST * total:
        raise WholeBuildError(f"{number} of {total} rows are new or affected")


def _on_frauds(
    appended: DataFrame, statements: DataFrame, transactions: DataFrame, feature_set: FeatureSet
) -> DataFrame:
    """New statements about transactions that were ever called fraud, with their transactions."""
    from pyspark.sql import functions as F

    matter = appended.join(statements.select("tx_id").distinct(), "tx_id", "left_semi")
    earliest = matter.agg(F.unix_micros(F.min("known_at"))).collect()[0][0]
    reach = reach_of([f for f in feature_set.features if f.over_labels])
    # An older transaction has left all windows before the statement was known.
    young = transactions.where(closed_range((earliest or 0) - reach, None))
    return matter.select("tx_id", "known_at").join(young, "tx_id")


def _affected_intervals(
    added: DataFrame, stated: DataFrame | None, keys: Sequence[str], features: Sequence[Feature]
) -> DataFrame:
    """When an entity's rows are affected: one interval for each key and stretch of time.

    Time is cut into stretches as long as the longest window reaches. Intervals of one stretch
    are joined, so that a row meets one at most: a busy key costs no more than its rows. What lies
    between two intervals is computed in vain, and found equal.

    Returns
    -------
    DataFrame
        The keys, `_stretch`, `_start`, `_end` (microseconds, end excluded).
    """
    from pyspark.sql import functions as F

    by_input = [_of_windows(added, keys, features, F.expr(MICROS))]
    over_labels = [f for f in features if f.over_labels]
    if stated is not None and over_labels:
        by_input.append(_of_windows(stated, keys, over_labels, F.unix_micros("known_at")))
    length = reach_of(features)
    stretches = F.sequence(F.expr(f"_start div {length}"), F.expr(f"(_end - 1) div {length}"))
    intervals = union(by_input).dropna(subset=list(keys)).where("_start < _end")
    intervals = intervals.withColumn("_stretch", F.explode(stretches))
    return intervals.groupBy(*keys, "_stretch").agg(
        F.min("_start").alias("_start"), F.max("_end").alias("_end")
    )


def _of_windows(
    rows: DataFrame, keys: Sequence[str], features: Sequence[Feature], known: Column
) -> DataFrame:
    """For each row, from when on and until when windows hold it."""
    from pyspark.sql import functions as F

    enters = F.expr(MICROS) + min(f.delay for f in features)
    return rows.select(
        *keys,
        F.greatest(known, enters).alias("_start"),
        (F.expr(MICROS) + reach_of(features)).alias("_end"),
    )


def _affected(
    transactions: DataFrame, added: DataFrame, intervals: Sequence[tuple[list[str], int, DataFrame]]
) -> DataFrame:
    """Transactions that are new, or lie in an interval of one of their keys."""
    from pyspark.sql import functions as F

    starts = [added.select(F.expr(MICROS).alias("_start"))]
    starts += [frame.select("_start") for _, _, frame in intervals]
    first = union(starts).agg(F.min("_start")).collect()[0][0]
    rows = transactions.where("false" if first is None else closed_range(first, None))
    rows = rows.join(added.select("tx_id", F.lit(True).alias("_hit")), "tx_id", "left")
    for keys, length, frame in intervals:
        interval = frame.withColumnsRenamed({key: f"_of_{key}" for key in keys})
        same = [F.col(key) == F.col(f"_of_{key}") for key in keys]
        at = F.expr(MICROS)
        inside = [
            F.expr(f"{MICROS} div {length}") == F.col("_stretch"),
            at >= F.col("_start"),
            at < F.col("_end"),
        ]
        hit = F.coalesce("_hit", F.lit(False)) | F.col("_start").isNotNull()
        rows = rows.join(interval, [*same, *inside], "left")
        rows = rows.select(*transactions.columns, hit.alias("_hit"))
    return rows.where("_hit").drop("_hit")
