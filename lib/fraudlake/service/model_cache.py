"""Models beside the stream's state: what the service starts with where the registry is down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fraudlake import atomic
from fraudlake.errors import FraudlakeError
from fraudlake.models import bundle
from fraudlake.service.admission import Model, ModelSource

_NOTES = "notes.json"


class ModelCache:
    """Models as they were admitted, with what the registry had noted of them.

    Parameters
    ----------
    folder
        Made on first use. A model stays in it: a batch that was begun with it may run again.
    registry
        Where models come from.
    admit
        Makes the checks (`admission.admit`) on a version in the registry or here.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> registry = SimpleNamespace(describe=lambda version: {})
    >>> admit = lambda source, version: Model(version, {}, "", threshold=0.5)
    >>> cache = ModelCache(Path("models"), registry, admit)
    >>> cache.admitted("champion", 3)
    Model(version=3, digest='', threshold=0.5)
    >>> cache.last("champion").version
    3
    """

    def __init__(
        self,
        folder: Path,
        registry: ModelSource,
        admit: Callable[[ModelSource, int], Model],
    ) -> None:
        self.folder, self._registry, self._admit = folder, registry, admit

    def admitted(self, alias: str, version: int) -> Model:
        """A version of the registry, checked, and kept as what the alias names.

        Raises
        ------
        FraudlakeError
            It failed a check.
        """
        model = self._admit(self._registry, version)
        folder = self.folder / str(version)
        # A registry that was made anew counts its versions from 1 again.
        if not (folder / _NOTES).exists() or self.describe(version)["sha256"] != model.digest:
            for name, content in model.files.items():
                atomic.replace(folder / name, content)
            golden = self._registry.describe(version).get("golden")
            notes = json.dumps({"sha256": model.digest, "golden": golden})
            atomic.replace(folder / _NOTES, notes.encode())
        atomic.replace(self.folder / f"{alias}.json", json.dumps(version).encode())
        return model

    def last(self, alias: str) -> Model:
        """What the alias named when the registry last answered, checked again.

        Raises
        ------
        FraudlakeError
            There is none, or it is not what was kept.
        """
        path = self.folder / f"{alias}.json"
        if not path.exists():
            raise FraudlakeError(f"model: got {alias!r}, expected one that was in service before")
        return self._admit(self, int(json.loads(path.read_text())))

    def files(self, version: int) -> dict[str, bytes]:
        """The bundle of a version, compared with its SHA-256; not kept here: the registry's."""
        folder = self.folder / str(version)
        if not (folder / _NOTES).exists():
            return self._registry.files(version)
        files = {path.name: path.read_bytes() for path in folder.glob("[!.]*")}
        files.pop(_NOTES)
        bundle.load(files, self.describe(version)["sha256"])
        return files

    def describe(self, version: int) -> dict[str, Any]:
        """What was noted of a version."""
        return dict(json.loads((self.folder / str(version) / _NOTES).read_text()))
