"""One ingest run: raw records to transactions, labels, quarantine; every record accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.feeds import AMOUNT, TX_REF
from fraudlake.ingest import checks, counts, files, sources, statements
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import (
    LABELS,
    METRICS,
    NOT_NEGATIVE,
    QUARANTINE,
    TABLES,
    TRANSACTIONS,
    Table,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset

_SAID = ("source", "is_fraud", "known_at", "source_file")


def ingest(
    lake: Lake,
    dataset: Dataset,
    path: str,
    properties: str | None = None,
    avro: str | None = None,
) -> dict[str, Any]:
    """Read raw records and write `transactions`, `labels` and `quarantine`.

    Each record becomes a new transaction, counts as a duplicate of one (same `tx_id`, same
    content), or goes to quarantine. The same input again adds nothing; a run that was cut off is
    completed by running it again. Messages that hold no payment, as `record.where` says, are passed
    over. Of records with one `tx_id` and different content the first
    stands: the table's, else the first by file name and then by text; where the data set names a
    `version`, that with the greatest one. A label that says other than
    the one before is a statement of its own (`statements.settled`).

    Parameters
    ----------
    path, properties, avro
        File, folder, pattern, Delta table or topic, as `sources.read` takes them.

    Returns
    -------
    dict
        `records`, `transactions` (new), `duplicates`, `quarantine` (rejected in this run),
        `updates` and `overtaken` (where it names a `version`: transactions that changed, records
        older than what stands), `passed_over` (where the data set has a `record` block: no
        payments), `labels` (new statements), `reasons` (kind → records), `unknown_fields` (that the
        data set does not name, most frequent first), `absent_fields` (that it names and no record
        has: a label that
        comes later, or a misspelt name).

    Raises
    ------
    DataError
        The lake holds another data set; a needed field is in no record; files cannot be read; the
        counts do not add up.
    """
    require_dataset(lake, dataset)
    with files.readable():
        raw = sources.read(lake.spark, dataset, path, properties, avro)
    return taken(lake, dataset, raw)


def taken(lake: Lake, dataset: Dataset, raw: DataFrame) -> dict[str, Any]:
    """What `ingest` does with records, as `sources.read` gives them."""
    with files.readable():
        records, passed = counts.volume(raw)
    if passed is not None:
        raw = raw.where("NOT passed_over").drop("passed_over")
    checked = checks.check(checks.repeats(raw, dataset), dataset)
    held = _held(lake)
    with cached(classify(lake, checked, dataset, held)) as outcome:
        with files.readable():
            found = counts.count(outcome)
        absent = counts.absent_fields(found, records - (passed or 0))
        counts.require_fields(dataset, absent, list(found["unknown"]))
        _create_tables(lake, dataset)
        written = _write(lake, outcome, dataset, found["status"], held)
    status = found["status"]
    updated = (
        {"updates": written["updates"], "overtaken": status["overtaken"]} if dataset.version else {}
    )
    parts = {
        "transactions": written["transactions"],
        **updated,
        "duplicates": status["duplicate"],
        "quarantine": status["rejected"],
    }
    if records != sum(parts.values()) + (passed or 0):
        told = ", ".join(f"{count} {name}" for name, count in parts.items())
        raise DataError(
            f"ingest: got {records} records in and {told} out, expected the same number; run the "
            "job again, alone on this lake"
        )
    return {
        "records": records,
        **parts,
        **({} if passed is None else {"passed_over": passed}),
        "labels": written["labels"],
        "reasons": dict(found["reason"]),
        "unknown_fields": list(found["unknown"]),
        "absent_fields": absent,
    }


def _held(lake: Lake) -> dict[str, int]:
    """Versions of `transactions` and `labels`, of those that hold rows."""
    held = {table.name: lake.version(table) for table in (TRANSACTIONS, LABELS)}
    return {n: v for n, v in held.items() if v >= 0 and lake.rows(TABLES[n], v)}


def classify(
    lake: Lake, checked: DataFrame, dataset: Dataset, held: Mapping[str, int]
) -> DataFrame:
    """What becomes of each record, given the records beside it and the tables at versions.

    Returns
    -------
    DataFrame
        One row a record: the typed columns, `source_file`, `_status` (new, update, overtaken,
        duplicate, rejected), `reasons`, `raw` (null unless rejected), `_statements`
        (array<struct<known_at, source, is_fraud>>, on the first record of a transaction: what
        `labels` does not hold yet), `unknown`, `absent`.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    good = F.size("reasons") == 0
    presumed = statements.presumed(dataset)
    told = F.when(F.col("known_at") != presumed, F.col("known_at"))
    # Of versions that differ in the label the later corrects; of one version they contradict.
    beside = F.concat_ws(" ", "source_file", *([dataset.version] if dataset.version else []))
    label = F.struct(
        F.lit(dataset.name).alias("source"),
        "is_fraud",
        told.alias("known_at"),
        beside.alias("source_file"),
    )
    # Rejected records travel beside the good ones, spread by their text, so one shuffle serves all.
    place = F.when(good, F.col("tx_id")).otherwise(F.xxhash64("source_file", "raw"))
    rows = checked.select(
        "*",
        good.alias("_good"),
        place.alias("_place"),
        F.struct(*dataset.columns).alias("_content"),
        F.when(F.col("is_fraud").isNotNull(), label).alias("_label"),
    )
    rows = _beside_existing(lake, rows, dataset, held)
    same_place = Window.partitionBy("_place", "_good")
    # Of payments of one message, which are of one text, the least content comes first.
    unfolded = ["_content"] if dataset.record and "[]" in (dataset.record.path or "") else []
    version = dataset.version

    def order(content: str) -> Column:
        return F.expr(_order(dataset).format(row=content))

    newest = [order("_content").desc()] if version else []
    ordered = same_place.orderBy(*newest, "source_file", "raw", *unfolded)
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    rows = rows.withColumn("_first", F.first("_content").over(ordered))
    existing, newer, older = F.col("_existing"), F.lit(False), F.lit(False)
    if version:
        newer = F.coalesce(order("_first") > order("_existing"), newer)
        existing = F.when(~newer, existing)
    rows = rows.withColumn("_accepted", F.coalesce(existing, "_first"))
    if version:
        older = order("_content") < order("_accepted")
    rows = rows.withColumn("_same", F.col("_accepted").eqNullSafe(F.col("_content")))
    rows = rows.withColumn("_number", F.row_number().over(ordered))
    said = F.struct(*(F.col("_label")[name].alias(name) for name in _SAID), "_number")
    speaks = (F.col("_same") | older) & F.col("_label").isNotNull()
    run = F.collect_list(F.when(speaks, said)).over(whole)
    run = F.reverse(run) if version else run
    unsaid = dataset.label is not None and dataset.label.presumed
    now = datetime.now(UTC)
    rules = statements.Rules(dataset.name, dataset.trust(), statements.TRUST, unsaid, now)
    settled = statements.settled(F.col("_run"), F.col("_standing"), presumed, presumed, rules)
    rows = rows.withColumn("_run", run).withColumn("_settled", settled)
    contradicts = F.array_contains(F.col("_settled")["contradict"], F.col("_number"))
    label_differs = F.when(contradicts, F.lit("is_fraud"))
    differing = F.concat_ws(", ", *_differences(dataset), label_differs)
    rows = rows.withColumn("_differing", differing)

    conflict = F.col("_good") & F.when(older, contradicts).otherwise(F.col("_differing") != "")
    sentence = _conflict(dataset)
    first = F.col("_number") == 1
    rejected = ~F.col("_good") | conflict
    return rows.select(
        *dict.fromkeys((*dataset.columns, AMOUNT)),
        "source_file",
        F.when(rejected, F.lit("rejected"))
        .when(first & F.col("_existing").isNull(), F.lit("new"))
        .when(older, F.lit("overtaken"))
        .when(first & newer, F.lit("update"))
        .otherwise(F.lit("duplicate"))
        .alias("_status"),
        F.when(conflict, F.array(sentence)).otherwise(F.col("reasons")).alias("reasons"),
        F.when(rejected, F.col("raw")).alias("raw"),
        F.when(F.col("_good") & first, F.col("_settled")["new"]).alias("_statements"),
        "unknown",
        "absent",
    )


