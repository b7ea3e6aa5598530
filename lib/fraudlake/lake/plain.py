"""Whether tasks of Python can read and write a table's files by themselves: if they are plain."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

if TYPE_CHECKING:
    from fraudlake.lake.delta_log import State

# Table features that a reader may leave alone where no file makes use of them.
_READ = frozenset(("deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"))
# Those that ask nothing of who adds or removes whole files, where no property does.
_WRITTEN = _READ | frozenset(
    (
        *("appendOnly", "changeDataFeed", "checkConstraints", "clustering"),
        *("domainMetadata", "invariants"),
    )
)
# Properties of a table whose files are not what they seem to be.
_PLAIN = {"delta.columnMapping.mode": "none", "delta.enableTypeWidening": "false"}
_RULES = "delta.constraints."
_RULES_ALONE = 3  # protocols of a writer up to this one ask for nothing but rules


def obstacle_to_reading(state: State) -> str | None:
    """Why a table's files cannot be read as they are; None: they can."""
    if unknown := sorted(set(state.reader_features) - _READ):
        return f"table features {', '.join(unknown)}"
    for name, plain in _PLAIN.items():
        if (value := state.properties.get(name, plain)) != plain:
            return f"{name}={value}"
    if any(file.get("deletionVector") for file in state.files):
        return "rows deleted by vectors"
    if any(file["partitionValues"] for file in state.files):
        return "partition columns"
    if any(urlparse(file["path"]).scheme not in ("", "file") for file in state.files):
        return "files of another store"
    return None


def obstacle_to_writing(state: State) -> str | None:
    """Why tasks of Python cannot write a table's files; None: they can."""
    if not state.writer_features and state.writer_version > _RULES_ALONE:
        return "an older protocol of Delta"
    if unknown := sorted(set(state.writer_features) - _WRITTEN):
        return f"table features {', '.join(unknown)}"
    if any(file["partitionValues"] for file in state.files):
        return "partition columns"
    rules = sorted(name for name in state.properties if name.startswith(_RULES))
    return f"rules {', '.join(rules)}" if rules else None
