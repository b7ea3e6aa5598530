"""Which statements a run adds to `labels`: what was said before, what contradicts, what outranks.

`labels` means what its newest statement says. So whatever is to hold against a later statement is
stated once more, right after it: readers need to know nothing of sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from fraudlake.datasets import Dataset


STANDING = "array<struct<known_at: timestamp, source: string, is_fraud: boolean>>"
_SAID = "array<struct<known_at: timestamp, source: string, is_fraud: boolean, file: string>>"
TRUST = 1  # of who gives verdicts, where the data set does not say it; the feed of payments has 0
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rules:
    """How statements of one transaction are weighed.

    Attributes
    ----------
    own
        The source that gives the transactions.
    trust
        Source → trust; of two sources the one of higher trust holds, whatever comes later.
    others
        Trust of sources that `trust` does not name.
    presumed
        Whether of the own source that a transaction is genuine says nothing, without a time, but
        what is presumed.
    now
        When a statement became known that does not say it.
    """

    own: str
    trust: Mapping[str, int]
    others: int
    presumed: bool
    now: datetime

    def rank(self, said: Column, presumed: Column) -> Column:
        """What is compared first: trust, and then whether anybody said it.

        That a transaction is what it is after the label's delay, since nothing else was said, is
        weaker than what its own source says at any time.
        """
        from pyspark.sql import functions as F

        trust = F.lit(self.others)
        for source, value in self.trust.items():
            trust = F.when(said["source"] == source, F.lit(value)).otherwise(trust)
        unsaid = (said["source"] == self.own) & said["known_at"].eqNullSafe(presumed)
        return trust * 2 + F.when(unsaid, 0).otherwise(1)


def standing(labels: DataFrame, place: Column) -> DataFrame:
    """What `labels` say of each transaction: its place, and `_standing` as `STANDING`."""
    from pyspark.sql import functions as F

    said = F.array_sort(F.collect_list(F.struct("known_at", "source", "is_fraud")))
    return labels.groupBy(place).agg(said.alias("_standing"))


def presumed(dataset: Dataset) -> Column:
    """When a label holds that does not say since when; null where there are no labels."""
    from pyspark.sql import functions as F

    if dataset.label is None:
        return F.lit(None).cast("timestamp")
    return F.col("event_time") + F.lit(dataset.label.delay)


def settled(run: Column, standing: Column, presumed: Column, first: Column, rules: Rules) -> Column:
    """What becomes of the statements that a run holds about one transaction.

    One with a time of its own is new, unless its source said something at that very time: the same,
    and it is a repeat; the other, and it contradicts. One without a time is a repeat where its
    source said the same at any time; the first of all is known at `first`; another one in the same
    file contradicts; and a later file corrects, now.

    Parameters
    ----------
    run
        array<struct<source, is_fraud, known_at, source_file, _number>> in order; `known_at` is null
        where the record has none. No element is null.
    standing
        What `labels` holds about the transaction, as `STANDING`; null where nothing.
    presumed
        Event time plus the label's delay; null where there is no transaction or no delay.
    first
        When the first statement of a source was known, where it does not say so.

    Returns
    -------
    Column
        struct<contradict: array<int>, said: array<int>, new: array<struct<known_at, source,
        is_fraud>>>: numbers of the records that contradict and of those that say something new,
        and rows for `labels`.
    """
    from pyspark.sql import functions as F

    before = F.coalesce(standing, F.array().cast(STANDING))
    numbers, rows = F.array().cast("array<int>"), F.array().cast(STANDING)
    file = F.lit(None).cast("string").alias("file")
    start = {
        "known": F.transform(before, lambda s: F.struct(*_three(s), file)).cast(_SAID),
        "contradict": numbers,
        "said": numbers,
        "new": rows,
    }
    now = F.unix_micros(F.lit(rules.now))

    def taken(state: Column, one: Column) -> Column:
        own = F.filter(state["known"], lambda s: s["source"] == one["source"])
        timed = one["known_at"].isNotNull()
        then = F.filter(own, lambda s: s["known_at"] == one["known_at"])
        alike = F.exists(own, lambda s: s["is_fraud"] == one["is_fraud"])
        if rules.presumed:
            alike |= (F.size(own) > 0) & ~one["is_fraud"]
        beside = F.exists(own, lambda s: s["file"] == one["source_file"])
        repeat = F.when(timed, F.get(then, F.lit(0))["is_fraud"] == one["is_fraud"]).otherwise(
            alike
        )
        contradicts = F.when(timed, F.size(then) > 0).otherwise(beside)
        at_once = F.filter(own, lambda s: F.unix_micros(s["known_at"]).between(now, now + 999_999))
        later = F.timestamp_micros(now + 1000 * F.size(at_once))
        known = F.when(F.size(own) == 0, first).otherwise(later)
        row = [
            F.coalesce(one["known_at"], known).alias("known_at"),
            one["source"].alias("source"),
            one["is_fraud"].alias("is_fraud"),
        ]
        where = F.when(~timed, one["source_file"]).alias("file")
        number = F.array(one["_number"])
        refused = {"contradict": F.concat(state["contradict"], number)}
        added = {
            "known": F.concat(state["known"], F.array(F.struct(*row, where)).cast(_SAID)),
            "said": F.concat(state["said"], number),
            "new": F.concat(state["new"], F.array(F.struct(*row)).cast(STANDING)),
        }
        as_it_is = {name: state[name] for name in start}
        # Null, where nothing was said then, is no repeat.
        return (
            F.when(repeat, state)
            .when(contradicts, _struct(as_it_is | refused))
            .otherwise(_struct(as_it_is | added))
        )

    def finished(state: Column) -> Column:
        again = _restated(F.concat(before, state["new"]), presumed, rules)
        new = F.when(F.size(state["new"]) == 0, state["new"])
        new = new.otherwise(F.concat(state["new"], again))
        return _struct({"contradict": state["contradict"], "said": state["said"], "new": new})

    # What nearly all are, of which nothing can contradict anything, without the folding.
    known = F.coalesce(run[0]["known_at"], first)
    only = F.struct(known.alias("known_at"), run[0]["source"].alias("source"), run[0]["is_fraud"])
    one = {"said": F.array(run[0]["_number"]), "new": F.array(only).cast(STANDING)}
    none = {"contradict": numbers, "said": numbers, "new": rows}
    return (
        F.when(F.size(run) == 0, _struct(none))
        .when((F.size(run) == 1) & (F.size(before) == 0), _struct(none | one))
        .otherwise(F.aggregate(run, _struct(start), taken, finished))
    )


def _restated(said: Column, presumed: Column, rules: Rules) -> Column:
    """What holds against the newest of a time, said once more a microsecond later.

    What is said a microsecond after something else was said once more: nobody's own statement.
    """
    from pyspark.sql import functions as F

    def at(one: Column, shift: timedelta) -> Column:
        return F.exists(said, lambda s: s["known_at"] == one["known_at"] + F.lit(shift))

    def with_rank(one: Column) -> Column:
        return F.struct(rules.rank(one, presumed).alias("rank"), *_three(one))

    ranked = F.transform(F.filter(said, lambda s: ~at(s, -_TICK)), with_rank)

    def again(one: Column) -> Column:
        later = F.exists(
            said, lambda s: (s["known_at"] == one["known_at"]) & (s["source"] > one["source"])
        )
        holds = F.array_max(F.filter(ranked, lambda s: s["known_at"] <= one["known_at"]))
        row = F.struct(
            (one["known_at"] + F.lit(_TICK)).alias("known_at"),
            holds["source"].alias("source"),
            holds["is_fraud"].alias("is_fraud"),
        )
        return F.when((holds["is_fraud"] != one["is_fraud"]) & ~later & ~at(one, _TICK), row)

    return F.array_compact(F.transform(said, again)).cast(STANDING)


def _three(said: Column) -> list[Column]:
    return [said[name].alias(name) for name in ("known_at", "source", "is_fraud")]


def _struct(fields: Mapping[str, Column]) -> Column:
    from pyspark.sql import functions as F

    return F.struct(*(column.alias(name) for name, column in fields.items()))
