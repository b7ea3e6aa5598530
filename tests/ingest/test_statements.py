"""What the statements of several sources come to, against what a person would say of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from pyspark.sql import functions as F

from fraudlake.ingest import statements

RUN = (
    "array<struct<source: string, is_fraud: boolean, known_at: timestamp, source_file: string, "
    "_number: int>>"
)
START = datetime(2024, 1, 1, tzinfo=UTC)
NOW = START + timedelta(days=40)
TRUST = {"shop": 0, "analyst": 1, "bank": 2}
RULES = statements.Rules("shop", TRUST, 1, False, NOW)


def day(number):
    return START + timedelta(days=number)


def settle(spark, worlds, first=None, rules=RULES):
    """Of each (run, standing, presumed) the numbers and rows that `settled` gives."""
    rows = [(n, *world) for n, world in enumerate(worlds)]
    schema = f"n int, run {RUN}, standing {statements.STANDING}, presumed timestamp"
    frame = spark.createDataFrame(rows, schema)
    presumed = F.col("presumed")
    found = statements.settled(
        F.col("run"), F.col("standing"), presumed, presumed if first is None else first, rules
    )
    return [row["found"] for row in frame.select("n", found.alias("found")).sort("n").collect()]


def said(found):
    return [
        (row["known_at"].replace(tzinfo=UTC), row["source"], row["is_fraud"])
        for row in found["new"]
    ]


@pytest.mark.parametrize(
    ("run", "standing", "contradict", "new"),
    [
        ([], [(day(7), "shop", False)], [], []),
        # The first without a time is presumed to hold after the delay; a repeat says nothing.
        ([("shop", False, None, "a", 1)], None, [], [(day(7), "shop", False)]),
        (
            [("shop", False, None, "a", 1), ("shop", False, None, "b", 2)],
            None,
            [],
            [(day(7), "shop", False)],
        ),
        # A later file corrects, now; one beside it in the same file contradicts.
        ([("shop", True, None, "b", 1)], [(day(7), "shop", False)], [], [(NOW, "shop", True)]),
        (
            [("shop", False, None, "a", 1), ("shop", True, None, "a", 2)],
            None,
            [2],
            [(day(7), "shop", False)],
        ),
        # One with a time is a statement of that time, whatever stands.
        ([("shop", True, day(9), "a", 1)], [(day(7), "shop", False)], [], [(day(9), "shop", True)]),
        ([("shop", True, day(9), "a", 4)], [(day(9), "shop", False)], [4], []),
        ([("shop", True, day(9), "a", 4)], [(day(9), "shop", True)], [], []),
        # What was said is stronger than what is presumed, and holds after it.
        (
            [("shop", True, day(3), "a", 1)],
            [(day(7), "shop", False)],
            [],
            [(day(3), "shop", True), (day(7) + timedelta(microseconds=1), "shop", True)],
        ),
    ],
)
def test_one_transaction(spark, run, standing, contradict, new):
    (found,) = settle(spark, [(run, standing, day(7))])
    assert (found["contradict"], said(found)) == (contradict, new)


def test_corrections_of_one_run_have_times_of_their_own(spark):
    run = [("bank", n % 2 == 0, None, f"{n}", n) for n in range(2)]
    (found,) = settle(spark, [(run, None, None)], F.lit(NOW))
    assert said(found) == [(NOW, "bank", True), (NOW + timedelta(milliseconds=1), "bank", False)]


def test_what_is_presumed_corrects_nothing(spark):
    standing = [(day(3), "shop", True)]
    run = [("shop", False, None, "b", 1)]
    (found,) = settle(spark, [(run, standing, day(7))], rules=replace(RULES, presumed=True))
    assert said(found) == []


def strongest(all_said, presumed, at):
    """What holds: of what is known the most trusted, of that the newest."""
    known = [
        (TRUST.get(source, 1), (known_at, source) != (presumed, "shop"), known_at, source, fraud)
        for known_at, source, fraud in all_said
        if known_at <= at
    ]
    return max(known)[-1] if known else None


def newest(rows, at):
    known = [row for row in rows if row[0] <= at]
    return max(known)[-1] if known else None


@pytest.mark.parametrize("seed", range(3))
def test_the_newest_statement_is_what_holds_at_every_time(spark, seed):
    """300 transactions, 3 runs each, statements of 4 sources in any order."""
    random = Random(seed)
    count, presumed = 300, day(7)
    tables = [[] for _ in range(count)]
    given = [[] for _ in range(count)]
    for _ in range(3):
        runs = []
        for n in range(count):
            run = []
            for number in range(random.choice([0, 1, 1, 2, 3])):
                source = random.choice(["shop", "analyst", "bank", "customer"])
                known = day(random.randrange(14))
                earlier = {(k, s): fraud for k, s, fraud in given[n]}
                fraud = earlier.get((known, source), random.random() < 0.5)
                run.append((source, fraud, known, "f", number))
                given[n].append((known, source, fraud))
            runs.append(run)
        worlds = [(run, sorted(table), presumed) for run, table in zip(runs, tables, strict=True)]
        for table, found in zip(tables, settle(spark, worlds), strict=True):
            assert not found["contradict"]
            table.extend(said(found))
            assert len({row[:2] for row in table}) == len(table)
    times = [day(n) + timedelta(hours=1) for n in range(15)]
    for table, of_it in zip(tables, given, strict=True):
        for at in times:
            assert newest(table, at) == strongest(of_it, presumed, at)
    assert sum(map(len, tables)) > len({(n, *row) for n, rows in enumerate(given) for row in rows})
