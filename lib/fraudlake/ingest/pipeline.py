"""One ingest run: raw records to transactions, labels, quarantine; every record accounted for."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.datasets import TX_REF
from fraudlake.errors import DataError
from fraudlake.ingest import cards, checks, files, sources
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import LABELS, METRICS, NOT_NEGATIVE, QUARANTINE, TRANSACTIONS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset

_WORDS_SHOWN = 1000


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
    stands: the table's, else the first by file name and then by text.

    Parameters
    ----------
    path, properties, avro
        File, folder, pattern, Delta table or topic, as `sources.read` takes them.

    Returns
    -------
    dict
        `records`, `transactions` (new), `duplicates`, `quarantine` (rejected in this run),
        `passed_over` (where the data set has a `record` block: no payments), `labels`
        (new statements), `reasons` (kind → records), `unknown_fields` (that the data set does not
        name, most frequent first), `absent_fields` (that it names and no record has: a label that
        comes later, or a misspelt name).

    Raises
    ------
    DataError
        The lake holds another data set; a needed field is in no record; files cannot be read; the
        counts do not add up.
    """
    _require_dataset(lake, dataset)
    with files.readable():
        raw = sources.read(lake.spark, dataset, path, properties, avro)
        records, passed = _volume(raw)
    if passed is not None:
        raw = raw.where("NOT passed_over").drop("passed_over")
    checked = checks.check(checks.repeats(raw, dataset), dataset)
    with cached(classify(lake, checked, dataset)) as outcome:
        with files.readable():
            counts = _count(outcome)
        absent = _absent_fields(counts, records - (passed or 0))
        _require_fields(dataset, absent, list(counts["unknown"]))
        _create_tables(lake, dataset)
        written = _write(lake, outcome, dataset, counts["status"])
    duplicates, rejected = counts["status"]["duplicate"], counts["status"]["rejected"]
    if records != written["transactions"] + duplicates + rejected + (passed or 0):
        raise DataError(
            f"ingest: got {records} records in and {written['transactions']} transactions, "
            f"{duplicates} duplicates and {rejected} rejected records out, expected the same "
            "number; run the job again, alone on this lake"
        )
    return {
        "records": records,
        "transactions": written["transactions"],
        "duplicates": duplicates,
        "quarantine": rejected,
        **({} if passed is None else {"passed_over": passed}),
        "labels": written["labels"],
        "reasons": dict(counts["reason"]),
        "unknown_fields": list(counts["unknown"]),
        "absent_fields": absent,
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
    rows = _beside_existing(lake, rows, dataset)
    same_place = Window.partitionBy("_place", "_good")
    # Of payments of one message, which are of one text, the least content comes first.
    unfolded = ["_content"] if dataset.record and "[]" in (dataset.record.path or "") else []
    ordered = same_place.orderBy("source_file", "raw", *unfolded)
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    rows = rows.withColumn("_accepted", F.coalesce("_existing", F.first("_content").over(ordered)))
    rows = rows.withColumn("_same", F.col("_accepted").eqNullSafe(F.col("_content")))
    first_label = F.first(F.when(F.col("_same"), F.col("_label")), ignorenulls=True).over(whole)
    rows = rows.withColumn("_accepted_label", F.coalesce("_existing_label", first_label))
    rows = rows.withColumn("_number", F.row_number().over(ordered))

    rows = rows.withColumn("_differing", F.concat_ws(", ", *_differences(dataset)))

    conflict = F.col("_good") & (F.col("_differing") != "")
    sentence = _conflict(dataset)
    first = F.col("_number") == 1
    rejected = ~F.col("_good") | conflict
    return rows.select(
        *dataset.columns,
        "source_file",
        F.when(rejected, F.lit("rejected"))
        .when(first & F.col("_existing").isNull(), F.lit("new"))
        .otherwise(F.lit("duplicate"))
        .alias("_status"),
        F.when(conflict, F.array(sentence)).otherwise(F.col("reasons")).alias("reasons"),
        F.when(rejected, F.col("raw")).alias("raw"),
        F.when(
            F.col("_good") & first & F.col("_existing_label").isNull(), F.col("_accepted_label")
        ).alias("_statement"),
        "unknown",
        "absent",
    )


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


def _volume(raw: DataFrame) -> tuple[int, int | None]:
    """How many records there are and how many are passed over; None where none can be."""
    from pyspark.sql import functions as F

    if "passed_over" not in raw.columns:
        return raw.count(), None
    counted = raw.agg(F.count("*"), F.count_if("passed_over")).first()
    return (counted[0], counted[1]) if counted else (0, 0)


def _beside_existing(lake: Lake, rows: DataFrame, dataset: Dataset) -> DataFrame:
    """Adds what the lake holds of a transaction: `_existing` (its content), `_existing_label`."""
    from pyspark.sql import functions as F

    version = lake.version(TRANSACTIONS)
    if version < 0 or lake.read(TRANSACTIONS).isEmpty():
        return rows.select(
            "*",
            F.lit(None).cast(rows.schema["_content"].dataType).alias("_existing"),
            F.lit(None).cast(rows.schema["_label"].dataType).alias("_existing_label"),
        )
    lake.create(LABELS)
    # The run's keys go to the history, so that the history does not go through a shuffle. Versions
    # are named because a write to a table drops what is cached of its newest state.
    keys = rows.select("tx_id").where("tx_id IS NOT NULL")
    contents = (
        lake.read(TRANSACTIONS, version)
        .join(keys, "tx_id", "left_semi")
        .select(F.col("tx_id").alias("_place"), F.struct(*dataset.columns).alias("_existing"))
    )
    labels = (
        lake.read(LABELS, lake.version(LABELS))
        .where(F.col("source") == dataset.name)
        .join(keys, "tx_id", "left_semi")
        .groupBy(F.col("tx_id").alias("_place"))
        .agg(F.min_by(F.struct("is_fraud", "known_at"), "known_at").alias("_existing_label"))
    )
    existing = contents.join(labels, "_place", "left").withColumn("_good", F.lit(True))
    return rows.join(existing, ["_place", "_good"], "left")


def _differences(dataset: Dataset) -> list[Column]:
    """Name of each column in which a record differs from what stands, null where it does not.

    A record without a label contradicts none. A known_at that was computed from the delay is no
    content: the delay may be set anew.
    """
    from pyspark.sql import functions as F

    def differs(name: str, a: str, b: str) -> Column:
        return F.when(~F.col(a)[name].eqNullSafe(F.col(b)[name]), F.lit(name))

    both = F.col("_label").isNotNull() & F.col("_accepted_label").isNotNull()
    compared = ["is_fraud"]
    if dataset.label and dataset.label.known_at:
        compared.append("known_at")
    return [
        *[differs(name, "_content", "_accepted") for name in dataset.columns],
        *[
            F.when(F.col("_same") & both, differs(name, "_label", "_accepted_label"))
            for name in compared
        ],
    ]


def _write(
    lake: Lake, outcome: DataFrame, dataset: Dataset, counts: Mapping[str, int]
) -> dict[str, int]:
    """Write the three tables; return how many rows were new in the first two.

    Labels come from all good records, not from the new transactions alone: where an earlier run was
    cut off between two tables, this one adds what is missing.
    """
    from pyspark.sql import functions as F

    written = {"transactions": 0, "labels": 0}
    if counts["new"]:
        rows = outcome.where("_status = 'new'")
        rows = rows.withColumn("ingested_at", F.lit(datetime.now(UTC)))
        written["transactions"] = lake.insert_missing(TRANSACTIONS, rows)
    if counts["statement"]:
        rows = outcome.where("_statement IS NOT NULL").select("tx_id", "_statement.*")
        rows = rows.withColumn("source", F.lit(dataset.name))
        written["labels"] = lake.insert_missing(LABELS, rows)
    if counts["rejected"]:
        rows = outcome.where("_status = 'rejected'")
        lake.insert_missing(QUARANTINE, checks.quarantine_rows(rows, dataset))
    return written


def _count(outcome: DataFrame) -> dict[str, Counter[str]]:
    """Records by status, by kind of reason, by unknown field and by absent field, in one pass."""
    from pyspark.sql import functions as F

    def words(topic: str, column: Column) -> Column:
        return F.transform(
            column, lambda word: F.struct(F.lit(topic).alias("topic"), word.alias("word"))
        )

    statement = F.when(F.col("_statement").isNotNull(), F.lit("statement"))
    topics = F.concat(
        words("status", F.array_compact(F.array("_status", statement))),
        words("reason", F.array_distinct(F.transform("reasons", checks.kind))),
        words("absent", F.col("absent")),
        words("unknown", F.col("unknown")),
    )
    listed = outcome.select(F.explode(topics).alias("word")).select("word.*")
    counted = listed.groupBy("topic", "word").count()
    first = counted.orderBy(F.col("topic") == "unknown", F.desc("count"), "word").limit(
        _WORDS_SHOWN
    )
    first = first.withColumn("word", cards.mask(F.col("word")))  # a field may be named like one
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in first.collect():
        counts[row["topic"]][row["word"]] += row["count"]
    return counts


def _absent_fields(counts: Mapping[str, Counter[str]], records: int) -> list[str]:
    """Fields that no readable record has."""
    readable = records - sum(
        n for kind, n in counts["reason"].items() if kind.startswith("record: ")
    )
    return [name for name, count in counts["absent"].items() if count == readable]


def _require_dataset(lake: Lake, dataset: Dataset) -> None:
    if lake.exists(TRANSACTIONS):
        holds = lake.properties(TRANSACTIONS).get("dataset", dataset.name)
        if holds != dataset.name:
            raise DataError(
                f"dataset: got {dataset.name}, expected {holds}, which the lake {lake.root} "
                "holds; a lake holds one data set, so name that one or another lake"
            )


def _require_fields(dataset: Dataset, absent: Sequence[str], unknown: Sequence[str]) -> None:
    """Every field that the data set needs is in at least one record."""
    missing = [name for name in dataset.required_fields() if name in absent]
    if missing:
        raise DataError(
            f"input: got no record with {', '.join(missing)}, expected every field that the data "
            f"set {dataset.name} needs (there are others: {', '.join(unknown) or 'none'}); correct "
            "the data set's YAML or the input"
        )


def _create_tables(lake: Lake, dataset: Dataset) -> None:
    types = dataset.column_types()
    extra = {name: kind for name, kind in types.items() if name not in TRANSACTIONS.columns}
    rules = dict(TRANSACTIONS.constraints)
    if dataset.columns["amount"].signed:
        del rules[NOT_NEGATIVE]
        lake.drop_constraint(TRANSACTIONS, NOT_NEGATIVE)
    lake.create(replace(TRANSACTIONS, constraints=rules), extra, {"dataset": dataset.name})
    for table in (LABELS, QUARANTINE, METRICS):
        lake.create(table)
