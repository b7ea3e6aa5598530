"""Types of job arguments: instants, durations, lakes. Each says in one sentence what it expects."""

from __future__ import annotations

import glob
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_FEATURE_TABLE = re.compile(r"^features(_[a-z0-9_]+)?$")
KAFKA_TOPIC = re.compile(r"^kafka://([^/,\s]+:\d+(?:,[^/,\s]+:\d+)*)/([A-Za-z0-9._-]{1,249})$")
_CATALOG = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*){1,2}$")


def parse_duration(value: Any) -> timedelta:
    """A length of time: a whole number and a unit (s, m, h, d); a bare whole number is days.

    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    if isinstance(value, timedelta):
        return value
    text = str(value).strip()
    match = _DURATION.match(text if not text.isdigit() else text + "d")
    if isinstance(value, bool) or not match:
        raise ValueError("a length of time such as 30s, 15m, 12h or 7d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def format_duration(value: timedelta) -> str:
    """The shortest text `parse_duration` reads back.

    >>> format_duration(timedelta(hours=48))
    '2d'
    """
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def parse_instant(value: Any) -> datetime:
    """A day or an instant, UTC unless it names an offset.

    >>> parse_instant("2018-08-08").isoformat()
    '2018-08-08T00:00:00+00:00'
    """
    try:
        instant = datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError("a day (2018-08-08) or an instant (2018-08-08T12:30:00)") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def format_instant(value: datetime) -> str:
    """ISO text of an instant in UTC, a bare day where the time is midnight."""
    text = value.astimezone(UTC).isoformat().replace("+00:00", "")
    return text.removesuffix("T00:00:00")


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


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
]
Instant = Annotated[
    datetime, BeforeValidator(parse_instant), PlainSerializer(format_instant, return_type=str)
]
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
Address = Annotated[str, BeforeValidator(str), AfterValidator(_address)]
OutputPath = Annotated[str, AfterValidator(absolute_lake)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
