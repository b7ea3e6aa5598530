"""Labels as features see them: when a transaction became known to be fraud, when not any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.exchange import packed_table
from fraudlake.features.rows import CHANGES
from fraudlake.lake import Lake
from fraudlake.lake.scan import ArrowTask, Scan
from fraudlake.lake.tables import LABELS

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import Broadcast
    from pyspark.sql import DataFrame

# Transactions called fraud, and statements about them, that the driver takes: tens of bytes each.
_MOST = 2_000_000


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


def collected_changes(statements: Scan) -> pa.Table | DataFrame:
    """As `label_changes` gives them, on the driver; the statements where these are too many."""
    frauds = statements.mapped(["tx_id", "is_fraud"], frauds_among, "tx_id bigint")
    ids = frauds.limit(_MOST + 1).toArrow()
    if len(ids) > _MOST:
        return statements.frame
    names = ["tx_id", "known_at", "source", "is_fraud"]
    kinds = dict(statements.frame.dtypes)
    schema = ", ".join(f"{name} {kinds[name]}" for name in names)
    about = AboutTask(statements.frame.sparkSession.sparkContext.broadcast(packed_table(ids)))
    said = statements.mapped(names, about, schema).limit(_MOST + 1).toArrow()
    return statements.frame if len(said) > _MOST else changes_said(said)


def frauds_among(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Transactions that statements call fraud."""
    for batch in batches:
        yield batch.filter(batch["is_fraud"]).select(["tx_id"])


@dataclass(frozen=True)
class AboutTask:
    """What keeps rows about some transactions."""

    ids: Broadcast[bytes]
    then: ArrowTask = iter

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What another task makes of those among the rows, by `tx_id`."""
        return self.then(self._about(batches))

    def _about(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = pa.ipc.open_stream(self.ids.value).read_all()["tx_id"].combine_chunks().unique()
        for batch in batches:
            yield batch.filter(pc.is_in(batch["tx_id"], value_set=ids))


def changes_said(statements: pa.Table) -> pa.Table:
    """`label_changes` of statements about transactions that were called fraud at some time.

    Examples
    --------
    >>> import pyarrow as pa
    >>> said = {"tx_id": [7, 7, 5], "known_at": [9, 4, 2], "source": ["b", "a", "a"]}
    >>> known = pa.array(said["known_at"], pa.timestamp("us", "UTC"))
    >>> rows = pa.table(said | {"is_fraud": [False, True, True], "known_at": known})
    >>> changes_said(rows).to_pylist()
    [{'tx_id': 5, '_changes': [2]}, {'tx_id': 7, '_changes': [4, 9]}]
    """
    import numpy as np
    import pyarrow as pa

    rows = statements.combine_chunks().sort_by(
        [(name, "ascending") for name in ("tx_id", "known_at", "source")]
    )
    tx_id, fraud = rows["tx_id"].to_numpy(), rows["is_fraud"].to_numpy().astype(bool)
    first = np.append(True, tx_id[1:] != tx_id[:-1])[: len(tx_id)]
    before = np.append(False, fraud[:-1])[: len(fraud)] & ~first
    changed = np.flatnonzero(fraud != before)
    known = rows["known_at"].cast("int64").to_numpy()[changed]
    ids, counts = np.unique(tx_id[changed], return_counts=True)
    ends = pa.array(np.cumsum(np.append(0, counts)), pa.int32())
    return pa.table({"tx_id": ids, CHANGES: pa.ListArray.from_arrays(ends, pa.array(known))})


@dataclass(frozen=True)
class JoinChangesTask:
    """What gives transactions their label changes, and hands them to a task.

    Attributes
    ----------
    changes
        What `label_changes` gives, as one stream of Arrow.
    """

    changes: Broadcast[bytes]
    task: ArrowTask

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What the task makes of the rows with `_changes`, null where there are none."""
        return self.task(self._joined(batches))

    def _joined(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        import pyarrow.compute as pc

        changes = pa.ipc.open_stream(self.changes.value).read_all().combine_chunks()
        ids = changes["tx_id"].combine_chunks()
        for batch in batches:
            place = pc.index_in(batch["tx_id"], value_set=ids)
            yield batch.append_column(CHANGES, changes[CHANGES].combine_chunks().take(place))


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
