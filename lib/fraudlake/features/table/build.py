"""The batch build: transactions and labels of the lake → its table `features`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.features.batch.compute import (
    Batch,
    brought_home,
    computed,
    feature_columns,
    own_columns,
)
from fraudlake.features.batch.home import HomeTask
from fraudlake.features.batch.survey import survey
from fraudlake.features.labels import statements_about_frauds
from fraudlake.features.stages import Result
from fraudlake.features.table import notes
from fraudlake.features.table.arrivals import WholeBuildError
from fraudlake.features.table.conversion import converted
from fraudlake.features.table.files import WRITTEN, ByDay, WriteFile, collected
from fraudlake.features.table.increment import increment
from fraudlake.features.table.layout import by_time, files_of
from fraudlake.instants import format_instant, time_range
from fraudlake.lake import Lake, violations
from fraudlake.lake.commits import Commit
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import FEATURES, LABELS, TRANSACTIONS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition.feature_set import FeatureSet

log = logging.getLogger("fraudlake")


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
        "inputs": {table.name: [lake.identity(table), versions[table.name]] for table in sources},
    }
    columns = dataset.entity_types() | feature_columns(feature_set)
    other = _other_definition(lake, feature_set.hash, columns)
    if other and within != "true":
        raise DataError(
            f"{lake.features}: got definition {feature_set.hash} (feature set {feature_set.name}) "
            f"for a part of a table made by definition {other}; run without from and to to rebuild "
            "the table whole, or name another one, such as table=features_v2"
        )
    counts: dict[str, int] | None = {}
    compared = False
    history, before = lake.history(FEATURES), lake.version(FEATURES)
    changed = other is not None or not notes.is_current(history, note)
    if changed:
        with lake.noted(built=note):
            counts = None
            if within == "true":
                counts = _in_parts(
                    lake, feature_set, dataset, transactions, history, note, other, statements
                )
            if counts is None:
                compared = _whole(lake, feature_set, dataset, versions, other, start, end)
            changed = counts is None or any(counts.values())
    lake.set_property(FEATURES, "definition", feature_set.text)
    # Rows that an increment leaves alone were looked at when they were written.
    written = changed and not compared and "new" not in (counts or {})
    count: tuple[int, ...]
    if within == "true" and not written:
        count = (lake.rows(FEATURES, lake.version(FEATURES)),)
        expected: tuple[int, ...] = (lake.rows(TRANSACTIONS, versions["transactions"]),)
    else:
        count, expected = (_rows(t, written) for t in (lake.read(FEATURES).where(within), targets))
    if count != expected:
        lake.restore(FEATURES, max(before, 0))
        lost = _lost(lake, count[0], expected[0])
        raise DataError(f"{lost}the table is as it was before, run again")
    return {"rows": count[0], "changed": changed, "inputs": versions} | (counts or {})


def _whole(
    lake: Lake,
    feature_set: FeatureSet,
    dataset: Dataset,
    versions: Mapping[str, int],
    other: str | None,
    start: datetime | None,
    end: datetime | None,
) -> bool:
    """Compute and write all rows of the table, or of a range of it.

    Returns
    -------
    bool
        Whether it was compared before the commit which transactions the rows are of.

    Raises
    ------
    DataError
        Rows would have been lost or doubled; nothing was written.
    """
    version, statements = versions["transactions"], None
    if "labels" in versions:
        statements = lake.scan(LABELS, versions["labels"])
    targets, past = lake.scan(TRANSACTIONS, version, start, end), None
    if start:
        # In the lookback before the range, transactions count in windows, no more.
        past = lake.scan(TRANSACTIONS, version, start - feature_set.lookback, start)
    seen = survey(targets, feature_set, dataset.entities, past)
    batch = Batch(targets, past, statements, feature_set, dataset.entities, seen)
    columns = dataset.entity_types() | feature_columns(feature_set)
    if other:
        log.info("features: replacing the table made by definition %s", other)
        lake.replace_table(FEATURES, by_time(computed(batch), targets.frame))
        return False
    lake.create(FEATURES, columns, {"definition": feature_set.text})
    writer = None if start or end else lake.file_writer(FEATURES)
    if writer is None:
        rows = by_time(computed(batch), targets.frame)
        lake.replace_where(FEATURES, rows, time_range(start, end))
        return False
    result = Result(own_columns(dataset.entities), tuple(feature_set.features))
    writing = WriteFile(writer, result, feature_set.hash)
    homes = ByDay(files_of(seen.days))
    with violations.told(lake.features, FEATURES):
        task = HomeTask(batch.windows, writing)
        made = collected(brought_home(batch, homes, result.reads, task, WRITTEN))
    if (made.rows, made.which) != (seen.rows, seen.which):
        raise DataError(_lost(lake, made.rows, seen.rows) + "nothing was written, run again")
    lake.replace_files(FEATURES, made.files)
    return True


def _lost(lake: Lake, got: int, expected: int) -> str:
    return (
        f"{lake.features}: got {got} rows, expected one for each of {expected} transactions: rows "
        "were lost or doubled; "
    )


def _in_parts(
    lake: Lake,
    feature_set: FeatureSet,
    dataset: Dataset,
    transactions: DataFrame,
    history: Sequence[Commit],
    note: dict[str, Any],
    other: str | None,
    statements: DataFrame | None,
) -> dict[str, int] | None:
    """Bring the whole table up to date, features first, then rows; None where it cannot be.

    Between the two commits kept features are as of the last build and new ones as of now; the rows
    where that matters are those that the second one looks at anyway.
    """
    counts: dict[str, int] = {}
    try:
        since = notes.last_whole_build(history, note | ({"definition": other} if other else {}))
        if other:
            inputs = {name: [same, since[name]] for name, (same, _) in note["inputs"].items()}
            with (
                _fraud_statements_cached(statements) as few,
                lake.noted(built={**note, "inputs": inputs}),
            ):
                rows, plan = converted(lake, feature_set, dataset.entities, transactions, few)
                log.info(
                    "features: computing %s; keeping %d others; dropping %s",
                    ", ".join(plan.computed) or "none",
                    len(plan.kept),
                    ", ".join(plan.dropped) or "none",
                )
                lake.replace_table(FEATURES, by_time(rows, lake.read(FEATURES)))
            history = lake.history(FEATURES)
            since = notes.last_whole_build(history, note)
            counts |= {f"features_{how}": len(names) for how, names in asdict(plan).items()}
        if not notes.is_current(history, note):
            until = {name: version for name, (_, version) in note["inputs"].items()}
            counts |= increment(lake, feature_set, dataset.entities, since, until)
    except WholeBuildError as why:
        log.info("features: building the whole table: %s", why)
        return None
    return counts


def _rows(frame: DataFrame, written: bool) -> tuple[int, ...]:
    """How many rows; and where they were written just now, which: equal totals are not enough."""
    from pyspark.sql import functions as F

    which = [F.bit_xor(F.xxhash64("tx_id"))] if written else []
    return tuple(frame.agg(F.count("*"), *which).collect()[0])


def _other_definition(lake: Lake, wanted: str, columns: Mapping[str, str]) -> str | None:
    """Hash of the definition that made the table, where that is not the wanted one."""
    if not lake.exists(FEATURES):
        return None
    names = lake.read(FEATURES).columns
    found = lake.first_value(FEATURES, "definition")
    if found is None:
        return None if set(columns) <= set(names) else "unknown (it is empty)"
    return None if found == wanted else found


@contextmanager
def _fraud_statements_cached(statements: DataFrame | None) -> Iterator[DataFrame | None]:
    """The statements about frauds, cached: Spark then knows how few they are and broadcasts them.

    It judges a table by its size on disk, and would shuffle all transactions to meet the labels.
    """
    if statements is None:
        yield None
        return
    with cached(statements_about_frauds(statements)) as few:
        few.count()
        yield few
