"""One ingest run: raw records to transactions, labels, quarantine; every record accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.ingest import checks, files, sources
from fraudlake.tables import LABELS, METRICS, QUARANTINE, TRANSACTIONS, Lake

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset

_KINDS_SHOWN = 1000


def ingest(lake: Lake, dataset: Dataset, path: str) -> dict[str, Any]:
    """Read raw records and write `transactions`, `labels` and `quarantine`.

    Each record becomes a new transaction, counts as a duplicate of one (same `tx_id`, same
    content), or goes to quarantine. The same input again adds nothing; a run that was cut off is
    completed by running it again. Of records with one `tx_id` and different content the first
    stands: the table's, else the first by file name and then by text.

    Parameters
    ----------
    path
        File, folder, pattern or Delta table, as `sources.read` takes it.

    Returns
    -------
    dict
        `records`, `transactions` (new), `duplicates`, `quarantine` (rejected in this run), `labels`
        (new statements), `reasons` (kind → records), `unknown_fields` (names, most frequent first).

    Raises
    ------
    DataError
        The lake holds another data set; a field is in no record; files cannot be read; the counts
        do not add up.
    """
    from pyspark.sql import functions as F

    _require_dataset(lake, dataset)
    with files.readable():
        raw = sources.read(lake.spark, dataset, path)
        records = raw.count()
    with _kept(classify(lake, checks.check(raw, dataset), dataset)) as outcome:
        with files.readable():
            statuses = _count(outcome, F.array("_status"))
        found = {name: statuses.get(name, 0) for name in ("new", "duplicate", "rejected")}
        reasons = _count(outcome, F.array_distinct(F.transform("reasons", checks.kind)))
        unknown = list(_count(outcome, F.col("unknown")))
        _require_fields(dataset, _count(outcome, F.col("absent")), records, unknown)
        _create_tables(lake, dataset)
        written = _write(lake, outcome, dataset)
    if records != written["transactions"] + found["duplicate"] + found["rejected"]:
        raise DataError(
            f"ingest: got {records} records in and {written['transactions']} transactions, "
            f"{found['duplicate']} duplicates and {found['rejected']} rejected records out, "
            "expected the same number; run the job again, alone on this lake"
        )
    return {
        "records": records,
        "transactions": written["transactions"],
        "duplicates": found["duplicate"],
        "quarantine": found["rejected"],
        "labels": written["labels"],
        "reasons": reasons,
        "unknown_fields": unknown,
    }


def classify(lake: Lake, checked: DataFrame, dataset: Dataset) -> DataFrame:
    """What becomes of each record, given the records beside it and the tables as they are.

    Returns
    -------
    DataFrame
        One row a record: the typed columns, `source_file`, `_status` (new, duplicate, rejected),
        `reasons`, `raw` (null unless rejected), `_statement` (struct<is_fraud, known_at>, on the
        first record of a transaction whose label is not in the lake yet), `unknown`, `absent`.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    good = F.size("reasons") == 0
    label = F.when(F.col("is_fraud").isNotNull(), F.struct("is_fraud", "known_at"))
    # Rejected records travel beside the good ones, spread by their text, so one shuffle serves all.
    place = F.when(good, F.col("tx_id")).otherwise(F.xxhash64("source_file", "raw"))
    rows = checked.select(
        "*",
        good.alias("_good"),
        place.alias("_place"),
        F.struct(*dataset.columns).alias("_content"),
        label.alias("_label"),
    )
    rows = _beside_standing(lake, rows, dataset)
    same_place = Window.partitionBy("_place", "_good")
    ordered = same_place.orderBy("source_file", "raw")
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    rows = rows.withColumn("_stands", F.coalesce("_standing", F.first("_content").over(ordered)))
    rows = rows.withColumn("_same", F.col("_stands").eqNullSafe(F.col("_content")))
    first_label = F.first(F.when(F.col("_same"), F.col("_label")), ignorenulls=True).over(whole)
    rows = rows.withColumn("_says", F.coalesce("_stated", first_label))
    rows = rows.withColumn("_number", F.row_number().over(ordered))

    differing = F.concat_ws(", ", *_differences(dataset))
    conflict = F.col("_good") & (differing != "")
    sentence = F.concat(
        F.lit("tx_id: "),
        F.col("_place"),
        F.lit(" stands already with other content ("),
        differing,
        F.lit(")"),
    )
    first = F.col("_number") == 1
    rejected = ~F.col("_good") | conflict
    return rows.select(
        *dataset.columns,
        "source_file",
        F.when(rejected, F.lit("rejected"))
        .when(first & F.col("_standing").isNull(), F.lit("new"))
        .otherwise(F.lit("duplicate"))
        .alias("_status"),
        F.when(conflict, F.array(sentence)).otherwise(F.col("reasons")).alias("reasons"),
        F.when(rejected, F.col("raw")).alias("raw"),
        F.when(F.col("_good") & first & F.col("_stated").isNull(), F.col("_says")).alias(
            "_statement"
        ),
        "unknown",
        "absent",
    )


