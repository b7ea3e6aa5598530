"""Features of transactions on Spark: out to the entities' windows and home again, in two shuffles.

Whole builds and increments differ only in which rows they ask for and which others they bring. A
micro-batch of the stream goes through the same kernels (`state.micro_batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fraudlake.features.batch.addresses import MOVED, AsTheyCame, EntityWindows, Homes
from fraudlake.features.batch.fan_out import FanOutTask
from fraudlake.features.batch.home import HomeTask
from fraudlake.features.batch.partition import PartitionTask
from fraudlake.features.batch.survey import Survey, shuffle_partitions
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import packed_table
from fraudlake.features.labels import JoinChangesTask, collected_changes, label_changes
from fraudlake.features.rows import CHANGES
from fraudlake.features.stages import Result
from fraudlake.lake.scan import Scan

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import Broadcast
    from pyspark.sql import DataFrame

# Label changes that every task gets whole, tens of bytes each.
_MOST_CHANGES = 2_000_000


def feature_columns(feature_set: FeatureSet) -> dict[str, str]:
    """Column → SQL type of every feature, in order."""
    return {feature.name: feature.sql_type for feature in feature_set.features}


@dataclass(frozen=True)
class Batch:
    """Transactions whose features are asked for, and what counts in their windows.

    Attributes
    ----------
    targets
        Transactions to compute: `tx_id`, `event_time`, the entity columns and the columns that
        features name. They count in each other's windows. Where there are windows, a transaction
        that comes twice is taken once.
    context
        Entity, as in `Feature.entity` → further transactions that count in its windows and are not
        computed, with the same columns. Rows out of reach and targets among them do no harm. None:
        there are no others.
    statements
        Labels: `tx_id`, `is_fraud`, `known_at`, `source`; None where no feature is over labels.
    entities
        Entity → its column, for all entities of the data set.
    seen
        What `survey` says of targets and context: into how many partitions they go, and which keys
        are cut in time. Values do not depend on it.
    """

    targets: Scan
    context: Callable[[str], Scan | DataFrame] | None
    statements: Scan | DataFrame | None
    feature_set: FeatureSet
    entities: Mapping[str, str]
    seen: Survey | None = None

    @property
    def partitions(self) -> int:
        """Into how many partitions the entities' keys are split."""
        return self.seen.partitions if self.seen else shuffle_partitions(self.targets.frame)

    def windows(self) -> dict[str, EntityWindows]:
        """Entity → its windows."""
        slicing = self.seen.slicing if self.seen else {}
        return {
            entity: EntityWindows(
                tuple(features[0].keys(self.entities)),
                tuple(features),
                self.partitions,
                slicing.get(entity),
            )
            for entity, features in self.feature_set.by_entity().items()
        }


def compute(
    targets: Scan | DataFrame,
    context: Callable[[str], Scan | DataFrame] | None,
    statements: Scan | DataFrame | None,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    seen: Survey | None = None,
) -> DataFrame:
    """Features of the target transactions; parameters as `Batch` has them.

    Returns
    -------
    DataFrame
        One row for each target: `tx_id`, `event_time`, the entity columns, the features, and
        `definition`, the hash of the feature set.
    """
    return computed(Batch(_scan(targets), context, statements, feature_set, entities, seen))


def computed(batch: Batch) -> DataFrame:
    """As `compute` gives them, the features of a batch."""
    from pyspark.sql import functions as F

    result = Result(own_columns(batch.entities), tuple(batch.feature_set.features))
    schema = result.schema(dict(batch.targets.frame.dtypes))
    homes = AsTheyCame(batch.partitions)
    rows = brought_home(batch, homes, result.reads, result.batches, schema)
    return rows.withColumn("definition", F.lit(batch.feature_set.hash))


def own_columns(entities: Mapping[str, str]) -> dict[str, str]:
    """Columns of a transaction that stand beside its features → their names there."""
    return {name: name for name in ("tx_id", "event_time", *entities.values())}


def brought_home(
    batch: Batch,
    homes: Homes,
    own: Sequence[str],
    then: Callable[[pa.Table], Iterator[pa.RecordBatch]],
    schema: str,
) -> DataFrame:
    """What is made of a batch's transactions and the features of their windows.

    Parameters
    ----------
    homes
        Where a transaction is put together with its features.
    own
        Columns of a transaction that are needed there.
    then
        What is made of a home's transactions there, with the features of windows as `OVER` names.
    schema
        SQL schema of that.
    """
    from pyspark.sql import functions as F

    by_entity = batch.windows()
    windows = dict(enumerate(by_entity.values()))
    changes = _Changes(batch.statements)
    moving = changes.mapped(batch.targets, FanOutTask(homes, tuple(own), windows))
    if windows:
        if batch.context is not None:
            for number, entity in enumerate(by_entity):
                task = FanOutTask(None, (), {number: windows[number]})
                moving = moving.unionAll(changes.mapped(_scan(batch.context(entity)), task))
        placed = moving.repartitionById(batch.partitions, F.col("_place") % batch.partitions)
        moving = placed.mapInArrow(PartitionTask(windows), MOVED)
    gathered = moving.repartitionById(homes.number, F.col("_place"))
    return gathered.mapInArrow(HomeTask(windows, then), schema)


def _scan(rows: Scan | DataFrame) -> Scan:
    return rows if isinstance(rows, Scan) else Scan(rows)


class _Changes:
    """Label changes, as the rows get them: by a join of Spark, or by the tasks that read files."""

    def __init__(self, statements: Scan | DataFrame | None) -> None:
        self._statements = statements

    @cached_property
    def _given(self) -> Scan:
        if self._statements is None:
            raise TypeError("statements: got None, expected labels, for features over labels")
        return _scan(self._statements)

    @cached_property
    def _collected(self) -> pa.Table | None:
        """All changes; None where they are too many."""
        if self._given.shares is not None:
            return collected_changes(self._given, _MOST_CHANGES)
        few = label_changes(self._given.frame).limit(_MOST_CHANGES + 1).toArrow()
        return None if len(few) > _MOST_CHANGES else few

    @cached_property
    def _everywhere(self) -> Broadcast[bytes]:
        """All changes, sent to all tasks."""
        context = self._given.frame.sparkSession.sparkContext
        return context.broadcast(packed_table(self._collected))

    @cached_property
    def _frame(self) -> DataFrame:
        from pyspark.sql import functions as F

        if self._given.shares is None or self._collected is None:
            return label_changes(self._given.frame)
        return F.broadcast(self._given.frame.sparkSession.createDataFrame(self._collected))

    def mapped(self, rows: Scan, task: FanOutTask) -> DataFrame:
        """What a task sends of the rows; where it sends label changes, they are given them."""
        columns = [name for name in task.reads if name != CHANGES]
        if CHANGES not in task.reads:
            return rows.mapped(columns, task, MOVED)
        if rows.shares is not None and self._collected is not None:
            return rows.mapped(columns, JoinChangesTask(self._everywhere, task), MOVED)
        joined = rows.frame.select(*columns).join(self._frame, "tx_id", "left")
        return joined.mapInArrow(task, MOVED)
