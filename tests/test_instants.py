from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudlake import instants


@given(st.integers(0, 10**7))
def test_duration_round_trip(seconds):
    length = timedelta(seconds=seconds)
    assert instants.parse_duration(instants.format_duration(length)) == length


@pytest.mark.parametrize("text", ["", "d", "-1d", "1w", "1.5d", True, None])
def test_duration_refuses(text):
    with pytest.raises(ValueError, match="such as 30s, 15m, 12h or 7d"):
        instants.parse_duration(text)


def test_bare_number_is_days():
    assert instants.parse_duration("7") == instants.parse_duration(7) == timedelta(days=7)


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year >= 1971))
def test_instant_round_trip(instant):
    assert instants.parse_instant(instants.format_instant(instant)) == instant


def test_instant_is_utc_unless_it_says_otherwise():
    assert instants.parse_instant("2018-08-08T02:00:00+02:00") == instants.parse_instant(
        "2018-08-08"
    )


def test_time_range():
    start, end = datetime(2018, 8, 1, tzinfo=UTC), datetime(2018, 8, 2, tzinfo=UTC)
    assert instants.time_range(None, None) == "true"
    assert instants.time_range(start, end) == (
        "event_time >= TIMESTAMP '2018-08-01T00:00:00+00:00' AND "
        "event_time < TIMESTAMP '2018-08-02T00:00:00+00:00'"
    )
