"""Features of transactions on Spark: out to the entities' windows and home again, in two shuffles.

Whole builds and increments differ only in which rows they ask for and which others they bring. A
micro-batch of the stream goes through the same kernels (`state.micro_batch`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from fraudlake.features.batch.addresses import MOVED, AsTheyCame, EntityWindows, Homes
from fraudlake.features.batch.changing import Changing
from fraudlake.features.batch.fan_out import FanOutTask
from fraudlake.features.batch.home import HomeTask
from fraudlake.features.batch.partition import PartitionTask
from fraudlake.features.batch.survey import Survey, shuffle_partitions
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import packed_table
from fraudlake.features.labels import JoinChangesTask, collected_changes, label_changes
from fraudlake.features.rows import CHANGES
from fraudlake.features.stages import Result
from fraudlake.lake.scan import ArrowTask, Scan

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

    Context: TypeAlias = Scan | Callable[[str], Scan | DataFrame] | None
    Labels: TypeAlias = Scan | DataFrame | None


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
        Further transactions that count in windows and are not computed, with the same columns; or
        entity, as in `Feature.entity` → those that count in its windows. Rows out of reach and
        targets among them do no harm. None: there are no others.
    statements
        Labels: `tx_id`, `is_fraud`, `known_at`, `source`; None where no feature is over labels.
    entities
        Entity → its column, for all entities of the data set.
    seen
        What `survey` says of targets and context: into how many partitions they go, and which keys
        are cut in time. Values do not depend on it.
    """

    targets: Scan
    context: Context
    statements: Labels
    feature_set: FeatureSet
    entities: Mapping[str, str]
    seen: Survey | None = None

    @property
    def partitions(self) -> int:
        """Into how many partitions the entities' keys are split."""
        return self.seen.partitions if self.seen else shuffle_partitions(self.targets.frame)

    @property
    def windows(self) -> dict[int, EntityWindows]:
        """Number of an entity, as they come in the feature set → its windows."""
        slicing = self.seen.slicing if self.seen else {}
        return {
            number: EntityWindows(
                tuple(features[0].keys(self.entities)),
                tuple(features),
                self.partitions,
                slicing.get(entity),
            )
            for number, (entity, features) in enumerate(self.feature_set.by_entity().items())
        }


def compute(
    targets: Scan | DataFrame,
    context: Context,
    statements: Labels,
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
    rows = brought_home(batch, homes, result.reads, HomeTask(batch.windows, result.batches), schema)
    return rows.withColumn("definition", F.lit(batch.feature_set.hash))


def own_columns(entities: Mapping[str, str]) -> dict[str, str]:
    """Columns of a transaction that stand beside its features → their names there."""
    return {name: name for name in ("tx_id", "event_time", *entities.values())}


def brought_home(
    batch: Batch,
    homes: Homes,
    own: Sequence[str],
    task: ArrowTask,
    schema: str,
    changing: Changing | None = None,
    beside: DataFrame | None = None,
) -> DataFrame:
    """What is made of a batch's transactions and the features of their windows.

    Parameters
    ----------
    homes
        Where a transaction is put together with its features.
    own
        Columns of a transaction that are needed there.
    task
        What takes all that comes to some homes.
    schema
        SQL schema of what it makes of it.
    changing
        Where windows of the context are asked for too that may have changed.
    beside
        What else goes home, as `MOVED` has it.
    """
    from pyspark.sql import functions as F

    windows = batch.windows
    changes = _Changes(batch.targets.frame.sparkSession, batch.statements)
    moving = changes.mapped(batch.targets, FanOutTask(homes, tuple(own), windows, changing))
    if windows:
        if isinstance(batch.context, Scan):
            out = FanOutTask(None, (), windows, changing)
            moving = moving.unionAll(changes.mapped(batch.context, out))
        elif batch.context is not None:
            for number, entity in enumerate(batch.feature_set.by_entity()):
                out = FanOutTask(None, (), {number: windows[number]})
                moving = moving.unionAll(changes.mapped(_scan(batch.context(entity)), out))
        placed = moving.repartitionById(batch.partitions, F.col("_place") % batch.partitions)
        moving = placed.mapInArrow(PartitionTask(windows, homes if changing else None), MOVED)
    if beside is not None:
        moving = moving.unionAll(beside)
    # Of a change, most homes see nothing.
    most = shuffle_partitions(batch.targets.frame) if changing else homes.number
    number = min(homes.number, most)
    return moving.repartitionById(number, F.col("_place") % number).mapInArrow(task, schema)


def _scan(rows: Scan | DataFrame) -> Scan:
    return rows if isinstance(rows, Scan) else Scan(rows)


class _Changes:
    """Label changes, as the rows get them: from what was collected of them, or by a join of Spark.

    Labels as a frame of Spark's are not looked at before the rows are.
    """

    def __init__(self, spark: SparkSession, labels: Labels) -> None:
        self._spark = spark
        self._labels = collected_changes(labels) if isinstance(labels, Scan) else labels

    @cached_property
    def _everywhere(self) -> Broadcast[bytes]:
        """What was collected, sent to all tasks."""
        return self._spark.sparkContext.broadcast(packed_table(self._labels))

    def mapped(self, rows: Scan, task: FanOutTask) -> DataFrame:
        """What a task sends of the rows; where it sends label changes, they are given them."""
        import pyarrow as pa

        columns = [name for name in task.reads if name != CHANGES]
        if CHANGES not in task.reads:
            return rows.mapped(columns, task, MOVED)
        if self._labels is None:
            raise TypeError("statements: got None, expected labels, for features over labels")
        if isinstance(self._labels, pa.Table):
            return rows.mapped(columns, JoinChangesTask(self._everywhere, task), MOVED)
        changes = label_changes(self._labels)
        return rows.frame.select(*columns).join(changes, "tx_id", "left").mapInArrow(task, MOVED)
