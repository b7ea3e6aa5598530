from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudlake import options


@given(st.integers(0, 10**7))
def test_duration_round_trip(seconds):
    length = timedelta(seconds=seconds)
    assert options.parse_duration(options.format_duration(length)) == length


@pytest.mark.parametrize("text", ["", "d", "-1d", "1w", "1.5d", True, None])
def test_duration_refuses(text):
    with pytest.raises(ValueError, match="such as 30s, 15m, 12h or 7d"):
        options.parse_duration(text)


def test_bare_number_is_days():
    assert options.parse_duration("7") == options.parse_duration(7) == timedelta(days=7)


@given(st.datetimes(timezones=st.just(UTC)).filter(lambda moment: moment.year >= 1971))
def test_instant_round_trip(instant):
    assert options.parse_instant(options.format_instant(instant)) == instant


def test_instant_is_utc_unless_it_says_otherwise():
    assert options.parse_instant("2018-08-08T02:00:00+02:00") == options.parse_instant("2018-08-08")


def test_catalog_or_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert options.is_catalog("main.fraud")
    assert not options.is_catalog("build/lake")
    (tmp_path / "my.lake").mkdir()
    assert not options.is_catalog("my.lake")


@pytest.mark.parametrize("path", ["kafka:x", "kafka://host/topic", "kafka://a:1,b/topic"])
def test_a_topic_is_named_with_its_servers_and_ports(path):
    assert options.is_topic(path)
    assert not options.KAFKA_TOPIC.match(path)
    with pytest.raises(ValueError, match="kafka://host:port"):
        options._existing(path)
    assert options._existing("kafka://a:1,b:2/t") == "kafka://a:1,b:2/t"


def test_an_address_without_a_host_is_on_loopback():
    assert options._address("9464") == "127.0.0.1:9464"
    assert options._address("0.0.0.0:9464") == "0.0.0.0:9464"
    for wrong in ("", "port", "host:", "1:99999"):
        with pytest.raises(ValueError, match="a port such as 9464"):
            options._address(wrong)
