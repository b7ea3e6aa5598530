"""Types of job arguments: instants, durations, lakes. Each says in one sentence what it expects."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

_FEATURE_TABLE = re.compile(r"^features(_[a-z0-9_]+)?$")
KAFKA_TOPIC = re.compile(r"^kafka://([^/,\s]+:\d+(?:,[^/,\s]+:\d+)*)/([A-Za-z0-9._-]{1,249})$")
_CATALOG = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}$")


def _feature_table(name: str) -> str:
    if not _FEATURE_TABLE.match(name):
        raise ValueError("features, or a name that begins so, such as features_v2")
    return name


def is_catalog(lake: str) -> bool:
    """True where a lake is `schema`-qualified (`main.fraud`) and not a path."""
    return bool(_CATALOG.match(lake)) and not Path(lake).exists()


def is_topic(path: str) -> bool:
    """True where an input is meant to be a Kafka topic, well written or not."""
    return path.startswith("kafka:")


def absolute_lake(lake: str) -> str:
    """A lake's root as Delta takes it: a folder by its absolute path, a URI or catalog as it is."""
    if not lake:
        raise ValueError("a folder, a URI or catalog.schema")
    return lake if "://" in lake or is_catalog(lake) else str(Path(lake).resolve())


def _existing(value: str) -> str:
    if is_topic(value) and not KAFKA_TOPIC.match(value):
        raise ValueError("kafka://host:port[,host:port]/topic")
    if "://" in value:
        return value
    path = Path(value)
    if path.exists() or glob.glob(value):
        return str(path.absolute())
    raise ValueError("the path or pattern of files that exist")


Lake = Annotated[str, AfterValidator(absolute_lake)]


def _file(value: str) -> str:
    if Path(value).exists():
        return str(Path(value).absolute())
    raise ValueError("the path of a file that exists")


InputPath = Annotated[str, AfterValidator(_existing)]
FeatureTable = Annotated[str, AfterValidator(_feature_table)]


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise ValueError("a port such as 9464, on loopback, or host:port")
    return f"{host or '127.0.0.1'}:{int(port)}"


FilePath = Annotated[str, AfterValidator(_file)]
RawInput = Annotated[
    InputPath,
    Field(
        description="file, folder or pattern of raw files, a Delta table, or "
        "kafka://host:port[,host:port]/topic"
    ),
]
KafkaSettings = Annotated[
    FilePath | None,
    Field(description="topic: properties file of the client's security settings"),
]
AvroSchemas = Annotated[
    FilePath | None,
    Field(description="topic: Avro schema of the values, or folder of *.avsc; left out: JSON"),
]
Address = Annotated[str, BeforeValidator(str), AfterValidator(_address)]
OutputPath = Annotated[str, AfterValidator(absolute_lake)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31, description="of everything drawn at random")]
AlertsKept = Annotated[
    int, Field(ge=1, le=1000, description="alert budget, flagged transactions a day")
]
AlertsBy = Annotated[
    Literal["transaction", "card"],
    Field(description="what an alert of the budget is: a transaction, or a card once a day"),
]
Alias = Literal["champion", "challenger"]
By = Annotated[
    str,
    Field(min_length=1, max_length=200, description="who decides so, for the log of changes"),
]
Why = Annotated[str, Field(max_length=1000, description="the reason, for the log of changes")]
