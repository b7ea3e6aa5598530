"""Forms of times, from texts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fraudlake.profile.times import found

NOW = datetime(2024, 6, 1, tzinfo=UTC)
TIMES = [datetime(2024, 1, 1, 9, 5, 7, tzinfo=UTC) + timedelta(hours=31 * n) for n in range(60)]


def written(how):
    return [at.strftime(how) for at in TIMES]


@pytest.mark.parametrize(
    ("how", "keys"),
    [
        ("%Y-%m-%d %H:%M:%S", {}),
        ("%Y-%m-%dT%H:%M:%SZ", {}),
        ("%d.%m.%Y %H:%M", {"pattern": "dd.MM.yyyy HH:mm"}),
        ("%m/%d/%Y %I:%M:%S %p", {"pattern": "MM/dd/yyyy hh:mm:ss a"}),
        ("%Y%m%d%H%M%S", {"pattern": "yyyyMMddHHmmss"}),
        ("%m%d%H%M%S", {"pattern": "MMddHHmmss", "year": "arrival"}),
        ("%d %b %Y %H:%M:%S", {"pattern": "dd MMM yyyy HH:mm:ss"}),
    ],
)
def test_patterns(how, keys):
    assert found(written(how), NOW).keys == keys


@pytest.mark.parametrize(("unit", "size"), [("s", 1), ("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_units(unit, size):
    form = found([str(int(at.timestamp()) * size) for at in TIMES], NOW)
    assert form.keys == {"unit": unit}
    assert form.zoned
    assert form.number


def test_the_day_that_stands_first_is_a_question_where_both_orders_fit():
    early = [f"0{1 + n % 5}/0{1 + n // 5}/2024" for n in range(20)]
    form = found(early, NOW)
    assert form.keys == {"pattern": "dd/MM/yyyy"}  # they rise only so
    assert form.other == "MM/dd/yyyy"
    assert not form.timed


def test_an_offset_is_seen():
    assert found(written("%Y-%m-%dT%H:%M:%S+01:00"), NOW).zoned
    assert not found(written("%Y-%m-%dT%H:%M:%S"), NOW).zoned


def test_several_forms_in_one_column():
    texts = ["1704067208", "2024-01-01T00:00:08Z", "01.02.2024 10:00:00"]
    assert set(found(texts, NOW).keys["pattern"]) == {"s", "iso", "dd.MM.yyyy HH:mm:ss"}


@pytest.mark.parametrize("texts", [["c1", "c2"], ["12.50", "3.00"], [], ["17", "1704067208"]])
def test_what_is_no_time(texts):
    assert found(texts, NOW) is None
