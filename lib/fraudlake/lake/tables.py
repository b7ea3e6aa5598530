"""The tables of a lake, declared: names, columns, keys, clustering, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REASONS_TYPE = "array<struct<feature: string, value: double, contribution: double>>"

# Spark holds NaN for larger than any number: only an upper bound keeps it out.
_PROBABILITY = "score >= 0 AND score <= 1"
NOT_NEGATIVE = "amount_not_negative"  # a rule that a data set with refunds lifts


@dataclass(frozen=True)
class Table:
    """Declaration of one table; `columns` are those every lake has, a data set adds its own.

    `change_feed`: readers ask for what came since a version (`Lake.changes`). `streamed`: a commit
    with every micro-batch, so its log is kept for two days instead of Delta's thirty, and files
    that OPTIMIZE has replaced instead of seven.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    cluster_by: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    constraints: Mapping[str, str] = field(default_factory=dict)
    append_only: bool = False
    change_feed: bool = False
    streamed: bool = False


TRANSACTIONS = Table(
    "transactions",
    {
        "tx_id": "bigint",
        "event_time": "timestamp",
        "amount": "decimal(18,2)",
        "ingested_at": "timestamp",
        "source_file": "string",
    },
    key=("tx_id",),
    cluster_by=("event_time",),
    required=("tx_id", "event_time", "amount"),
    constraints={NOT_NEGATIVE: "amount >= 0"},
    change_feed=True,
)
LABELS = Table(
    "labels",
    {"tx_id": "bigint", "is_fraud": "boolean", "known_at": "timestamp", "source": "string"},
    key=("tx_id", "known_at", "source"),
    cluster_by=("known_at",),
    required=("tx_id", "is_fraud", "known_at", "source"),
    append_only=True,
    change_feed=True,
)
QUARANTINE = Table(
    "quarantine",
    {
        "record_id": "string",
        "raw": "string",
        "reasons": "array<string>",
        "source_file": "string",
        "dataset": "string",
        "quarantined_at": "timestamp",
    },
    key=("record_id",),
    required=("record_id", "reasons"),
    append_only=True,
    streamed=True,
)
FEATURES = Table(
    "features",
    {"tx_id": "bigint", "event_time": "timestamp", "definition": "string"},
    key=("tx_id",),
    cluster_by=("event_time",),
    required=("tx_id", "event_time", "definition"),
)
SCORES = Table(
    "scores",
    {
        "tx_id": "bigint",
        "event_time": "timestamp",
        "score": "double",
        "model": "string",
        "model_version": "int",
        "definition": "string",
        "scored_at": "timestamp",
    },
    key=("tx_id", "model", "model_version"),
    cluster_by=("event_time",),
    required=("tx_id", "score", "model_version"),
    constraints={"score_is_probability": _PROBABILITY},
    append_only=True,
    streamed=True,
)
FLAGGED = Table(
    "flagged",
    {
        "tx_id": "bigint",
        "event_time": "timestamp",
        "amount": "decimal(18,2)",
        "score": "double",
        "threshold": "double",
        "reasons": REASONS_TYPE,
        "model": "string",
        "model_version": "int",
        "flagged_at": "timestamp",
    },
    key=("tx_id",),
    cluster_by=("event_time",),
    required=("tx_id", "score", "threshold", "reasons", "model_version"),
    constraints={
        "score_is_probability": _PROBABILITY,
        "score_reaches_threshold": "score >= threshold",
    },
    append_only=True,
    streamed=True,
)
METRICS = Table(
    "metrics",
    {
        "job": "string",
        "run": "string",
        "table_version": "bigint",
        "name": "string",
        "value": "double",
        "time": "timestamp",
    },
    key=("job", "run", "name"),
    required=("job", "run", "name"),
    append_only=True,
)
TABLES = {t.name: t for t in (TRANSACTIONS, LABELS, QUARANTINE, FEATURES, SCORES, FLAGGED, METRICS)}