def _order(dataset: Dataset) -> str:
    """SQL for what versions are compared by: the value, or its place among those allowed."""
    place = "{row}." + f"`{dataset.version}`"
    words = dataset.columns[str(dataset.version)].values
    if not words:
        return place
    escaped = [word.replace("\\", "\\\\").replace("'", "\\'") for word in words]
    listed = ", ".join(f"'{word}'" for word in escaped).replace("{", "{{").replace("}", "}}")
    return f"array_position(array({listed}), {place})"


def _conflict(dataset: Dataset) -> Column:
    """What is wrong with a record that differs from the one that stands."""
    from pyspark.sql import functions as F

    of_text = TX_REF in dataset.columns
    named = checks.quoted(F.col(TX_REF)) if of_text else F.col("_place").cast("string")
    stands = F.lit(" stands already with other content (")
    differs = F.concat(F.lit("tx_id: "), named, stands, F.col("_differing"), F.lit(")"))
    if not of_text:
        return differs
    other = F.col("_accepted")[TX_REF]
    shared = F.concat(
        F.lit("tx_id: got "),
        named,
        F.lit(" with the number of "),
        checks.quoted(other),
        F.lit(", expected a text with one of its own"),
    )
    return F.when(other != F.col(TX_REF), shared).otherwise(differs)


