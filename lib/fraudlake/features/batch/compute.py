"""Features of transactions on Spark: one shuffle for each entity, around the kernels.

Whole builds and increments differ only in which rows they ask for and which others they bring. A
micro-batch of the stream goes through the same stages (`state.micro_batch`) and the same kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.hot_keys import shuffle_partitions
from fraudlake.features.batch.partition import PartitionTask
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import PACKED, Exchange, PackTask, TimeSlicing
from fraudlake.features.labels import label_changes
from fraudlake.features.rows import CHANGES
from fraudlake.features.stages import Result, Stage, stages, through

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

# Buckets for each partition of a shuffle.
_BUCKETS = 16


def feature_columns(feature_set: FeatureSet) -> dict[str, str]:
    """Column → SQL type of every feature, in order."""
    return {feature.name: feature.sql_type for feature in feature_set.features}


def compute(
    targets: DataFrame,
    context: Callable[[str], DataFrame],
    statements: DataFrame | None,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    slicing: Mapping[str, TimeSlicing] | None = None,
) -> DataFrame:
    """Features of the target transactions.

    Parameters
    ----------
    targets
        Transactions to compute: `tx_id`, `event_time`, the entity columns and the columns that
        features name. They count in each other's windows. Where there are windows, a transaction
        that comes twice is taken once.
    context
        Entity, as in `Feature.entity` → further transactions that count in its windows and are not
        computed, with the same columns. Rows out of reach and targets among them do no harm.
    statements
        Labels: `tx_id`, `is_fraud`, `known_at`, `source`; None where no feature is over labels.
    entities
        Entity → its column, for all entities of the data set.
    slicing
        Entity → keys to be cut in time, as `hot_keys.find_skewed_keys` gives them; values do not
        depend on it.

    Returns
    -------
    DataFrame
        One row for each target: `tx_id`, `event_time`, the entity columns, the features, and
        `definition`, the hash of the feature set.
    """
    from pyspark.sql import functions as F

    base = dict.fromkeys(["tx_id", "event_time", *entities.values()])
    result = Result({name: name for name in base}, tuple(feature_set.features))
    partitions, windows = shuffle_partitions(targets), feature_set.by_entity()
    exchanges = {
        entity: Exchange(
            entity,
            tuple(features[0].keys(entities)),
            partitions * _BUCKETS,
            partitions,
            slicing=(slicing or {}).get(entity),
        )
        for entity, features in windows.items()
    }
    chain = stages(windows, exchanges, result)
    schema = result.schema(dict(targets.dtypes))
    reads = dict.fromkeys([*result.reads, *(name for stage in chain for name in stage.reads)])
    rows = _with_changes(targets, statements, [*reads])
    if chain:
        packed = rows.mapInArrow(PackTask(chain[0].exchange, target=True), PACKED)

        def others(stage: Stage) -> DataFrame:
            events = context(stage.exchange.entity).dropna(subset=list(stage.exchange.keys))
            events = _with_changes(events, statements, stage.reads)
            return events.mapInArrow(PackTask(stage.exchange, target=False), PACKED)

        rows = through(packed, chain, PartitionTask, schema, others)
    else:
        rows = rows.mapInArrow(_Alone(result), schema)
    return rows.withColumn("definition", F.lit(feature_set.hash))


@dataclass(frozen=True)
class _Alone:
    """Transactions without any window."""

    result: Result

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            yield from self.result.batches(pa.Table.from_batches([batch]))


def _with_changes(rows: DataFrame, statements: DataFrame | None, columns: list[str]) -> DataFrame:
    """Columns of transactions; where label changes are among them, with those."""
    plain = rows.select(*(name for name in columns if name != CHANGES))
    if CHANGES not in columns:
        return plain
    if statements is None:
        raise TypeError("statements: got None, expected labels, for features over labels")
    return plain.join(label_changes(statements), "tx_id", "left")
