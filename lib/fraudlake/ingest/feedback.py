"""Verdicts about transactions, from any feed, as statements in `labels`; bad ones in quarantine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fraudlake.errors import ConfigError, DataError
from fraudlake.feeds import TX_REF
from fraudlake.ingest import checks, counts, files, pipeline, sources, statements
from fraudlake.lake import Lake
from fraudlake.lake.frames import cached
from fraudlake.lake.tables import LABELS, QUARANTINE, TRANSACTIONS
from fraudlake.verdicts import Verdicts, usual

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.datasets import Dataset

USUAL = "feedback"


def named(dataset: Dataset, name: str | None) -> Verdicts:
    """The feed of that name; without one the data set's only feed, or where it has none the usual.

    Raises
    ------
    ConfigError
        There is none of that name, or there are several.
    """
    feeds = dataset.verdicts or {USUAL: usual(USUAL, dataset.columns["tx_id"].type)}
    if name is None and len(feeds) == 1:
        return next(iter(feeds.values()))
    if name not in feeds:
        wanted = f"one of {', '.join(feeds)}, as `verdicts` of {dataset.name} names them"
        raise ConfigError([f"feed: got {name or 'none'}, expected {wanted}"])
    return feeds[name]


def feedback(
    lake: Lake,
    dataset: Dataset,
    feed: Verdicts,
    path: str,
    properties: str | None = None,
    avro: str | None = None,
) -> dict[str, Any]:
    """Read verdicts and add to `labels` what they say that was not said yet.

    A verdict may come before its transaction, and be corrected by a later one of its source. What
    counts where sources differ, `statements.settled` says. The same input again adds nothing.

    Parameters
    ----------
    path, properties, avro
        File, folder, pattern, Delta table or topic, as `sources.read` takes them. A verdict of a
        topic that names no `known_at` was known when it was published.

    Returns
    -------
    dict
        `records`, `verdicts` (that say something new), `repeats`, `undecided` (without a verdict),
        `quarantine` (rejected in this run), `passed_over` (where the feed has a `record` block),
        `labels` (rows added), `without_transaction` (verdicts whose transaction is not there yet),
        `reasons`, `unknown_fields`, `absent_fields` as of `ingest`.

    Raises
    ------
    DataError
        The lake holds another data set; a needed field is in no record; files cannot be read; the
        counts do not add up.
    """
    from pyspark.sql import functions as F

    pipeline.require_dataset(lake, dataset)
    with files.readable():
        raw = sources.read(lake.spark, feed, path, properties, avro)
        records, passed = counts.volume(raw)
    if passed is not None:
        raw = raw.where("NOT passed_over").drop("passed_over")
    checked = checks.check(raw, feed)
    if "published_at" in checked.columns:
        checked = checked.withColumn("known_at", F.coalesce("known_at", "published_at"))
    lake.create(LABELS)
    lake.create(QUARANTINE)
    standing = lake.version(LABELS)
    with cached(classify(lake, checked, dataset, feed, standing)) as outcome:
        with files.readable():
            found = counts.count(outcome)
        absent = counts.absent_fields(found, records - (passed or 0))
        counts.require_fields(feed, absent, list(found["unknown"]))
        status, added = found["status"], 0
        if status["statement"]:
            rows = outcome.select("tx_id", F.explode("_statements").alias("said"))
            added = lake.insert_missing(LABELS, rows.select("tx_id", "said.*"), looked=standing)
        if status["rejected"]:
            bad = checks.quarantine_rows(outcome.where("_status = 'rejected'"), feed)
            lake.insert_missing(QUARANTINE, bad)
    accounted = sum(status[name] for name in ("new", "repeat", "undecided", "rejected"))
    if records != accounted + (passed or 0):
        raise DataError(
            f"feedback: got {records} records in and {accounted + (passed or 0)} accounted for, "
            "expected the same number; run the job again, alone on this lake"
        )
    return {
        "records": records,
        "verdicts": status["new"],
        "repeats": status["repeat"],
        "undecided": status["undecided"],
        "quarantine": status["rejected"],
        **({} if passed is None else {"passed_over": passed}),
        "labels": added,
        "without_transaction": status["alone"],
        "reasons": dict(found["reason"]),
        "unknown_fields": list(found["unknown"]),
        "absent_fields": absent,
    }


def classify(
    lake: Lake, checked: DataFrame, dataset: Dataset, feed: Verdicts, standing: int
) -> DataFrame:
    """What becomes of each record, given the others, and `labels` at a version.

    Returns
    -------
    DataFrame
        One row a record: `tx_id`, `source_file`, `_status` (new, repeat, undecided, rejected),
        `_alone` (alone: a new verdict without its transaction), `reasons`, `raw` (null unless
        rejected), `_statements` (on the first record of a transaction: rows for `labels`),
        `unknown`, `absent`.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rows = _beside(lake, checked, standing)
    early = F.concat(
        F.lit("known_at: got '"),
        F.col("known_at").cast("string"),
        F.lit("', expected a time not before the transaction's event_time"),
    )
    reasons = F.array_compact(F.array(F.when(F.col("known_at") < F.col("event_time"), early)))
    rows = rows.withColumn("reasons", F.concat("reasons", reasons))
    good, decided = F.size("reasons") == 0, F.col("is_fraud").isNotNull()
    # Rejected records travel beside the good ones, spread by their text, so one shuffle serves all.
    place = F.when(good, F.col("tx_id")).otherwise(F.xxhash64("source_file", "raw"))
    rows = rows.select("*", good.alias("_good"), place.alias("_place"))
    ordered = Window.partitionBy("_place", "_good").orderBy("source_file", "raw")
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    rows = rows.withColumn("_number", F.row_number().over(ordered))
    source = F.coalesce("source", F.lit(feed.name)).alias("source")
    said = F.struct(source, "is_fraud", "known_at", "source_file", "_number")
    run = F.collect_list(F.when(F.col("_good") & decided, said)).over(whole)
    now = datetime.now(UTC)
    rules = statements.Rules(dataset.name, dataset.trust(), statements.TRUST, False, now)
    presumed = statements.presumed(dataset)
    settled = statements.settled(F.col("_run"), F.col("_standing"), presumed, F.lit(now), rules)
    rows = rows.withColumn("_run", run).withColumn("_settled", settled)

    def among(name: str) -> Any:
        return F.array_contains(F.col("_settled")[name], F.col("_number"))

    named = checks.quoted(F.col(TX_REF)) if TX_REF in checked.columns else F.col("tx_id")
    sentence = F.concat(
        F.lit("tx_id: "),
        named.cast("string"),
        F.lit(" stands already with other content (is_fraud)"),
    )
    conflict = F.col("_good") & among("contradict")
    rejected = ~F.col("_good") | conflict
    new = among("said")
    return rows.select(
        "tx_id",
        "source_file",
        F.when(rejected, F.lit("rejected"))
        .when(~decided, F.lit("undecided"))
        .when(new, F.lit("new"))
        .otherwise(F.lit("repeat"))
        .alias("_status"),
        F.when(~rejected & new & F.col("event_time").isNull(), F.lit("alone")).alias("_alone"),
        F.when(conflict, F.array(sentence)).otherwise(F.col("reasons")).alias("reasons"),
        F.when(rejected, F.col("raw")).alias("raw"),
        F.when(F.col("_good") & (F.col("_number") == 1), F.col("_settled")["new"]).alias(
            "_statements"
        ),
        "unknown",
        "absent",
    )


def _beside(lake: Lake, checked: DataFrame, standing: int) -> DataFrame:
    """Adds `event_time` of transactions that are there, and `_standing`, what is said of them."""
    from pyspark.sql import functions as F

    keys = checked.select("tx_id").where("tx_id IS NOT NULL")
    said = lake.whole(LABELS, standing).join(keys, "tx_id", "left_semi")
    rows = checked.join(statements.standing(said, F.col("tx_id")), "tx_id", "left")
    if not lake.exists(TRANSACTIONS):
        return rows.withColumn("event_time", F.lit(None).cast("timestamp"))
    known = lake.whole(TRANSACTIONS, lake.version(TRANSACTIONS)).select("tx_id", "event_time")
    return rows.join(known.join(keys, "tx_id", "left_semi"), "tx_id", "left")
