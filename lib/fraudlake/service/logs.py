"""Logs as JSON, one object a line, with the number of the micro-batch in hand."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

batch_in_hand: ContextVar[int | None] = ContextVar("batch_in_hand", default=None)


class JsonLines(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `message`; `batch` within one; `error` with a traceback.

    >>> record = logging.LogRecord("fraudlake", logging.INFO, "", 0, "%d flags", (3,), None)
    >>> json.loads(JsonLines().format(record))["message"]
    '3 flags'
    """

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line."""
        line: dict[str, str | int] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (batch := batch_in_hand.get()) is not None:
            line["batch"] = batch
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def as_json() -> None:
    """Let every handler of this process write JSON."""
    for handler in logging.getLogger().handlers:
        handler.setFormatter(JsonLines())
