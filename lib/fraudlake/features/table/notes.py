"""What builds of the feature table were made from, as the notes of its commits say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fraudlake.features.table.arrivals import WholeBuildError
from fraudlake.instants import parse_instant
from fraudlake.lake.commits import Commit


def is_current(history: Sequence[Commit], note: Mapping[str, Any]) -> bool:
    """Whether the table holds just what a build of this note would write.

    So it does if an earlier build from the same inputs covers the range, and every later commit was
    a build from the same inputs as well or changed no row.
    """
    for earlier in _builds(history):
        if any(earlier.get(key) != note[key] for key in ("definition", "inputs")):
            return False
        if _covers(earlier, note):
            return True
    return False


def last_whole_build(history: Sequence[Commit], note: Mapping[str, Any]) -> dict[str, int]:
    """Input table → version that the newest build of the whole table was made from.

    Raises
    ------
    WholeBuildError
        There is none; or since then somebody else wrote, or an input table was replaced.
    """
    for earlier in _builds(history):
        if earlier.get("definition") != note["definition"]:
            break
        # What a definition does not read has not changed for it.
        read = {name: earlier["inputs"].get(name, now) for name, now in note["inputs"].items()}
        for name, (identity, version) in note["inputs"].items():
            if read[name][0] != identity or read[name][1] > version:
                raise WholeBuildError(f"{name} was replaced")
        if _covers(earlier, {"from": None, "to": None}):
            return {name: version for name, (_, version) in read.items()}
    raise WholeBuildError("no build of the whole table stands unchanged")


def _covers(earlier: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
    """Whether an earlier build's range holds the whole range of this one."""
    begins = earlier["from"] is None or (
        note["from"] is not None and parse_instant(earlier["from"]) <= parse_instant(note["from"])
    )
    ends = earlier["to"] is None or (
        note["to"] is not None and parse_instant(earlier["to"]) >= parse_instant(note["to"])
    )
    return begins and ends


def _builds(history: Sequence[Commit]) -> Iterator[dict[str, Any]]:
    """Notes of the commits that changed rows, newest first; empty for commits of others."""
    return (commit.notes.get("built") or {} for commit in history if commit.changes_rows)
