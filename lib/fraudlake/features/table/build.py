"""The batch build: transactions and labels of the lake → its table `features`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.features.batch.compute import about_frauds, compute, feature_columns
from fraudlake.features.batch.hot_keys import find_cuts
from fraudlake.features.table.affected import WholeBuildError
from fraudlake.features.table.conversion import converted
from fraudlake.features.table.increment import increment, write
from fraudlake.features.table.layout import by_time
from fraudlake.instants import format_instant, parse_instant, time_range
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS, Table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition.feature_set import FeatureSet

log = logging.getLogger("fraudlake")

_METADATA = "spark.databricks.delta.commitInfo.userMetadata"
# Commits that change no row.
_UPKEEP = (
    *("OPTIMIZE", "VACUUM START", "VACUUM END"),
    *("CLUSTER BY", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES"),
)


def build(
    lake: Lake,
    feature_set: FeatureSet,
    dataset: Dataset,
    start: datetime | None = None,
    end: datetime | None = None,
) -> dict[str, Any]:
    """Compute features of transactions and bring the table up to date, or a range of it.

    Re-run rule: equal transactions, labels, definition and range make no commit. Without a range,
    only what came to transactions and labels since the last build is computed, with the rows that
    it touches, however late it came; the table equals a first build. A range is computed afresh.
    A table of another definition keeps the features that both define alike; the others alone are
    computed or dropped. What a build was made from stands in its commit's metadata, what its
    columns mean (`FeatureSet.text`) in the table's property `fraudlake.definition`.

    Parameters
    ----------
    start, end
        Only transactions with start ≤ event_time < end (None: no bound).

    Returns
    -------
    dict
        `rows` (in the range), `changed` (whether anything was written), `inputs` (table → version
        that was read). Where only some rows were computed, `new` and `updated` (rows written),
        `scores_affected` and `flagged_affected` (rows of `scores` and `flagged` about those
        updated). Where only some features were, `features_kept`, `features_computed` and
        `features_dropped`.

    Raises
    ------
    DataError
        A table is missing; a range is asked for and the table was made by another definition; or
        not each transaction had its one row afterwards, and the table was put back.
    """
    labelled = any(feature.over_labels for feature in feature_set.features)
    sources = [TRANSACTIONS, LABELS] if labelled else [TRANSACTIONS]
    versions = {table.name: lake.version(table) for table in sources}
    transactions = lake.read(TRANSACTIONS, versions["transactions"])
    statements = lake.read(LABELS, versions["labels"]) if labelled else None
    within = time_range(start, end)
    targets = transactions.where(within)
    note = {
        "definition": feature_set.hash,
        "from": start and format_instant(start),
        "to": end and format_instant(end),
        "inputs": {table.name: [_identity(lake, table), versions[table.name]] for table in sources},
    }
    types = dataset.column_types()
    keys = {column: types[column] for column in dataset.entities.values()}
    columns = keys | feature_columns(feature_set)
    other = _other_definition(lake, feature_set.hash, columns)
    if other and within != "true":
        raise DataError(
            f"{lake.features}: got definition {feature_set.hash} (feature set {feature_set.name}) "
            f"for a part of a table made by definition {other}; run without from and to to rebuild "
            "the table whole, or name another one, such as table=features_v2"
        )
    figures: dict[str, int] | None = {}
    changed, before = other is not None or not _is_current(lake, note), lake.version(FEATURES)
    if changed:
        with _noted(lake, note), _few(statements) as few:
            figures = None
            if within == "true":
                figures = _in_parts(lake, feature_set, dataset, transactions, note, other, few)
            if figures is None:
                # In the lookback before the range, transactions count in windows, no more.
                earlier = time_range(start - feature_set.lookback, start) if start else "false"
                past = transactions.where(earlier)
                reached = transactions.where(f"({earlier}) OR ({within})")
                cuts = find_cuts(reached, feature_set, dataset.entities)
                rows = compute(targets, lambda _: past, few, feature_set, dataset.entities, cuts)
                rows = by_time(rows, targets)
                if other:
                    log.info("features: replacing the table made by definition %s", other)
                    _replace_table(lake, rows)
                else:
                    lake.create(FEATURES, columns, {"definition": feature_set.text})
                    lake.replace_where(FEATURES, rows, within)
            changed = figures is None or any(figures.values())
    lake.set_property(FEATURES, "definition", feature_set.text)
    # Rows that an increment leaves alone were looked at when they were written.
    written = changed and "new" not in (figures or {})
    count, expected = (_rows(t, written) for t in (lake.read(FEATURES).where(within), targets))
    if count != expected:
        lake.spark.sql(f"RESTORE {lake.reference(FEATURES)} TO VERSION AS OF {max(before, 0)}")
        raise DataError(
            f"{lake.features}: got {count[0]} rows, expected one for each of {expected[0]} "
            "transactions: rows were lost or doubled; the table is as it was before, run again"
        )
    return {"rows": count[0], "changed": changed, "inputs": versions} | (figures or {})


def _in_parts(
    lake: Lake,
    feature_set: FeatureSet,
    dataset: Dataset,
    transactions: DataFrame,
    note: Mapping[str, Any],
    other: str | None,
    few: DataFrame | None,
) -> dict[str, int] | None:
    """Bring the whole table up to date, features first, then rows; None where it cannot be.

    Between the two commits kept features are as of the last build and new ones as of now; the rows
    where that matters are those that the second one looks at anyway.
    """
    figures: dict[str, int] = {}
    try:
        if other:
            since = _standing(lake, {**note, "definition": other})
            rows, plan = converted(lake, feature_set, dataset.entities, transactions, few)
            log.info(
                "features: computing %s; keeping %d others; dropping %s",
                ", ".join(plan.computed) or "none",
                len(plan.kept),
                ", ".join(plan.dropped) or "none",
            )
            inputs = {name: [same, since[name]] for name, (same, _) in note["inputs"].items()}
            with _noted(lake, {**note, "inputs": inputs}):
                _replace_table(lake, by_time(rows, lake.read(FEATURES)))
            figures |= {f"features_{how}": len(names) for how, names in asdict(plan).items()}
        if not _is_current(lake, note):
            since = _standing(lake, note)
            until = {name: version for name, (_, version) in note["inputs"].items()}
            with increment(lake, feature_set, dataset.entities, since, until, few) as found:
                if found.new + found.updated:
                    write(lake, found)
                figures |= {
                    "new": found.new,
                    "updated": found.updated,
                    "scores_affected": found.scores,
                    "flagged_affected": found.flags,
                }
    except WholeBuildError as why:
        log.info("features: building the whole table: %s", why)
        return None
    return figures


def _rows(frame: DataFrame, written: bool) -> tuple[int, ...]:
    """How many rows; and where they were written just now, which: equal totals are not enough."""
    from pyspark.sql import functions as F

    which = [F.bit_xor(F.xxhash64("tx_id"))] if written else []
    return tuple(frame.agg(F.count("*"), *which).collect()[0])


def _identity(lake: Lake, table: Table) -> str:
    """Delta's own id of the table: a table made anew starts at version 0 again, with another id."""
    detail = lake.spark.sql(f"DESCRIBE DETAIL {lake.reference(table)}")
    return detail.select("id").collect()[0][0]


