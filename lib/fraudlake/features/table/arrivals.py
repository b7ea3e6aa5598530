"""What came to the input tables since a build, and which rows' features that may have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.features.batch.changing import Changing, needed, stretch
from fraudlake.features.batch.survey import Survey, survey
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import packed_table
from fraudlake.features.feature import reach_of
from fraudlake.features.labels import AboutTask, frauds_among
from fraudlake.features.rows import micros
from fraudlake.lake import Lake
from fraudlake.lake.scan import ArrowTask, Scan
from fraudlake.lake.tables import LABELS, TRANSACTIONS, Table

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Beyond this share of the rows, computing everything is less work than looking for what to compute.
_MOST = 0.5
# Rows that are collected, for the keys whose windows changed: tens of bytes each.
_MOST_ROWS = 2_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WholeBuildError(Exception):
    """An increment is not possible, or not worth it; the text says why."""


@dataclass(frozen=True)
class Arrivals:
    """What came since a build.

    Attributes
    ----------
    added
        Transactions that are new.
    others
        Those that count in windows that changed, or have such windows.
    seen
        What `survey` says of both.
    changing
        What tells those others, in the tasks that read them.
    first, last
        No row with an `event_time` before or after (microseconds) has windows that changed.
    """

    added: Scan
    others: Scan
    seen: Survey
    changing: Changing
    first: int
    last: int


def arrivals(
    lake: Lake,
    feature_set: FeatureSet,
    entities: Mapping[str, str],
    since: Mapping[str, int],
    until: Mapping[str, int],
) -> Arrivals | None:
    """What came to the input tables between two states of them; None: nothing that matters.

    Parameters
    ----------
    entities
        Entity → its column, for all entities of the data set.
    since, until
        Input table → version that standing features were made from, and version to go to.

    Raises
    ------
    WholeBuildError
        The input tables were changed other than by appending; their change feed cannot be read; or
        most rows are new.
    """
    added = _appended(lake, TRANSACTIONS, since, until)
    seen = survey(added, feature_set, entities)
    total = lake.rows(TRANSACTIONS, until["transactions"])
    if seen.rows > _MOST * total:
        raise WholeBuildError(f"{seen.rows} of {total} rows are new")
    by_entity = {
        number: (features[0].keys(entities), features)
        for number, features in enumerate(feature_set.by_entity().values())
    }
    names = dict.fromkeys(name for keys, _ in by_entity.values() for name in keys)
    columns = ["tx_id", "event_time", *names]
    sources: list[_Source] = []
    stated = None
    if "labels" in until:
        said = _said_of_frauds(lake, _appended(lake, LABELS, since, until), until["labels"])
        if len(said):
            reach = reach_of([f for f in feature_set.features if f.over_labels])
            # An older transaction has left all windows before the statement was known.
            youngest = _instant(int(said["known"].to_numpy().min()) - reach)
            ids = _ends(said)
            young = lake.scan(TRANSACTIONS, until["transactions"], youngest, ids=ids)
            sources.append(_stated(young, columns, said))
            stated = lake.spark.sparkContext.broadcast(packed_table(said))
    if not seen.rows and not (sources and len(sources[0].rows)):
        return None
    collected = seen.rows <= _MOST_ROWS
    if collected and seen.rows:
        rows = _collected(added, columns, iter)
        sources.append(_Source(rows, micros(rows), labels=False))
    first, last, needs = seen.first if seen.rows else 2**63 - 1, seen.last, {}
    for number, (keys, features) in by_entity.items():
        those = [s for s in sources if not s.labels or any(f.over_labels for f in features)]
        for source in those:
            start, end = stretch(micros(source.rows), source.since, features)
            first = min(first, int(start.min(initial=first)))
            last = max(last, int(end.max(initial=last)))
        if not collected:
            last = max(last, seen.last + reach_of(features))
        elif those:
            found = needed([(s.rows, s.since) for s in those], keys, features)
            needs[number] = lake.spark.sparkContext.broadcast(packed_table(found))
    reached = _instant(first) - feature_set.lookback
    others = lake.scan(TRANSACTIONS, until["transactions"], reached, _instant(last + 1))
    others = others.without(added)
    both = survey(added, feature_set, entities, others)
    return Arrivals(added, others, both, Changing(stated, needs), first, last)


@dataclass(frozen=True)
class _Source:
    """Transactions that change windows, since when, and whether by what was said of them."""

    rows: pa.Table
    since: NDArray[np.int64]
    labels: bool


def _appended(lake: Lake, table: Table, since: Mapping[str, int], until: Mapping[str, int]) -> Scan:
    """Rows that came to a table between two versions."""
    from pyspark.errors import PySparkException

    try:
        rows = lake.appended(table, since[table.name], until[table.name])
        others = rows.shares is None and not rows.frame.where("_change_type != 'insert'").isEmpty()
    except PySparkException as error:
        reason = str(error).splitlines()[0]
        raise WholeBuildError(
            f"what came to {table.name} cannot be read any more: {reason}"
        ) from error
    if others:
        raise WholeBuildError(f"rows of {table.name} were changed or deleted")
    return rows


def _said_of_frauds(lake: Lake, appended: Scan, version: int) -> pa.Table:
    """Transactions that something new was said of, and that were ever called fraud.

    Returns
    -------
    pyarrow.Table
        `tx_id`, `known`: the earliest (microseconds).
    """
    import pyarrow.compute as pc

    said = _collected(appended, ["tx_id", "known_at"], iter)
    if len(said) > _MOST_ROWS:
        raise WholeBuildError(f"more than {_MOST_ROWS} statements about transactions are new")
    if len(said):
        ids = lake.spark.sparkContext.broadcast(packed_table(said.select(["tx_id"])))
        about = lake.scan(LABELS, version, ids=_ends(said))
        frauds = about.mapped(["tx_id", "is_fraud"], AboutTask(ids, frauds_among), "tx_id bigint")
        among = frauds.toArrow()["tx_id"].combine_chunks()
        said = said.filter(pc.is_in(said["tx_id"], value_set=among))
    earliest = said.group_by("tx_id").aggregate([("known_at", "min")])
    known = earliest["known_at_min"].cast("int64")
    return earliest.select(["tx_id"]).append_column("known", known).combine_chunks()


def _ends(rows: pa.Table) -> tuple[int, int]:
    """Least and greatest `tx_id`."""
    import pyarrow.compute as pc

    ends = pc.min_max(rows["tx_id"]).as_py()
    return ends["min"], ends["max"]


def _stated(young: Scan, columns: Sequence[str], said: pa.Table) -> _Source:
    """The transactions that something was said of."""
    import pyarrow.compute as pc

    ids = young.frame.sparkSession.sparkContext.broadcast(packed_table(said))
    rows = _collected(young, columns, AboutTask(ids))
    place = pc.index_in(rows["tx_id"], value_set=said["tx_id"].combine_chunks())
    return _Source(rows, said["known"].to_numpy()[place.to_numpy()], labels=True)


def _collected(rows: Scan, columns: Sequence[str], task: ArrowTask) -> pa.Table:
    """Columns of the rows that a task lets through, one more than `_MOST_ROWS` of them at most."""
    kinds = dict(rows.frame.dtypes)
    schema = ", ".join(f"`{name}` {kinds[name]}" for name in columns)
    return rows.mapped(columns, task, schema).limit(_MOST_ROWS + 1).toArrow()


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
