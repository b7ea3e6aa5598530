"""What a run counts: records by what became of them, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.ingest import cards, checks

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.feeds import Feed

_WORDS_SHOWN = 1000


def volume(raw: DataFrame) -> tuple[int, int | None]:
    """How many records there are and how many are passed over; None where none can be."""
    from pyspark.sql import functions as F

    if "passed_over" not in raw.columns:
        return raw.count(), None
    counted = raw.agg(F.count("*"), F.count_if("passed_over")).first()
    return (counted[0], counted[1]) if counted else (0, 0)


def count(outcome: DataFrame) -> dict[str, Counter[str]]:
    """Records by status, by kind of reason, by unknown field and by absent field, in one pass."""
    from pyspark.sql import functions as F

    def words(topic: str, column: Column) -> Column:
        return F.transform(
            column, lambda word: F.struct(F.lit(topic).alias("topic"), word.alias("word"))
        )

    statement = F.when(F.size("_statements") > 0, F.lit("statement"))
    alone = [F.col("_alone")] if "_alone" in outcome.columns else []
    topics = F.concat(
        words("status", F.array_compact(F.array("_status", statement, *alone))),
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


def absent_fields(counts: Mapping[str, Counter[str]], records: int) -> list[str]:
    """Fields that no readable record has."""
    readable = records - sum(
        n for kind, n in counts["reason"].items() if kind.startswith("record: ")
    )
    return [name for name, count in counts["absent"].items() if count == readable]


def require_fields(feed: Feed, absent: Sequence[str], unknown: Sequence[str]) -> None:
    """Every field that the data set needs is in at least one record."""
    missing = [name for name in feed.required_fields() if name in absent]
    if missing:
        raise DataError(
            f"input: got no record with {', '.join(missing)}, expected every field that the data "
            f"set {feed.name} needs (there are others: {', '.join(unknown) or 'none'}); correct "
            "the data set's YAML or the input"
        )


def require_some(result: Mapping[str, Any]) -> None:
    """Raise `DataError` where all records of a run, as it counts them, went to quarantine."""
    if 0 < result["records"] == result["quarantine"]:
        reason, times = max(result["reasons"].items(), key=lambda item: item[1])
        raise DataError(
            f"input: got {result['records']} records and took none, expected to take some; all are "
            f"in quarantine, {times} for {reason}: correct the data set's YAML or the input"
        )
