"""Which rows train, which test, and what was known when.

The training date is `train_to` + delay: the first instant at which the label of every training row
is mature. What became known later trains nothing, and the test starts no earlier.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.errors import ConfigError, DataError
from fraudlake.instants import format_duration, format_instant, range_problems, time_range

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Split:
    """By event time: training rows in [train_from, train_to), test rows in [test_from, test_to).

    Labels of the training rows are taken as they stood at `training_date`.
    """

    train_from: datetime
    train_to: datetime
    training_date: datetime
    test_from: datetime
    test_to: datetime
    label_delay: timedelta

    def windows(self) -> dict[str, str]:
        """Every field as text that reads back."""
        instants = {k: v for k, v in asdict(self).items() if k != "label_delay"}
        texts = {name: format_instant(at) for name, at in instants.items()}
        return {**texts, "label_delay": format_duration(self.label_delay)}

    @property
    def held_out_from(self) -> datetime:
        """Start of the last quarter of the training time, whose rows fit the calibration.

        The quarter is rounded up to whole days where the training time has at least two.
        """
        length = (self.train_to - self.train_from) / 4
        if length * 4 >= timedelta(days=2):
            length = timedelta(days=-(-length // timedelta(days=1)))
        return self.train_to - length

    @property
    def held_out_days(self) -> float:
        """Days in [held_out_from, train_to)."""
        return (self.train_to - self.held_out_from) / timedelta(days=1)

    @property
    def gap_days(self) -> float:
        """Days in [train_to, test_from), whose labels nobody knows when the model starts."""
        return (self.test_from - self.train_to) / timedelta(days=1)


def plan(
    train_from: datetime,
    train_to: datetime,
    delay: timedelta | None,
    test_from: datetime | None,
    test_to: datetime | None,
    label_delay: timedelta,
) -> Split:
    """The split, with what was left out filled in.

    Parameters
    ----------
    delay
        From the end of the training time to the training date; default: the label delay.
    test_from, test_to
        Default: the training date, and as long as the training time.
    label_delay
        After this long the data set's labels are mature.

    Raises
    ------
    ConfigError
        A window is empty, the delay is shorter than the label delay, or the test starts before the
        training date. Every problem at once.

    Examples
    --------
    >>> from datetime import UTC
    >>> week = [datetime(2018, 7, 25, tzinfo=UTC), datetime(2018, 8, 1, tzinfo=UTC)]
    >>> plan(*week, None, None, None, timedelta(days=7)).test_to.isoformat()
    '2018-08-15T00:00:00+00:00'
    """
    delay = label_delay if delay is None else delay
    try:
        training_date = train_to + delay
        test_from = training_date if test_from is None else test_from
        test_to = test_from + (train_to - train_from) if test_to is None else test_to
    except OverflowError:
        problem = f"train_to: got {format_instant(train_to)}, expected a test before the year 10000"
        raise ConfigError([problem]) from None
    given = {"train_from": train_from, "train_to": train_to}
    problems = range_problems(given, "train_from", "train_to")
    if delay < label_delay:
        problems.append(
            f"delay: got {format_duration(delay)}, expected at least the data set's label delay, "
            f"{format_duration(label_delay)}: labels of the last training days would not be mature"
        )
    if test_from < training_date:
        problems.append(
            f"test_from: got {format_instant(test_from)}, expected no earlier than "
            f"{format_instant(training_date)} (train_to + delay), when the last training label is "
            "mature: before that nobody could have had this model"
        )
    if train_from < train_to:
        given = {"test_from": test_from, "test_to": test_to}
        problems += range_problems(given, "test_from", "test_to")
    if problems:
        raise ConfigError(problems)
    return Split(train_from, train_to, training_date, test_from, test_to, label_delay)


def latest_labels(
    labels: DataFrame, since: datetime, known_until: datetime | None = None
) -> DataFrame:
    """The newest statement about each transaction, by (known_at, source).

    Parameters
    ----------
    labels
        Table `labels`.
    since
        Statements known before this are left out: nothing is known of an event before it happens,
        so the start of the window of events will do, and old statements are not read.
    known_until
        Statements known after this are left out; None keeps all.

    Returns
    -------
    DataFrame
        `tx_id`, `label` (1 fraud, 0 not). Grain: one row a transaction.
    """
    from pyspark.sql import functions as F

    statements = labels.where(F.col("known_at") >= F.lit(since))
    if known_until is not None:
        statements = statements.where(F.col("known_at") <= F.lit(known_until))
    newest = F.max_by("is_fraud", F.struct("known_at", "source"))
    return statements.groupBy("tx_id").agg(newest.cast("int").alias("label"))


def training_rows(features: DataFrame, labels: DataFrame, split: Split) -> DataFrame:
    """Features of the training time with the label known at the training date.

    Returns
    -------
    DataFrame
        Columns of `features` and `label` (1, 0, or null: no statement by the training date).
        Grain: one row a transaction.
    """
    window = features.where(time_range(split.train_from, split.train_to))
    known_labels = latest_labels(labels, split.train_from, split.training_date)
    return window.join(known_labels, "tx_id", "left")


def test_rows(features: DataFrame, labels: DataFrame, card: str | None, split: Split) -> DataFrame:
    """Features of the test time with the newest label, without cards known as compromised.

    A test row of day D (UTC) is left out where its card has an event since `train_from` that some
    statement called fraud before D began: an issuer would have blocked the card by then.

    Parameters
    ----------
    card
        Column of `features` that stands for a card; None: no row is left out.

    Returns
    -------
    DataFrame
        Columns of `features` and `label` (1, 0, or null: no statement yet). Grain: one row a
        transaction.
    """
    from pyspark.sql import functions as F

    window = features.where(time_range(split.test_from, split.test_to))
    newest = latest_labels(labels, split.test_from)
    if card is None:
        return window.join(newest, "tx_id", "left")
    within = time_range(split.train_from, split.test_to, "known_at")
    frauds = labels.where(f"is_fraud AND {within}").select("tx_id", "known_at")
    events = features.where(time_range(split.train_from, split.test_to)).select("tx_id", card)
    compromised = (
        events.join(frauds, "tx_id").groupBy(card).agg(F.min("known_at").alias("_compromised_at"))
    )
    clean = window.join(compromised, card, "left").where(
        F.coalesce(F.col("_compromised_at") >= F.date_trunc("day", "event_time"), F.lit(True))
    )
    return clean.drop("_compromised_at").join(newest, "tx_id", "left")


def count(rows: DataFrame, window: str, features: DataFrame) -> dict[str, int]:
    """Rows, frauds and rows without a label; refuses what nothing can be learnt or measured on.

    Parameters
    ----------
    rows
        What `training_rows` or `test_rows` gave.
    window
        What to call them in an error: `train` or `test`.
    features
        The whole table, to say what it holds.

    Returns
    -------
    dict
        `rows` (labelled), `frauds`, `unlabelled`.

    Raises
    ------
    DataError
        No rows, no label, no fraud, or nothing but fraud.
    """
    from pyspark.sql import functions as F

    sums = F.count("*"), F.count("label"), F.sum("label")
    ((total, labelled, frauds),) = rows.agg(*sums).collect()
    if not frauds or frauds == labelled:
        # As text, because Python would show the driver's own time zone.
        ends = [end("event_time").cast("string") for end in (F.min, F.max)]
        ((first, last),) = features.agg(*ends).collect()
        held = f"from {first} to {last}" if first else "no rows at all"
        raise DataError(
            f"{window} window: got {total} rows, {labelled} of them with a known label, "
            f"{frauds or 0} of those fraud, expected rows of both classes; the features table "
            f"holds {held}: check {window}_from and {window}_to, and that labels were ingested"
        )
    return {"rows": labelled, "frauds": frauds, "unlabelled": total - labelled}
