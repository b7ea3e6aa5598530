"""Files that stand whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, *content: bytes) -> None:
    """Write bytes; what stands there is replaced at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.writelines(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
