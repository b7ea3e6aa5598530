"""Types the text fields of raw records and says what is wrong with each record: all of it.

Every raw format is brought to text first (`sources`), so that there is one set of checks.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from fraudlake.ingest import addresses, cards

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Column as Field
    from fraudlake.datasets import Dataset

EARLIEST = "2000-01-01"
LONGEST_VALUE = 80
# So many characters of card numbers, masked, are still more than `LONGEST_VALUE`: a separator goes
# with each digit, and one of six characters of an escaped digit stays.
_LOOKED_AT = 12 * LONGEST_VALUE

_CLOCK = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?"
DAY = r"^\d{4}-\d{2}-\d{2}$"
LOCAL = f"^{_CLOCK}$"
ZONED = f"^{_CLOCK} ?(Z|UTC|[+-]\\d{{2}}(:?\\d{{2}})?)$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
_WIDE = "decimal(38,18)"
# Money that went through a binary float (285.79999999999995): a few units in its last place, which
# below 10^12 are less than a third decimal.
FLOAT_NOISE = 1e-15
FLOAT_EXACT = 1e12
_MONEY = "decimal(18,2)"
_LARGEST = {
    "int": "2147483647",
    "bigint": "9223372036854775807",
    "double": "1.7976931348623157E308",
    _MONEY: "9999999999999999.99",
}
_WANTED = {
    "timestamp": "timestamp such as 2018-04-01T12:30:00+02:00",
    "boolean": "boolean (0, 1, true or false)",
}


def check(raw: DataFrame, dataset: Dataset) -> DataFrame:
    """Type every record and list every reason against it.

    Text is trimmed, and empty text is a missing value. Times without an offset are in the data
    set's zone; digits beyond microseconds are cut. Event times must lie between `EARLIEST` and a
    day from this minute. Money has at most two decimals and is not negative.

    Parameters
    ----------
    raw
        Records as `sources.read` or `sources.read_stream` gives them.

    Returns
    -------
    DataFrame
        One row a record: the columns of the data set, typed; `is_fraud` (boolean) and `known_at`
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


def steps(columns: Sequence[str], dataset: Dataset, now: datetime) -> list[list[Column]]:
    """What `checked` selects in turn, from records with these columns."""
    from pyspark.sql import functions as F

    label = dataset.label
    known_from = label.known_at if label else None
    sources = {name: column.source for name, column in dataset.columns.items()}
    if label:
        sources |= {"is_fraud": label.source}
    if known_from:
        sources |= {"known_at": known_from}
    kinds = {**dataset.column_types(), "is_fraud": "boolean", "known_at": "timestamp"}

    carried = [F.col(name) for name in columns if name not in ("fields", "corrupt")]
    texts = F.struct(
        *[_text(source, F.col("fields")).alias(name) for name, source in sources.items()]
    )
    split = [*carried, F.col("corrupt").alias("_corrupt"), texts.alias("_texts")]

    def value(name: str) -> Column:
        text, column = F.col("_texts")[name], dataset.columns.get(name)
        if column and column.subnet:
            return addresses.network(text, column.subnet)
        if column and column.ranges:
            return addresses.looked_up(text, column.ranges.file, column.ranges.column)
        return _typed(text, kinds[name], dataset.timezone)

    typed = [value(name).alias(name) for name in sources]
    values = [*carried, F.col("_corrupt"), F.col("_texts"), *typed]

    problems = [p for name, column in dataset.columns.items() for p in _problems(name, column)]
    # A literal: each query has a current_timestamp() of its own, and misses Spark's cache.
    late = F.col("event_time") > F.lit(now + timedelta(days=1))
    early = F.col("event_time") < F.lit(EARLIEST).cast("timestamp")
    problems += [
        _problem("event_time", late, "a time no later than a day from now"),
        _problem("event_time", early, f"a time from {EARLIEST} on"),
    ]
    problems += [
        _type_problem(name, kinds[name]) for name in ("is_fraud", "known_at") if name in sources
    ]
    known_at = F.lit(None).cast("timestamp")
    if label:
        known_at = F.col("event_time") + F.lit(label.delay)
    if known_from:
        too_soon = F.col("known_at") < F.col("event_time")
        problems.append(_problem("known_at", too_soon, "a time not before event_time"))
        known_at = F.coalesce("known_at", known_at)
    fraud = F.col("is_fraud") if label else F.lit(None).cast("boolean")
    results = [
        *(F.col(name) for name in dataset.columns),
        fraud.alias("is_fraud"),
        F.when(fraud.isNotNull(), known_at).alias("known_at"),
        *carried,
        _rendered(F.array_compact(F.array(*problems))).alias("reasons"),
    ]
    return [split, values, results]


