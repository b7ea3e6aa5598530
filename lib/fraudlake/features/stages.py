"""The stream's plan, one shuffle for each entity, features added on the way; and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake.features.exchange import PACKED, Exchange
from fraudlake.features.feature import Feature
from fraudlake.features.rows import CHANGES, OVER, finished

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

# Rows of a batch that comes out.
_BATCH_ROWS = 50_000


@dataclass(frozen=True)
class Result:
    """What comes out at the end.

    Attributes
    ----------
    columns
        Column of a transaction → its name in the result.
    features
        All features, in order.
    """

    columns: Mapping[str, str]
    features: tuple[Feature, ...]

    @property
    def reads(self) -> list[str]:
        """Columns of a transaction that it is made of."""
        inputs = (name for f in self.features if not f.operation for name in f.columns)
        return list(dict.fromkeys(("tx_id", "event_time", *self.columns, *inputs)))

    def schema(self, types: Mapping[str, str]) -> str:
        """Its columns, of transactions whose columns have these SQL types."""
        columns = {name: types[column] for column, name in self.columns.items()}
        columns |= {feature.name: feature.sql_type for feature in self.features}
        return ", ".join(f"`{name}` {kind}" for name, kind in columns.items())

    def table(self, rows: pa.Table) -> pa.Table:
        """The result, from transactions and the features of their windows."""
        import pyarrow as pa

        columns = {name: rows[column] for column, name in self.columns.items()}
        return pa.table(columns | finished(rows, self.features))

    def batches(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """The result, as rows of Spark's."""
        yield from self.table(rows).to_batches(max_chunksize=_BATCH_ROWS)


@dataclass(frozen=True)
class Stage:
    """The windows of one entity.

    Attributes
    ----------
    exchange
        How its rows come.
    features
        Those over this entity.
    keep
        Columns of a transaction that are needed after it.
    then
        Where its rows go.
    """

    exchange: Exchange
    features: tuple[Feature, ...]
    keep: frozenset[str]
    then: Exchange | Result

    @property
    def over_labels(self) -> bool:
        """Whether its windows take what labels say."""
        return any(feature.over_labels for feature in self.features)

    @property
    def reads(self) -> list[str]:
        """Columns of a transaction that its windows take."""
        values = (name for feature in self.features for name in feature.columns)
        changes = [CHANGES] if self.over_labels else []
        return list(dict.fromkeys(("tx_id", "event_time", *self.exchange.keys, *values, *changes)))

    def batches(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """Rows with the features of this entity too, as they go on."""
        yield from onward(rows, self.keep, self.then)


def onward(
    rows: pa.Table, keep: frozenset[str], then: Exchange | Result
) -> Iterator[pa.RecordBatch]:
    """Rows as they go on, without the columns that are not needed any more."""
    names = [name for name in rows.column_names if name in keep or name.startswith(OVER)]
    yield from then.batches(rows.select(names))


def stages(
    by_entity: Mapping[str, Sequence[Feature]],
    exchanges: Mapping[str, Exchange],
    result: Result,
) -> list[Stage]:
    """One stage for each entity, in their order; each hands on what the later ones take."""
    chain: list[Stage] = []
    then: Exchange | Result = result
    keep = frozenset(result.reads)
    for entity, features in reversed(list(by_entity.items())):
        stage = Stage(exchanges[entity], tuple(features), keep, then)
        chain.insert(0, stage)
        then, keep = stage.exchange, keep.union(stage.reads)
    return chain


def through(
    packed: DataFrame,
    chain: Sequence[Stage],
    task: Callable[[Stage], Any],
    schema: str,
) -> DataFrame:
    """Packed transactions through one task after the other.

    Parameters
    ----------
    task
        What computes the windows of a stage on a partition.
    schema
        Of the result.
    """
    for stage in chain:
        kind = schema if isinstance(stage.then, Result) else PACKED
        packed = stage.exchange.shuffled(packed).mapInArrow(task(stage), kind)
    return packed
