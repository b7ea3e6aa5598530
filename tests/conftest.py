"""One Spark session for all tests, opened when the first test asks for it."""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytest_plugins = ["tests.worlds"]

ROOT = Path(__file__).resolve().parent.parent
HANDBOOK = ROOT.parent / "shared" / "data" / "handbook"


def pytest_collection_modifyitems(items):
    for item in items:
        if {"spark", "lake"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.spark)
    # Two processes take files in this order: the longest comes first.
    items.sort(key=lambda item: item.path.name != "test_demo.py")


@pytest.fixture(scope="session")
def spark(tmp_path_factory):
    """A session on two cores with Delta, its warehouse in a temporary folder."""
    from fraudlake import session

    work = tmp_path_factory.mktemp("spark")
    opened = session.open_spark(
        "fraudlake tests",
        **{
            "spark.master": "local[2]",
            "spark.driver.memory": "3g",
            # Thousands of small queries: compiling them well costs more than running them. Their
            # code does not fit into the 48 MB that go with that; then nothing is compiled any more.
            # G1's own threads take a tenth of the processor from the tests.
            "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"
            " -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC",
            "spark.sql.shuffle.partitions": "2",
            "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
            "spark.databricks.delta.snapshotPartitions": "1",
            # Each test has tables of its own, and Delta keeps the plans of all for an hour.
            "spark.databricks.delta.delta.log.cacheSize": "16",
            "spark.sql.warehouse.dir": str(work / "warehouse"),
            "spark.ui.enabled": "false",
            # Most queries see a hundred rows: interpreted they cost a fifth less than compiled. A
            # process of its own, as a user would start it, runs compiled in the tests too.
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        },
    )
    yield opened
    opened.stop()


@pytest.fixture
def lake(spark, tmp_path):
    """An empty lake in a folder of its own."""
    from fraudlake.lake import Lake

    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def notebook(spark, monkeypatch, capsys):
    """A function: what a notebook, run with some words, prints, and its names at the end."""
    import fraudlake

    def run(path, *words):
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, words)])
        monkeypatch.setattr(fraudlake, "open_spark", lambda *_: spark)
        monkeypatch.setattr(type(spark), "stop", lambda _: None)
        names = runpy.run_path(str(path))
        return capsys.readouterr().out, names

    return run


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """Address of a Kafka broker of the tests' own: `host:port`."""
    folder = tmp_path_factory.mktemp("kafka")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {"FRAUDLAKE_KAFKA_PORT": str(port), "FRAUDLAKE_KAFKA_DIR": str(folder)}
    command = [str(ROOT / "scripts" / "kafka.sh")]
    subprocess.run([*command, "start"], check=True, env=os.environ | settings)
    yield f"127.0.0.1:{port}"
    subprocess.run([*command, "stop"], check=True, env=os.environ | settings)


@pytest.fixture
def publish(broker, request):
    """Writes values to a topic of the test's own, in turn to its partitions; gives its address."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    def published(values, name="records", partitions=1):
        topic = f"{request.node.name.translate(str.maketrans('[]', '__'))}-{name}"
        admin = AdminClient({"bootstrap.servers": broker})
        if topic not in admin.list_topics(timeout=20).topics:
            admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(20)
        producer = Producer({"bootstrap.servers": broker})
        for number, value in enumerate(values):
            producer.produce(topic, value, partition=number % partitions)
        assert not producer.flush(20)
        return f"kafka://{broker}/{topic}"

    return published


@pytest.fixture(scope="session")
def handbook():
    """Folder with the reference data set's months, where it is at hand."""
    folder = Path(os.environ.get("FRAUDLAKE_HANDBOOK", HANDBOOK))
    if not list(folder.glob("*.parquet")):
        pytest.skip(f"the Handbook's data set is not at {folder} (set FRAUDLAKE_HANDBOOK)")
    return folder
