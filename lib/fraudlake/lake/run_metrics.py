"""What a run measured: rows of the table `metrics`, written once for each distinct run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fraudlake.lake.lake import Lake
from fraudlake.lake.tables import METRICS


def run_id(job: str, **inputs: Any) -> str:
    """Name of a run, made from what goes into it: equal inputs, equal name (16 hex digits).

    >>> run_id("score", features=3, model=1) == run_id("score", model=1, features=3)
    True
    """
    text = json.dumps({"job": job, **inputs}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record(
    lake: Lake, job: str, run: str, table_version: int, metrics: Mapping[str, float | int]
) -> None:
    """Write what a run measured to `metrics`. Re-run rule: what stands is left as it is."""
    import pyarrow as pa

    same = {"job": job, "run": run, "table_version": table_version, "time": datetime.now(UTC)}
    rows = [same | {"name": name, "value": float(value)} for name, value in metrics.items()]
    lake.create(METRICS)
    if rows:
        lake.insert_few(METRICS, pa.Table.from_pylist(rows).select(list(METRICS.columns)))