def _other_definition(lake: Lake, wanted: str, columns: Mapping[str, str]) -> str | None:
    """Hash of the definition that made the table, where that is not the wanted one."""
    if not lake.exists(FEATURES):
        return None
    table = lake.read(FEATURES)
    row = table.select("definition").first()
    if row is None:
        return None if set(columns) <= set(table.columns) else "unknown (it is empty)"
    return None if row[0] == wanted else row[0]


def _builds(lake: Lake) -> Iterator[dict[str, Any]]:
    """Notes of the commits that changed rows, newest first; empty for commits of others."""
    if lake.exists(FEATURES):
        history = lake.spark.sql(f"DESCRIBE HISTORY {lake.reference(FEATURES)}")
        for operation, metadata in history.select("operation", "userMetadata").toLocalIterator():
            if operation not in _UPKEEP:
                yield _parsed(metadata).get("built") or {}


def _is_current(lake: Lake, note: Mapping[str, Any]) -> bool:
    """Whether the table holds just what a build of this note would write.

    So it does if an earlier build from the same inputs covers the range, and every later commit was
    a build from the same inputs as well or changed no row.
    """
    for earlier in _builds(lake):
        if any(earlier.get(key) != note[key] for key in ("definition", "inputs")):
            return False
        if _covers(earlier, note):
            return True
    return False