def _beside_existing(
    lake: Lake, rows: DataFrame, dataset: Dataset, held: Mapping[str, int]
) -> DataFrame:
    """Adds what the lake holds: `_existing` (a transaction's content), `_standing` (its labels)."""
    from pyspark.sql import functions as F

    content = rows.schema["_content"].dataType
    nothing = F.lit(None)
    if not held:
        return rows.select(
            "*",
            nothing.cast(content).alias("_existing"),
            nothing.cast(statements.STANDING).alias("_standing"),
        )
    # The run's keys go to the history, so that the history does not go through a shuffle. Versions
    # are named because a write to a table drops what is cached of its newest state.
    keys = rows.select("tx_id").where("tx_id IS NOT NULL")
    place = F.col("tx_id").alias("_place")

    def about(table: Table) -> DataFrame:
        return lake.whole(table, held[table.name]).join(keys, "tx_id", "left_semi")

    found = []
    if TRANSACTIONS.name in held:
        whole = F.struct(*dataset.columns).alias("_existing")
        found.append(about(TRANSACTIONS).select(place, whole))
    if LABELS.name in held:
        found.append(statements.standing(about(LABELS), place))
    existing = found[0] if len(found) == 1 else found[0].join(found[1], "_place", "full")
    for name, kind in (("_existing", content), ("_standing", statements.STANDING)):
        if name not in existing.columns:
            existing = existing.withColumn(name, nothing.cast(kind))
    return rows.join(existing.withColumn("_good", F.lit(True)), ["_place", "_good"], "left")


def _differences(dataset: Dataset) -> list[Column]:
    """Name of each column in which a record differs from what stands, null where it does not."""
    from pyspark.sql import functions as F

    def differs(name: str) -> Column:
        same = F.col("_content")[name].eqNullSafe(F.col("_accepted")[name])
        return F.when(~same, F.lit(name))

    return [differs(name) for name in dataset.columns]


def _write(
    lake: Lake,
    outcome: DataFrame,
    dataset: Dataset,
    counts: Mapping[str, int],
    held: Mapping[str, int],
) -> dict[str, int]:
    """Write the three tables; return how many rows were new or changed in the first two.

    Labels come from all good records, not from the new transactions alone: where an earlier run was
    cut off between two tables, this one adds what is missing.
    """
    from pyspark.sql import functions as F

    written = {"transactions": 0, "updates": 0, "labels": 0}
    if counts["new"]:
        rows = outcome.where("_status = 'new'")
        rows = rows.withColumn("ingested_at", F.lit(datetime.now(UTC)))
        written["transactions"] = lake.insert_missing(
            TRANSACTIONS, rows, looked=held.get(TRANSACTIONS.name)
        )
    if counts["update"] and dataset.version:
        rows = outcome.where("_status = 'update'")
        rows = rows.withColumn("ingested_at", F.lit(datetime.now(UTC)))
        written["updates"] = lake.update(TRANSACTIONS, rows, _order(dataset))
    if counts["statement"]:
        rows = outcome.select("tx_id", F.explode("_statements").alias("said"))
        rows = rows.select("tx_id", "said.*")
        written["labels"] = lake.insert_missing(LABELS, rows, looked=held.get(LABELS.name))
    if counts["rejected"]:
        rows = outcome.where("_status = 'rejected'")
        lake.insert_missing(QUARANTINE, checks.quarantine_rows(rows, dataset))
    return written


def require_dataset(lake: Lake, dataset: Dataset) -> None:
    """Raise `DataError` where the lake holds another data set."""
    if lake.exists(TRANSACTIONS):
        holds = lake.properties(TRANSACTIONS).get("dataset", dataset.name)
        if holds != dataset.name:
            raise DataError(
                f"dataset: got {dataset.name}, expected {holds}, which the lake {lake.root} "
                "holds; a lake holds one data set, so name that one or another lake"
            )


def _create_tables(lake: Lake, dataset: Dataset) -> None:
    types = dataset.column_types()
    extra = {name: kind for name, kind in types.items() if name not in TRANSACTIONS.columns}
    rules, required = dict(TRANSACTIONS.constraints), TRANSACTIONS.required
    amount = dataset.columns.get(AMOUNT)
    if amount is None or amount.signed:
        del rules[NOT_NEGATIVE]
        lake.drop_constraint(TRANSACTIONS, NOT_NEGATIVE)
    if amount is None:
        required = tuple(name for name in required if name != AMOUNT)
    table = replace(TRANSACTIONS, constraints=rules, required=required)
    lake.create(table, extra, {"dataset": dataset.name})
    for table in (LABELS, QUARANTINE, METRICS):
        lake.create(table)
