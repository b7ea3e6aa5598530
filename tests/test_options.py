from __future__ import annotations

import pytest

from fraudlake import options


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