def _standing(lake: Lake, note: Mapping[str, Any]) -> dict[str, int]:
    """Input table → version that the newest build of the whole table was made from.

    Raises
    ------
    WholeBuildError
        There is none; or since then somebody else wrote, or an input table was replaced.
    """
    for earlier in _builds(lake):
        if earlier.get("definition") != note["definition"]:
            break
        # What a definition does not read has not changed for it.
        read = {name: earlier["inputs"].get(name, now) for name, now in note["inputs"].items()}
        for name, (identity, version) in note["inputs"].items():
            if read[name][0] != identity or read[name][1] > version:
                raise WholeBuildError(f"{name} was replaced")
        if _covers(earlier, {"from": None, "to": None}):
            return {name: version for name, (_, version) in read.items()}
    raise WholeBuildError("no build of the whole table stands unchanged")


def _covers(earlier: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
    """Whether an earlier build's range holds the whole range of this one."""
    begins = earlier["from"] is None or (
        note["from"] is not None and parse_instant(earlier["from"]) <= parse_instant(note["from"])
    )
    ends = earlier["to"] is None or (
        note["to"] is not None and parse_instant(earlier["to"]) >= parse_instant(note["to"])
    )
    return begins and ends


@contextmanager
def _few(statements: DataFrame | None) -> Iterator[DataFrame | None]:
    """The statements about frauds, cached: Spark then knows how few they are and broadcasts them.

    It judges a table by its size on disk, and would shuffle all transactions to meet the labels.
    """
    from pyspark import StorageLevel

    if statements is None:
        yield None
        return
    kept = about_frauds(statements).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        kept.count()
        yield kept
    finally:
        kept.unpersist()


@contextmanager
def _noted(lake: Lake, note: Mapping[str, Any]) -> Iterator[None]:
    """Add the note, as `built`, to the metadata of the commits made inside the block."""
    before = lake.spark.conf.get(_METADATA, None)
    content = _parsed(before) | {"built": note}
    lake.spark.conf.set(_METADATA, json.dumps(content, sort_keys=True))
    try:
        yield
    finally:
        if before is None:
            lake.spark.conf.unset(_METADATA)
        else:
            lake.spark.conf.set(_METADATA, before)


def _parsed(metadata: str | None) -> dict[str, Any]:
    """A commit's metadata as the jobs write it; empty for what others wrote."""
    try:
        content = json.loads(metadata or "")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _replace_table(lake: Lake, rows: DataFrame) -> None:
    """Put other columns and rows in the table's place in one commit, then cluster it again.

    Delta forgets the clustering where the columns change, and cannot replace a table in a path by
    one that is declared; so the columns of the key lose their NOT NULL.
    """
    writer = rows.write.format("delta").mode("overwrite").option("overwriteSchema", value=True)
    if lake.in_catalog:
        writer.saveAsTable(lake.reference(FEATURES))
    else:
        writer.save(lake.path(FEATURES))
    lake.spark.sql(
        f"ALTER TABLE {lake.reference(FEATURES)} CLUSTER BY ({', '.join(FEATURES.cluster_by)})"
    )