def event_time(records: DataFrame, dataset: Dataset) -> Column:
    """Event time of records as `sources.read` gives them; null where it cannot be read."""
    text = _text(dataset.columns["event_time"].source, records["fields"])
    return _instant(text, dataset.timezone)


def quarantine_rows(bad: DataFrame, dataset: Dataset) -> DataFrame:
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
        reason, r"(?s) got '.*',(?= expected)|(?<=^tx_id:) -?\d+(?= stands)", ""
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


def _text(source: str, fields: Column) -> Column:
    from pyspark.sql import functions as F

    return F.nullif(F.btrim(fields[source], F.lit(" \t")), F.lit(""))


def _instant(text: Column, zone: str) -> Column:
    from pyspark.sql import functions as F

    suffix = F.lit("Z" if zone == "UTC" else f" {zone}")
    complete = (
        F.when(text.rlike(LOCAL), F.concat(text, suffix))
        .when(text.rlike(ZONED), text)
        .when(text.rlike(DAY), F.concat(text, F.lit(" 00:00:00"), suffix))
    )
    return complete.try_cast("timestamp")


def _typed(text: Column, kind: str, zone: str) -> Column:
    """The value as a type, null where it is none; a value is never rounded to fit."""
    from pyspark.sql import functions as F

    if kind == "timestamp":
        return _instant(text, zone)
    if kind == "boolean":
        word = F.lower(text)
        return F.when(word.isin("1", "true", "1.0"), True).when(
            word.isin("0", "false", "0.0"), False
        )
    if kind in ("int", "bigint"):
        wide = text.try_cast(_WIDE)
        return F.coalesce(text.try_cast(kind), F.when(wide == F.floor(wide), wide.try_cast(kind)))
    if kind == "double":
        number = F.when(text.rlike(_NUMBER), text.try_cast(kind))
        return F.when(F.abs(number) < float("inf"), number)
    if kind == _MONEY:
        money, number = text.try_cast(kind), text.try_cast("double")
        noise = F.abs(number - money.cast("double")) <= FLOAT_NOISE * F.abs(number)
        whole = F.when(F.abs(number) < FLOAT_EXACT, noise).otherwise(money == text.try_cast(_WIDE))
        return F.when(whole, money)
    return text


def _problems(name: str, column: Field) -> list[Column]:
    """Everything that can be wrong with one column."""
    from pyspark.sql import functions as F

    if column.subnet or column.ranges:
        return []

    value, text = F.col(name), F.col("_texts")[name]
    minimum = column.minimum
    if name == "amount":
        minimum = max(minimum or 0.0, 0.0)
    problems = [_type_problem(name, column.type)]
    if column.required:
        wanted = _WANTED.get(column.type, column.type)
        problems.append(_problem(name, text.isNull(), wanted))
    for bound, beyond, words in (
        (minimum, operator.lt, "at least"),
        (column.maximum, operator.gt, "at most"),
    ):
        if bound is not None:
            exact = _exact(bound)
            problems.append(_problem(name, beyond(value, exact), f"{words} {exact}"))
    if column.values is not None:
        other = ~value.cast("string").isin(list(column.values))
        problems.append(_problem(name, other, f"one of {', '.join(column.values)}"))
    if not column.token and column.type in cards.WHAT_MAY_BE_ONE:
        is_text = column.type == "string"
        held = cards.holds_card_number(text) if is_text else cards.is_card_number(value)
        problems.append(_problem(name, held, cards.EXPECTED, F.lit("a card number")))
    return problems


def _type_problem(name: str, kind: str) -> Column:
    from pyspark.sql import functions as F

    text = F.col("_texts")[name]
    wanted = F.lit(_WANTED.get(kind, kind))
    if kind in _LARGEST:
        number = F.when(text.rlike(_NUMBER), text.try_cast("double"))
        too_large = F.abs(number) > float(_LARGEST[kind])
        fitting = F.when(text.rlike(_NOT_FINITE), F.lit(f"{kind}, a finite number")).when(
            too_large, F.lit(f"{kind}, at most {_LARGEST[kind]} in size")
        )
        if kind == _MONEY:
            fitting = fitting.when(number.isNotNull(), F.lit(f"{kind}, at most 2 decimals"))
        wanted = fitting.otherwise(wanted)
    return _problem(name, text.isNotNull() & F.col(name).isNull(), wanted)


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
