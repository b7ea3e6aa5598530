"""What Spark counts: every field's values, doubles of ids, and what a data set takes by day."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from fraudlake.errors import FraudlakeError
from fraudlake.feeds import Secret
from fraudlake.ingest import cards, checks, files, sources
from fraudlake.ingest.values import number

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from fraudlake.datasets import Dataset

# Words that look like no value: the second ones may also be a value that somebody means.
NULLS = ("na", "n/a", "#n/a", "null", "(null)", "none", "nan", "nil", "\\n", "undefined")
PERHAPS_NULLS = ("-", "--", "?", "unknown", "missing")
_SHOWN = 10
_TRACKED = 1000
_LONGEST = 60
_ERROR = 0.02


@dataclass(frozen=True)
class Field:
    """What was counted of a field, in all records; text from it is masked.

    Attributes
    ----------
    records, missing, empty
        Records, those without the field or with null, those with empty text.
    words, null_words
        Words that look like null, and in how many records they stand.
    whole, number, fine, negative, zero_led
        Records in which it is a whole number of 64 bits, any number, one with more than two
        decimals that are not 0, a negative one, a whole one that begins with 0.
    cards
        Records in which it is or holds what passes as a card number.
    distinct
        Different values, about; of the present ones.
    least, most, lowest, highest
        First and last by their letters; smallest and largest number.
    top
        Most frequent values, about, with how often they are there.
    sample
        Values of the sample's records in their order, None where there is none; not masked: never
        shown.
    """

    name: str
    records: int
    missing: int = 0
    empty: int = 0
    words: tuple[str, ...] = ()
    null_words: int = 0
    whole: int = 0
    number: int = 0
    fine: int = 0
    negative: int = 0
    zero_led: int = 0
    cards: int = 0
    distinct: int = 0
    longest: int = 0
    least: str = ""
    most: str = ""
    lowest: float | None = None
    highest: float | None = None
    top: tuple[tuple[str, int], ...] = ()
    sample: tuple[str | None, ...] = field(default=(), repr=False)

    @property
    def texts(self) -> tuple[str, ...]:
        """Values of the sample that are there."""
        return tuple(text for text in self.sample if text is not None)

    @property
    def present(self) -> int:
        """Records with a value."""
        return self.records - self.missing - self.empty - self.null_words

    @property
    def nulls(self) -> float:
        """Share of records without a value."""
        return 1 - self.present / max(self.records, 1)


@dataclass(frozen=True)
class Taken:
    """What a data set makes of the files.

    Attributes
    ----------
    records, taken, quarantined, passed_over
        Records, and what becomes of them.
    reasons
        What is wrong with records → in how many, most first.
    days
        Day of UTC, transactions, those with a label, frauds.
    error
        Why it cannot be tried at all.
    """

    records: int = 0
    taken: int = 0
    quarantined: int = 0
    passed_over: int = 0
    reasons: tuple[tuple[str, int], ...] = ()
    days: tuple[tuple[date, int, int, int], ...] = ()
    error: str = ""


def texts(fields: Sequence[str]) -> Column:
    """The fields of a record of `sources.read` as an array, without spaces around."""
    from pyspark.sql import functions as F

    return F.array(*[F.btrim(F.col("fields")[name], F.lit(" \t")) for name in fields])


def count(rows: DataFrame, fields: Sequence[str], sample: int) -> list[Field]:
    """Count the values of all fields in one pass; a second one takes the sample.

    Parameters
    ----------
    rows
        As `sources.read` gives them; records that cannot be read are left out.
    sample
        Most records that come to the driver.
    """
    from pyspark.sql import functions as F

    sound = rows.where("corrupt IS NULL").select(texts(fields).alias("texts"))
    seen = sound.limit(sample).toArrow().column("texts").to_pylist()
    long = sound.select(F.posexplode("texts").alias("field", "text"))
    lower, given = F.lower("text"), F.nullif("text", F.lit(""))
    no_value = lower.isin(*NULLS, *PERHAPS_NULLS)
    value = F.when(~no_value, given)
    numeric = F.when(value.rlike(number.PLAIN), value)
    amount = numeric.try_cast("double")
    # A number is none by the digits of its fraction.
    broken = numeric.contains(".") | F.lower(numeric).contains("e")
    held = F.when(broken, cards.is_card_number(numeric.try_cast("decimal(38,2)")))
    held = F.coalesce(held, ~F.coalesce(broken, F.lit(False)) & cards.holds_card_number(value))
    counted = long.groupBy("field").agg(
        F.count("*").alias("records"),
        F.count_if(F.col("text").isNull()).alias("missing"),
        F.count_if(F.col("text") == "").alias("empty"),
        F.collect_set(F.when(no_value, given)).alias("words"),
        F.count_if(no_value).alias("null_words"),
        F.count(F.when(value.rlike(r"^[+-]?\d+$"), value.try_cast("bigint"))).alias("whole"),
        F.count(numeric).alias("number"),
        F.count_if(numeric.rlike(r"\.\d{2}\d*[1-9]\d*$")).alias("fine"),
        F.count_if(amount < 0).alias("negative"),
        F.count_if(value.rlike(r"^[+-]?0\d+$")).alias("zero_led"),
        F.count_if(held).alias("cards"),
        F.approx_count_distinct(value, _ERROR).alias("distinct"),
        F.max(F.length(value)).alias("longest"),
        F.min(value).alias("least"),
        F.max(value).alias("most"),
        F.min(amount).alias("lowest"),
        F.max(amount).alias("highest"),
        F.call_function("approx_top_k", value, F.lit(_SHOWN), F.lit(_TRACKED)).alias("top"),
    )
    shown = counted.select(
        *[name for name in counted.columns if name not in ("least", "most", "top")],
        _shown(F.col("least")).alias("least"),
        _shown(F.col("most")).alias("most"),
        F.transform("top", lambda one: _shown(one["item"])).alias("values"),
        F.transform("top", lambda one: one["count"]).alias("times"),
    )
    known = {row["field"]: row for row in shown.collect()}
    found = []
    for place, name in enumerate(fields):
        sampled = tuple(_value(record[place]) for record in seen)
        if place not in known:  # no record can be read
            found.append(Field(name, 0))
            continue
        row = known[place].asDict()
        pairs = zip(row.pop("values"), row.pop("times"), strict=True)
        row |= {"words": tuple(sorted(row["words"])), "longest": row["longest"] or 0}
        row |= {"least": row["least"] or "", "most": row["most"] or "", "sample": sampled}
        del row["field"]
        top = tuple(sorted((pair for pair in pairs if pair[0] is not None), key=_most_first))
        found.append(Field(name, **row, top=top))
    return found


def _most_first(pair: tuple[str, int]) -> tuple[int, str]:
    return -pair[1], pair[0]


def _value(text: str | None) -> str | None:
    return text if text and text.lower() not in (*NULLS, *PERHAPS_NULLS) else None


def _shown(text: Column) -> Column:
    from pyspark.sql import functions as F

    return F.left(cards.mask(F.left(text, F.lit(12 * _LONGEST))), F.lit(_LONGEST))


def doubles(rows: DataFrame, fields: Sequence[str]) -> int:
    """Records beyond the first with the same texts in some fields: 0 for an id."""
    from pyspark.sql import functions as F

    keys = rows.where("corrupt IS NULL").select(
        *[
            F.btrim(F.col("fields")[name], F.lit(" \t")).alias(f"k{n}")
            for n, name in enumerate(fields)
        ]
    )
    sizes = keys.groupBy(*keys.columns).count()
    row = sizes.agg(F.sum(F.col("count") - 1)).first()
    return int(row[0] or 0) if row else 0


def taken(spark: SparkSession, dataset: Dataset, path: str) -> Taken:
    """Read and check all records by a data set, as `ingest` does, and write nothing.

    Hashes are made by a secret of this run's own, so that none has to be there.
    """
    from pyspark.sql import functions as F

    with tempfile.TemporaryDirectory() as folder, files.readable():
        if dataset.secret:
            secret = Path(folder, "secret")
            secret.write_text(token_hex())
            dataset = dataset.model_copy(update={"secret": Secret(env=None, file=str(secret))})
        try:
            raw = sources.read(spark, dataset, path)
        except FraudlakeError as error:
            return Taken(error=str(error))
        passed = F.col("passed_over") if "passed_over" in raw.columns else F.lit(False)
        rows = checks.check(checks.repeats(raw.withColumn("_passed", passed), dataset), dataset)
        kinds = F.array_sort(F.array_distinct(F.transform("reasons", checks.kind)))
        good = ~F.col("_passed") & (F.size("reasons") == 0)
        groups = rows.groupBy(
            F.col("_passed").alias("passed"),
            F.when(~F.col("_passed"), kinds).alias("kinds"),
            F.when(good, F.to_date("event_time")).alias("day"),
        ).agg(F.count("*").alias("n"), F.count("is_fraud").alias("labelled"),
              F.count_if("is_fraud").alias("frauds"))  # fmt: skip
        found = groups.collect()
    good_rows = [row for row in found if not row.passed and not row.kinds]
    bad = [row for row in found if not row.passed and row.kinds]
    reasons: dict[str, int] = {}
    for row in bad:
        for kind in row.kinds:
            reasons[kind] = reasons.get(kind, 0) + row.n
    return Taken(
        sum(row.n for row in found),
        sum(row.n for row in good_rows),
        sum(row.n for row in bad),
        sum(row.n for row in found if row.passed),
        tuple(sorted(reasons.items(), key=lambda item: -item[1])),
        tuple(sorted((row.day, row.n, row.labelled, row.frauds) for row in good_rows)),
    )
