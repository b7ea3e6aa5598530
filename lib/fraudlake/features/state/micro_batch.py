"""Features of a micro-batch on Spark: one shuffle for each entity, around what is remembered.

The same stages and kernels as in `batch`; instead of bringing earlier rows, the tasks open the
files of their partition and leave a new one, named by the batch (`entities`, `tasks`,
`sorted_runs`, `run_files`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import PACKED, Exchange, PackTask
from fraudlake.features.labels import signed
from fraudlake.features.rows import CHANGES
from fraudlake.features.stages import Result, Stage, stages, through
from fraudlake.features.state.entities import WindowsTask
from fraudlake.features.state.stores import PARTITION, RunPaths, Store
from fraudlake.features.state.tasks import (
    PACKED_CHANGES,
    ChangesTask,
    FreshTask,
    LabelsTask,
    MergeTask,
)
from fraudlake.lake.frames import cached

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def windows(
    rows: DataFrame,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    runs: Mapping[str, RunPaths],
    columns: Mapping[str, str],
) -> DataFrame:
    """Features of new transactions, each once; what they are is remembered in the new runs.

    Parameters
    ----------
    rows
        `tx_id`, `event_time`, `raw`, the entity columns and the columns that features name. Of
        several copies in one batch the first by (`event_time`, `raw`) is taken; those that are
        remembered are left out.
    entities
        Entity → its column.
    runs
        Store → the runs that are read, and the one to be written.
    columns
        Column of `rows` to keep → its name in the result.

    Returns
    -------
    DataFrame
        The columns to keep, the features and `definition`; one row a transaction.
    """
    from pyspark.sql import functions as F

    result = Result(columns, tuple(feature_set.features))
    chain = _stages(feature_set, entities, runs, result)
    reads = dict.fromkeys([*result.reads, *(name for stage in chain for name in stage.reads)])
    keep, then = frozenset(reads), chain[0].exchange if chain else result
    rows = rows.select("raw", *(name for name in reads if name != CHANGES))
    schema = result.schema(dict(rows.dtypes))
    rated = {stage.exchange.entity: stage.exchange.keys for stage in chain if stage.over_labels}
    transactions = runs[Store.TRANSACTIONS]
    task = FreshTask(transactions, runs[Store.LABELS], rated, keep, then)
    fresh = _placed(rows, transactions).mapInArrow(task, PACKED if chain else schema)
    answers = through(fresh, chain, _windows_task(runs, answers=True), schema)
    return answers.withColumn("definition", F.lit(feature_set.hash))


def remember(
    rows: DataFrame,
    changes: DataFrame,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    runs: Mapping[str, RunPaths],
) -> None:
    """Write the new run of every store, from transactions that are history and their labels.

    Parameters
    ----------
    rows
        `tx_id`, `event_time`, the entity columns and the columns that features name.
    changes
        As `labels.label_history` gives them; those of other transactions wait for these to come.
    """
    chain = _stages(feature_set, entities, runs, Result({}, ()))
    for stage in chain:
        chosen = rows.select(*(name for name in stage.reads if name != CHANGES))
        chosen = chosen.dropna(subset=list(stage.exchange.keys))
        if stage.over_labels:
            chosen = chosen.join(changes, "tx_id", "left")
        packed = chosen.mapInArrow(PackTask(stage.exchange), PACKED)
        _run(stage.exchange.shuffled(packed), _windows_task(runs, answers=False)(stage))
    rated = {stage.exchange.entity: stage.exchange.keys for stage in chain if stage.over_labels}
    transactions, waiting = runs[Store.TRANSACTIONS], runs[Store.LABELS]
    keys = (name for names in rated.values() for name in names)
    come = rows.select(*dict.fromkeys(["tx_id", "event_time", *keys]))
    _run(_placed(come, transactions), FreshTask(transactions, waiting, rated, frozenset(), None))
    not_come = signed(changes.join(rows.select("tx_id"), "tx_id", "left_anti"))
    _run(_placed(not_come, transactions), LabelsTask(transactions, waiting, ()))


def relabel(
    changes: DataFrame,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    runs: Mapping[str, RunPaths],
) -> None:
    """Write the new run of the labels and of every entity over labels: what became known.

    Parameters
    ----------
    changes
        As `labels.changes_between` gives them. Those of transactions that have come go to their
        entities, the others wait.
    """
    from pyspark.sql import functions as F

    chain = [s for s in _stages(feature_set, entities, runs, Result({}, ())) if s.over_labels]
    transactions = runs[Store.TRANSACTIONS]
    task = LabelsTask(transactions, runs[Store.LABELS], tuple(stage.exchange for stage in chain))
    with cached(_placed(changes, transactions).mapInArrow(task, PACKED_CHANGES)) as come:
        come.write.format("noop").mode("overwrite").save()
        for number, stage in enumerate(chain):
            packed = come.where(F.col("_entity") == number).drop("_entity")
            to = runs[stage.exchange.entity]
            _run(stage.exchange.shuffled(packed), ChangesTask(to, stage.features))


def merge(spark: SparkSession, runs: Mapping[str, RunPaths], oldest: int) -> None:
    """Write the new run of stores: their known runs as one, without what is older than a time.

    One task does it all, so that a stream on two cores keeps one.
    """
    numbers = max(paths.partitions for paths in runs.values())
    _run(spark.range(0, numbers, 1, 1), MergeTask(dict(runs), oldest))


def over_labels(feature_set: FeatureSet) -> list[str]:
    """Entities with features over labels."""
    entities = feature_set.by_entity().items()
    return [entity for entity, features in entities if any(f.over_labels for f in features)]


def _stages(
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    runs: Mapping[str, RunPaths],
    result: Result,
) -> list[Stage]:
    """One stage for each entity; its buckets are the partitions of its store."""
    by_entity = feature_set.by_entity()
    exchanges = {
        entity: Exchange(
            entity,
            tuple(features[0].keys(entities)),
            runs[entity].partitions,
            runs[entity].tasks,
        )
        for entity, features in by_entity.items()
    }
    return stages(by_entity, exchanges, result)


def _windows_task(runs: Mapping[str, RunPaths], answers: bool) -> Callable[[Stage], WindowsTask]:
    return lambda stage: WindowsTask(runs[stage.exchange.entity], stage, answers)


def _placed(rows: DataFrame, to: RunPaths) -> DataFrame:
    """Rows with the task of their transaction's partition."""
    from pyspark.sql import functions as F

    partition = F.pmod(F.xxhash64("tx_id"), F.lit(to.partitions)).cast("int")
    return rows.withColumn(PARTITION, partition).repartitionById(
        to.tasks, F.col(PARTITION) % to.tasks
    )


def _run(rows: DataFrame, kernel: Any) -> None:
    rows.mapInArrow(kernel, "nothing int").write.format("noop").mode("overwrite").save()
