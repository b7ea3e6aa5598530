"""A stream's state folder: what stands where, and what its runs and manifests are called.

The stream writes it (`state`); the scorer of single transactions reads it beside it (`serve`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from fraudlake.errors import DataError
from fraudlake.features.state.stores import RunPaths, Store

if TYPE_CHECKING:
    from fraudlake.features.definition.feature_set import FeatureSet

Runs = dict[str, tuple[str, ...]]
# First letters of the names of runs, as they stand in folders: what a run was made of.
BATCH, LABEL_CHANGES, COMPACTED, COMPACTED_AGAIN, WHOLE = "b", "l", "m", "n", "w"


@dataclass(frozen=True)
class Decision:
    """What decides a micro-batch.

    Attributes
    ----------
    models
        Versions and digests: of the model that decides; after it, where there is one, of that which
        only adds its scores.
    threshold
        Flag where score ≥ threshold.
    flags
        Whether the model that decides was in service; if not, the batch leaves scores alone.
    """

    models: tuple[tuple[int, str], ...]
    threshold: float
    flags: bool = True


@dataclass(frozen=True)
class BatchManifest:
    """What fixed a micro-batch at its first attempt.

    Attributes
    ----------
    labels_version
        Version of `labels` up to which labels are known.
    newest
        Latest event time up to and with this batch, microseconds since 1970 UTC.
    runs
        Store → names of the runs that the batch reads.
    versions
        Versions of `scores` and `flagged` before it. Each batch adds one a model to `scores`, and
        one to `flagged` where its model is in service.
    sole_writer
        Whether nobody else has written transactions of the stream's time to them.
    """

    batch_id: int
    decision: Decision
    labels_version: int
    newest: int
    runs: Runs
    versions: dict[str, int]
    sole_writer: bool

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> BatchManifest:
        """What `stored` gave, read back from JSON."""
        content = dict(stored)
        models = tuple((version, digest) for version, digest in content["decision"]["models"])
        content["decision"] = Decision(**{**content["decision"], "models": models})
        content["runs"] = {store: tuple(names) for store, names in content["runs"].items()}
        return cls(sole_writer=content.pop("alone"), **content)

    def stored(self) -> dict[str, Any]:
        """Plain JSON values, by the names that manifests on disk have."""
        content = asdict(self)
        content["alone"] = content.pop("sole_writer")
        return content


class StateFolder:
    """Where the state of one stream is.

    Parameters
    ----------
    folder
        A path, on a disk that all machines share where there are several.

    Raises
    ------
    DataError
        It is no path.
    """

    partitions: int

    def __init__(self, folder: str, feature_set: FeatureSet) -> None:
        self.folder, self.feature_set = shared_path(folder), feature_set
        self._description = self.folder / "state.json"

    def check(self) -> None:
        """Read what the folder says of itself.

        Raises
        ------
        DataError
            It holds the state of another feature definition.
        """
        description = json.loads(self._description.read_text())
        self.partitions = description["partitions"]
        if description["definition"] != self.feature_set.hash:
            raise DataError(
                f"features: got definition {self.feature_set.hash}, expected "
                f"{description['definition']}, which the state in {self.folder} is of: give a new "
                "stream another `state` folder"
            )

    def _stores(self) -> list[str]:
        return [*Store, *self.feature_set.by_entity()]

    def _store_folder(self, store: str) -> Path:
        return self.folder / "runs" / store.replace(",", "+")

    def _run_paths(
        self, runs: Mapping[str, tuple[str, ...]], new: str, tasks: int = 1
    ) -> dict[str, RunPaths]:
        return {
            store: RunPaths(str(self._store_folder(store)), names, new, self.partitions, tasks)
            for store, names in runs.items()
        }

    def _name(self, kind: str, number: int) -> str:
        return f"{kind}{number:012d}"

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem) for path in self.folder.glob("manifests/*.json"))

    def _manifest(self, batch_id: int) -> BatchManifest:
        return BatchManifest.of(json.loads(self._manifest_path(batch_id).read_text()))

    def _manifest_path(self, batch_id: int) -> Path:
        return self.folder / "manifests" / f"{batch_id:012d}.json"


def shared_path(folder: str) -> Path:
    """The path of a state folder, given as a path or a `file:` URL."""
    url = urlparse(folder)
    if url.scheme not in ("", "file"):
        raise DataError(
            f"state: got {folder}, expected a path that the driver and all executors share, such "
            "as a mounted folder: runs are mapped into memory"
        )
    return Path(url.path).absolute()
