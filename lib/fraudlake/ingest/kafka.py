"""A Kafka topic as an input: its address, the client's settings, its offsets, its values as text.

A value is a JSON object or, where Avro schemas are named, an Avro record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake.errors import ConfigError, SetupError
from fraudlake.ingest import avro
from fraudlake.options import KAFKA_TOPIC, is_topic

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SECURITY = ("security.", "sasl.", "ssl.")
_PATIENCE_S = 20
_OFFSET_DIGITS = 20


@dataclass(frozen=True)
class Topic:
    """One topic and how to read it; made by `named`.

    Attributes
    ----------
    servers : str
        `host:port[,host:port]`.
    name : str
    settings : Mapping
        The client's security settings; never shown.
    schemas : Mapping
        Avro schemas by the bytes that a value begins with (`avro.schemas`); empty: JSON.
    """

    servers: str
    name: str
    settings: Mapping[str, str] = field(repr=False)
    schemas: Mapping[bytes, str] = field(repr=False)


def named(path: str, properties: str | None = None, schemas: str | None = None) -> Topic:
    """The topic behind `kafka://host:port[,host:port]/topic`.

    Parameters
    ----------
    properties
        A file of the client's security settings (`security.*`, `sasl.*`, `ssl.*`), one `name=value`
        a line, as Kafka's own tools read it. On a cluster, files that it names (a trust store) are
        looked for on every machine.
    schemas
        Avro schema of the values, or a folder of several (see `avro.schemas`); None: JSON.

    Raises
    ------
    ConfigError
        The path is no such address, or a file is not what it should be. No value is shown.

    Examples
    --------
    >>> named("kafka://127.0.0.1:9092/payments").name
    'payments'
    """
    address = KAFKA_TOPIC.match(path)
    if not address:
        if is_topic(path):
            raise ConfigError([f"input: got {path}, expected kafka://host:port[,host:port]/topic"])
        given = [f"{k}: got {v}" for k, v in (("kafka", properties), ("avro", schemas)) if v]
        raise ConfigError(
            [f"{what}, expected it only beside input=kafka://host:port/topic" for what in given]
        )
    settings = _settings(Path(properties)) if properties else {}
    return Topic(address[1], address[2], settings, avro.schemas(Path(schemas)) if schemas else {})


def problems(given: Mapping[str, Any]) -> list[str]:
    """What is wrong with a job's `input`, `kafka` and `avro`, one sentence each; starts nothing."""
    if not given.keys() >= {"input", "kafka", "avro"}:
        return []
    path, properties, schemas = given["input"], given["kafka"], given["avro"]
    if not (is_topic(path) or properties or schemas):
        return []
    try:
        named(path, properties, schemas)
    except ConfigError as error:
        return error.problems
    return []


def read(spark: SparkSession, topic: Topic) -> DataFrame:
    """Every record that the topic holds at this call, however often the frame is computed.

    Returns
    -------
    DataFrame
        The columns of `read_stream`.

    Raises
    ------
    SetupError
        No broker answers, or there is no such topic.
    """
    ends = offsets(spark, topic)
    options = {
        name: json.dumps({topic.name: {str(p): span[side] for p, span in ends.items()}})
        for side, name in enumerate(("startingOffsets", "endingOffsets"))
    }
    return _records(spark.read, topic, **options)


def read_stream(spark: SparkSession, topic: Topic, max_records_per_batch: int) -> DataFrame:
    """What the topic holds and what arrives later, from the earliest offset on.

    Where records vanish before they were read (retention, a topic that was deleted), the stream
    stops; `files.readable` says so in words.

    Parameters
    ----------
    max_records_per_batch
        Most records of one micro-batch; bounds the first one after an outage too.

    Returns
    -------
    DataFrame
        A streaming DataFrame, one row a record: `raw` (string, the value as text), `source_file`
        (string, `kafka://topic/partition/offset`, the offset in 20 digits as Kafka's own files have
        it, so that text sorts by offset), `published_at` (timestamp of the record in Kafka), and
        with Avro `broken` (string, why the value cannot be read, else null).

    Raises
    ------
    SetupError
        No broker answers, or there is no such topic.
    """
    offsets(spark, topic)
    options = {"startingOffsets": "earliest", "maxOffsetsPerTrigger": str(max_records_per_batch)}
    return _records(spark.readStream, topic, **options)


