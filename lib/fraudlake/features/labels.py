"""Labels as features see them: when a transaction became known to be fraud, when not any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fraudlake.features.rows import CHANGES
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def label_changes(statements: DataFrame) -> DataFrame:
    """Changes of the fraud count that label statements make.

    A transaction's statements, in the order of (`known_at`, `source`), change the count wherever
    one says other than the one before; before the first, nothing is fraud. So changes alternate:
    +1, −1, +1, …

    Returns
    -------
    DataFrame
        `tx_id`, `_changes` (array of bigint: when each change was known, microseconds since 1970
        UTC); only transactions that were called fraud at some time, once each.
    """
    from pyspark.sql import functions as F

    in_order = F.array_sort(F.collect_list(F.struct("known_at", "source", "is_fraud")))
    other = "(s, i) -> s.is_fraud != coalesce(get(statements, i - 1).is_fraud, false)"
    changes = F.expr(f"transform(filter(statements, {other}), s -> unix_micros(s.known_at))")
    grouped = statements_about_frauds(statements).groupBy("tx_id").agg(in_order.alias("statements"))
    return grouped.select("tx_id", changes.alias(CHANGES))


def statements_about_frauds(statements: DataFrame) -> DataFrame:
    """Statements about transactions that were ever called fraud; the others change nothing."""
    frauds = statements.where("is_fraud").select("tx_id")
    return statements.join(frauds, "tx_id", "left_semi")


def label_history(lake: Lake, version: int) -> DataFrame:
    """All changes of the fraud count up to a version of `labels` (−1: none).

    Returns
    -------
    DataFrame
        `tx_id`, `_changes`, as `label_changes` gives them.
    """
    if version < 0:
        return lake.spark.createDataFrame([], f"tx_id bigint, {CHANGES} array<bigint>")
    return label_changes(lake.read(LABELS, version))


def changes_between(lake: Lake, after: int, until: int) -> DataFrame:
    """What statements between two versions of `labels` add to the changes, or take from them.

    Returns
    -------
    DataFrame
        `tx_id`, `known` (bigint, microseconds), `change` (bigint, not 0).
    """
    from pyspark.sql import functions as F

    stated = lake.changes(LABELS, after, until).select("tx_id").distinct()
    now, before = (
        signed(label_history(lake, version).join(stated, "tx_id", "left_semi"))
        for version in (until, after)
    )
    both = now.unionByName(before.withColumn("change", -F.col("change")))
    return both.groupBy("tx_id", "known").agg(F.sum("change").alias("change")).where("change != 0")


def signed(changes: DataFrame) -> DataFrame:
    """Changes one a row: `tx_id`, `known`, `change` (+1 and −1 in turn)."""
    from pyspark.sql import functions as F

    rows = changes.select("tx_id", F.posexplode(CHANGES).alias("place", "known"))
    sign = F.when(F.col("place") % 2 == 0, F.lit(1)).otherwise(F.lit(-1))
    return rows.select("tx_id", "known", sign.cast("bigint").alias("change"))