def _beside_standing(lake: Lake, rows: DataFrame, dataset: Dataset) -> DataFrame:
    """Adds what the lake holds: `_standing` (content of the transaction), `_stated` (its label)."""
    from pyspark.sql import functions as F

    version = lake.version(TRANSACTIONS)
    if version < 0 or lake.read(TRANSACTIONS).isEmpty():
        return rows.select(
            "*",
            F.lit(None).cast(rows.schema["_content"].dataType).alias("_standing"),
            F.lit(None).cast(rows.schema["_label"].dataType).alias("_stated"),
        )
    lake.create(LABELS)
    # The run's keys go to the history, so that the history does not go through a shuffle. Versions
    # are named because a write to a table drops what is cached of its newest state.
    keys = rows.select("tx_id").where("tx_id IS NOT NULL")
    standing = (
        lake.read(TRANSACTIONS, version)
        .join(keys, "tx_id", "left_semi")
        .select(F.col("tx_id").alias("_place"), F.struct(*dataset.columns).alias("_standing"))
    )
    stated = (
        lake.read(LABELS, lake.version(LABELS))
        .where(F.col("source") == dataset.name)
        .join(keys, "tx_id", "left_semi")
        .groupBy(F.col("tx_id").alias("_place"))
        .agg(F.min_by(F.struct("is_fraud", "known_at"), "known_at").alias("_stated"))
    )
    known = standing.join(stated, "_place", "left").withColumn("_good", F.lit(True))
    return rows.join(known, ["_place", "_good"], "left")


def _differences(dataset: Dataset) -> list[Column]:
    """Name of each column in which a record differs from what stands, null where it does not.

    A record without a label contradicts none. A known_at that was computed from the delay is no
    content: the delay may be set anew.
    """
    from pyspark.sql import functions as F

    def differs(name: str, a: str, b: str) -> Column:
        return F.when(~F.col(a)[name].eqNullSafe(F.col(b)[name]), F.lit(name))

    both = F.col("_label").isNotNull() & F.col("_says").isNotNull()
    said = ["is_fraud"]
    if dataset.label and dataset.label.known_at:
        said.append("known_at")
    return [
        *[differs(name, "_content", "_stands") for name in dataset.columns],
        *[F.when(F.col("_same") & both, differs(name, "_label", "_says")) for name in said],
    ]


def _write(lake: Lake, outcome: DataFrame, dataset: Dataset) -> dict[str, int]:
    """Write the three tables; return how many rows were new in the first two.

    Labels come from all good records, not from the new transactions alone: where an earlier run was
    cut off between two tables, this one adds what is missing.
    """
    from pyspark.sql import functions as F

    transactions = outcome.where("_status = 'new'").withColumn(
        "ingested_at", F.lit(datetime.now(UTC))
    )
    labels = outcome.where("_statement IS NOT NULL").select(
        "tx_id", "_statement.*", F.lit(dataset.name).alias("source")
    )
    written = {
        "transactions": lake.insert_missing(TRANSACTIONS, transactions),
        "labels": lake.insert_missing(LABELS, labels),
    }
    rejected = checks.quarantine_rows(outcome.where("_status = 'rejected'"), dataset)
    lake.insert_missing(QUARANTINE, rejected)
    return written


def _count(rows: DataFrame, words: Column) -> dict[str, int]:
    """How many rows have each word of an array, the most frequent first."""
    from pyspark.sql import functions as F

    counted = rows.select(F.explode(words).alias("word")).groupBy("word").count()
    top = counted.orderBy(F.desc("count"), "word").limit(_KINDS_SHOWN)
    return {row["word"]: row["count"] for row in top.collect()}


def _require_dataset(lake: Lake, dataset: Dataset) -> None:
    if lake.exists(TRANSACTIONS):
        holds = lake.properties(TRANSACTIONS).get("dataset", dataset.name)
        if holds != dataset.name:
            raise DataError(
                f"dataset: got {dataset.name}, expected {holds}, which the lake {lake.root} "
                "holds; a lake holds one data set, so name that one or another lake"
            )


def _require_fields(
    dataset: Dataset, absent: dict[str, int], records: int, unknown: list[str]
) -> None:
    """Every field that the data set needs is in at least one record."""
    needed = dataset.required_fields()
    if dataset.label:
        needed += [name for name in (dataset.label.source, dataset.label.known_at) if name]
    missing = [name for name in needed if records and absent.get(name) == records]
    if missing:
        raise DataError(
            f"input: got no record with {', '.join(missing)}, expected every field that the data "
            f"set {dataset.name} names (there are others: {', '.join(unknown) or 'none'}); correct "
            "the data set's YAML or the input"
        )


def _create_tables(lake: Lake, dataset: Dataset) -> None:
    types = dataset.column_types()
    extra = {name: kind for name, kind in types.items() if name not in TRANSACTIONS.columns}
    lake.create(TRANSACTIONS, extra, {"dataset": dataset.name})
    for table in (LABELS, QUARANTINE, METRICS):
        lake.create(table)


@contextmanager
def _kept(frame: DataFrame) -> Iterator[DataFrame]:
    from pyspark import StorageLevel

    frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()