def offsets(spark: SparkSession, topic: Topic) -> dict[int, tuple[int, int]]:
    """Partition → the first offset that it holds and the one that comes next, as they are now.

    Raises
    ------
    SetupError
        No broker answers, it refuses us, or there is no such topic.
    """
    from py4j.protocol import Py4JJavaError

    java: Any = spark.sparkContext._jvm
    settings = java.java.util.HashMap()
    deserializer = "org.apache.kafka.common.serialization.ByteArrayDeserializer"
    for name, value in {
        **topic.settings,
        "bootstrap.servers": topic.servers,
        "key.deserializer": deserializer,
        "value.deserializer": deserializer,
        "allow.auto.create.topics": "false",
    }.items():
        settings.put(name, value)
    patience = java.java.time.Duration.ofSeconds(_PATIENCE_S)
    try:
        with closing(java.org.apache.kafka.clients.consumer.KafkaConsumer(settings)) as consumer:
            partitions = consumer.partitionsFor(topic.name, patience)
            at = java.java.util.ArrayList()
            for info in partitions or []:
                at.add(java.org.apache.kafka.common.TopicPartition(topic.name, info.partition()))
            first, following = consumer.beginningOffsets(at), consumer.endOffsets(at)
    except Py4JJavaError as error:
        cause = error.java_exception.getCause() or error.java_exception
        raise SetupError(
            f"input: got no answer from Kafka at {topic.servers} ({cause.getMessage()}), expected "
            f"the topic {topic.name}: see that the brokers run, that this machine reaches every "
            "address they advertise, and that the settings in kafka= are theirs"
        ) from None
    if not at:
        raise SetupError(
            f"input: got no topic {topic.name} at {topic.servers}, expected one: make it, or "
            "correct its name"
        )
    return {p.partition(): (first[p], following[p]) for p in at}


def _records(reader: Any, topic: Topic, **options: str) -> DataFrame:
    from pyspark.sql import functions as F

    rows = (
        reader.format("kafka")
        .options(**{f"kafka.{name}": value for name, value in topic.settings.items()})
        .option("kafka.bootstrap.servers", topic.servers)
        .option("subscribe", topic.name)
        .option("failOnDataLoss", "true")
        .options(**options)
        .load()
    )
    offset = F.lpad(F.col("offset").cast("string"), _OFFSET_DIGITS, "0")
    source_file = F.concat(F.lit(f"kafka://{topic.name}/"), F.col("partition"), F.lit("/"), offset)
    records = rows.select(
        "value", source_file.alias("source_file"), F.col("timestamp").alias("published_at")
    )
    if topic.schemas:
        return avro.to_text(records, topic.schemas)
    # A record without a value is a blank line.
    text = F.coalesce(F.col("value").cast("string"), F.lit("")).alias("raw")
    return records.select(text, "source_file", "published_at")


def _settings(path: Path) -> dict[str, str]:
    """A Java properties file: `name=value`, # and ! for comments, a backslash ends no line."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"kafka: got {str(path)!r}, expected a text file ({error})"]) from None
    lines = [line.strip() for line in re.sub(r"\\\r?\n[ \t]*", "", text).splitlines()]
    pairs = [re.split(r"\s*[=:]\s*", line, maxsplit=1) for line in lines if line[:1] not in "#!"]
    wrong = [pair[0] for pair in pairs if len(pair) < 2 or not pair[0].startswith(_SECURITY)]
    if wrong:
        raise ConfigError(
            [
                f"kafka: got the setting {name} in {path}, expected name=value with "
                "security.*, sasl.* and ssl.* alone"
                for name in wrong
            ]
        )
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in pairs}
