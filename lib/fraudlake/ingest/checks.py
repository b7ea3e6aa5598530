"""Types the text fields of raw records and says what is wrong with each record: all of it.

Every raw format is brought to text first (`sources`), so that there is one set of checks.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from fraudlake.columns import Column as Field
from fraudlake.columns import Label
from fraudlake.feeds import AMOUNT, TX_REF
from fraudlake.ingest import addresses, cards
from fraudlake.ingest.values import reading, time
from fraudlake.instants import format_instant
from fraudlake.lake.tables import TRANSACTIONS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.feeds import Feed
    from fraudlake.ingest.values.reading import Written

REPEAT = "_repeat"
_LABEL = {"is_fraud": "boolean", "known_at": "timestamp"}
LONGEST_VALUE = 80
# So many characters of card numbers, masked, are still more than `LONGEST_VALUE`: a separator goes
# with each digit, and one of six characters of an escaped digit stays.
_LOOKED_AT = 12 * LONGEST_VALUE


def check(raw: DataFrame, dataset: Feed) -> DataFrame:
    """Type every record and list every reason against it.

    Text is trimmed, and empty text is a missing value. Times without an offset are in the data
    set's zone; digits beyond microseconds are cut. Event times must lie between the data set's
    `earliest` and a day from this minute. Money has at most two decimals, and an amount
    is not negative, unless the data set says otherwise.

    Parameters
    ----------
    raw
        Records as `sources.read` or `sources.read_stream` gives them.

    Returns
    -------
    DataFrame
        One row a record: the columns of the data set, typed, and `amount`, null where its events
        have none; `is_fraud` (boolean) and `known_at`
        (timestamp; event time plus the label's delay where the record says nothing), null without
        a label; `reasons` (array<string>, empty for a good record); and all columns of `raw` but
        `fields` and `corrupt`. Typed columns of a bad record may be null.
    """
    return checked(raw, steps(raw.columns, dataset, this_minute()))


def checked(raw: DataFrame, selects: Sequence[Sequence[Column]]) -> DataFrame:
    """`check` by the steps that were made before: making them takes longer than a small batch."""
    for select in selects:
        raw = raw.select(*select)
    return raw


def this_minute() -> datetime:
    """Now, to the minute: code that Spark has made for a time before serves until it changes."""
    return datetime.now(UTC).replace(second=0, microsecond=0)


def steps(columns: Sequence[str], dataset: Feed, now: datetime) -> list[list[Column]]:
    """What `checked` selects in turn, from records with these columns."""
    from pyspark.sql import functions as F

    label = dataset.label
    written: dict[str, Written] = dict(dataset.columns)
    if label and label.source:
        written |= {"is_fraud": label}
    if label and label.known_at:
        written |= {"known_at": label.known_at}

    carried = [F.col(name) for name in columns if name not in ("fields", "corrupt", REPEAT)]

    def text(name: str, how: Written) -> Column:
        found = reading.text(how, F.col("fields"), dataset)
        told_apart = REPEAT in columns and name in ("tx_id", TX_REF)
        return F.concat(found, REPEAT) if told_apart else found

    texts = F.struct(*[text(name, how).alias(name) for name, how in written.items()])
    split = [*carried, F.col("corrupt").alias("_corrupt"), texts.alias("_texts")]

    def address(name: str, how: Field) -> Column:
        said = F.col("_texts")[name]
        return addresses.dotted(said) if how.address else said

    def value(name: str, how: Written) -> Column:
        if isinstance(how, Field) and how.subnet:
            return addresses.network(address(name, how), how.subnet)
        if isinstance(how, Field) and how.ranges:
            return addresses.looked_up(address(name, how), how.ranges.file, how.ranges.column)
        return reading.typed(F.col("_texts"), name, how, dataset, now)

    typed = [value(name, how).alias(name) for name, how in written.items()]
    values = [*carried, F.col("_corrupt"), F.col("_texts"), *typed]

    def untyped(name: str, how: Written) -> Column:
        none = F.col("_texts")[name].isNotNull() & F.col(name).isNull()
        expected = reading.expected(F.col("_texts"), name, how, dataset, now)
        return _problem(name, none, expected)

    told = {name: untyped(name, how) for name, how in written.items()}
    problems = [
        problem
        for name, column in dataset.columns.items()
        if name != TX_REF and not (column.subnet or column.ranges)  # of tx_id it is told
        for problem in (told[name], *_problems(name, column))
    ]
    times = [name for name in ("event_time", "known_at") if name in dataset.columns]
    problems += [problem for name in times for problem in _untimely(name, now, dataset)]
    if label:
        problems += [told[name] for name in ("is_fraud", "known_at") if name in written]
    wrong, said = _statement(label)
    problems += wrong
    results = [
        *(F.col(name) for name in dataset.columns),
        *_no_amount(dataset),
        *(value.alias(name) for name, value in said.items() if name not in dataset.columns),
        *carried,
        _rendered(F.array_compact(F.array(*problems))).alias("reasons"),
    ]
    return [split, values, results]


def _no_amount(feed: Feed) -> list[Column]:
    """The column `amount` of events that are no payments; of verdicts none."""
    from pyspark.sql import functions as F

    if AMOUNT in feed.columns or "event_time" not in feed.columns:
        return []
    return [F.lit(None).cast(TRANSACTIONS.columns[AMOUNT]).alias(AMOUNT)]


def repeats(raw: DataFrame, dataset: Feed) -> DataFrame:
    """Records with what tells equal ones apart behind their ids, as the data set says.

    They are equal where all is that the data set reads. Which of them is the first does not matter,
    so a second reading of a file gives the same.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    how = dataset.columns["tx_id"].repeats
    if not how:
        return raw
    number = F.row_number().over(Window.partitionBy("source_file", "fields").orderBy(F.lit(0)))
    again = F.when(number > 1, F.concat(F.lit(" #"), number)).otherwise("")
    place = [F.lit(" "), F.col("source_file")] if how == "everywhere" else []
    return raw.withColumn(REPEAT, F.concat(*place, again))


def event_time(records: DataFrame, dataset: Feed) -> Column:
    """Event time of records as `sources.read` gives them; null where it cannot be read."""
    how = dataset.columns["event_time"]
    text = reading.text(how, records["fields"], dataset)
    return time.expression(text, how, dataset.timezone, this_minute(), earliest=dataset.earliest)


def quarantine_rows(bad: DataFrame, dataset: Feed) -> DataFrame:
    """Rows of the table `quarantine`; card numbers in them are masked.

    Parameters
    ----------
    bad
        Rejected records, with `raw`, `source_file` and `reasons`. Records of one file must come
        together: `record_id` counts equal ones.

    Returns
    -------
    DataFrame
        One row a record. `record_id` is the SHA-256 of source file, masked raw record and the
        number of the record among equal ones in that file: a second run gives the same. (A hash of
        the unmasked record would give the six hidden digits away to whoever tries them all.)
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    masked = bad.select(
        cards.mask(F.col("raw")).alias("raw"),
        F.transform("reasons", cards.mask).alias("reasons"),
        "source_file",
    )
    equal = Window.partitionBy("source_file", "raw").orderBy("reasons")
    number = F.row_number().over(equal).cast("string")
    return masked.select(
        F.sha2(F.concat_ws("\n", "source_file", "raw", number), 256).alias("record_id"),
        "raw",
        "reasons",
        "source_file",
        F.lit(dataset.name).alias("dataset"),
        F.lit(datetime.now(UTC)).alias("quarantined_at"),
    )


def kind(reason: Column) -> Column:
    """A reason without the value it quotes: what reasons are counted by."""
    from pyspark.sql import functions as F

    return F.regexp_replace(
        reason, r"(?s) got '.*',(?= expected)|(?<=^tx_id:) (-?\d+|'.*')(?= stands)", ""
    )


def quoted(value: Column) -> Column:
    """A value as reasons quote it: card numbers masked, cut to `LONGEST_VALUE` characters.

    Digits that the cut goes through are left out, as what is left of them could be read as the end
    of a card number.
    """
    from pyspark.sql import functions as F

    masked, rest = cards.mask(F.left(value, F.lit(_LOOKED_AT))), len("...")
    short = r"(?:(?<!\d)\d{1,19})?"
    cut = rf"(?s)^(?=.{{{LONGEST_VALUE + 1}}})(.*?){short}(?<=^.{{{LONGEST_VALUE - rest}}}).*$"
    return F.concat(F.lit("'"), F.regexp_replace(masked, cut, "$1..."), F.lit("'"))


def _problems(name: str, column: Field) -> list[Column]:
    """Everything that can be wrong with one column beside its type."""
    from pyspark.sql import functions as F

    value, text = F.col(name), F.col("_texts")[name]
    problems = []
    if column.required:
        problems.append(_problem(name, text.isNull(), reading.wanted(column)))
    lowest, why = lower_bound(name, column)
    for bound, beyond, words, more in (
        (lowest, operator.lt, "at least", why),
        (column.maximum, operator.gt, "at most", ""),
    ):
        if bound is not None:
            exact = _exact(bound)
            problems.append(_problem(name, beyond(value, exact), f"{words} {exact}{more}"))
    if column.values is not None:
        told = text if column.type == "string" else value.cast("string")
        other = ~told.isin(list(column.values))
        problems.append(_problem(name, other, f"one of {', '.join(column.values)}"))
    if not (column.token or column.hash) and column.type in cards.WHAT_MAY_BE_ONE:
        is_text = column.type == "string"
        held = cards.holds_card_number(text) if is_text else cards.is_card_number(value)
        problems.append(_problem(name, held, cards.EXPECTED, F.lit("a card number")))
    return problems


def _statement(label: Label | None) -> tuple[list[Column], dict[str, Column]]:
    """What can be wrong with a label beside its types, and its two columns."""
    from pyspark.sql import functions as F

    if label is None:
        return [], {name: F.lit(None).cast(kind) for name, kind in _LABEL.items()}
    problems, mature = [], F.col("event_time") + F.lit(label.delay)
    fraud, known_at = F.lit(None).cast("boolean"), mature
    if label.source:
        fraud = F.col("is_fraud")
    if label.known_at:
        too_soon = F.col("known_at") < F.col("event_time")
        problems.append(_problem("known_at", too_soon, "a time not before event_time"))
        known_at = F.coalesce("known_at", mature)
    if label.presumed:
        known_at = F.when(fraud.isNull(), mature).otherwise(known_at)
        fraud = F.coalesce(fraud, F.lit(False))
    return problems, {"is_fraud": fraud, "known_at": F.when(fraud.isNotNull(), known_at)}


def _untimely(name: str, now: datetime, feed: Feed) -> list[Column]:
    """A time that is out of what is believed."""
    from pyspark.sql import functions as F

    # A literal: each query has a current_timestamp() of its own, and misses Spark's cache.
    late = F.col(name) > F.lit(now + timedelta(days=1))
    earliest = format_instant(feed.earliest)
    early = F.col(name) < F.lit(earliest).cast("timestamp")
    return [
        _problem(name, late, "a time no later than a day from now"),
        _problem(name, early, f"a time from {earliest} on"),
    ]


def lower_bound(name: str, column: Field) -> tuple[float | None, str]:
    """The least value allowed, and what else there is to say of it."""
    if name != "amount" or column.signed or (column.minimum or -1.0) >= 0:
        return column.minimum, ""
    if column.minimum == 0:
        return 0.0, ""
    return 0.0, " (`signed: true` on the column, if refunds are negative)"


def _problem(name: str, bad: Column, expected: str | Column, got: Column | None = None) -> Column:
    """A struct that tells what is wrong where `bad` is true, else null."""
    from pyspark.sql import functions as F

    got = F.col("_texts")[name] if got is None else got
    expected = F.lit(expected) if isinstance(expected, str) else expected
    return F.when(
        bad, F.struct(F.lit(name).alias("name"), got.alias("got"), expected.alias("expected"))
    )


def _rendered(problems: Column) -> Column:
    """Problems as sentences; of a record that cannot be read at all, only that."""
    from pyspark.sql import functions as F

    def sentence(problem: Column) -> Column:
        got = F.coalesce(F.concat(F.lit("got "), quoted(problem["got"])), F.lit("missing"))
        return F.concat(
            problem["name"], F.lit(": "), got, F.lit(", expected "), problem["expected"]
        )

    broken = F.array(F.concat(F.lit("record: "), F.col("_corrupt")))
    none = F.array().cast("array<string>")
    return (
        F.when(F.col("_corrupt").isNotNull(), broken)
        .when(F.size(problems) == 0, none)
        .otherwise(F.transform(problems, sentence))
    )


def _exact(bound: float) -> Decimal:
    """A bound as it was written, so that money is compared as money."""
    text = format(Decimal(str(bound)), "f")
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)
