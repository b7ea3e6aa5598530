"""What a running stream remembers, read beside it: the lock is not taken, nothing is written.

A thread looks at the folder a few times a second. What it finds is opened first and put in the
place of what was known then, so whoever asks meets one batch or the next. Runs that the stream has
removed meanwhile stay readable where they are open, since they are mapped into memory.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fraudlake.errors import DataError
from fraudlake.features.state import run_files, sorted_runs
from fraudlake.features.state.run_files import DamagedError
from fraudlake.stream.manifest import BATCH, WHOLE, StateFolder

if TYPE_CHECKING:
    from fraudlake.features.definition.feature_set import FeatureSet

log = logging.getLogger("fraudlake")

_EVER = -(2**62)  # before every event time


@dataclass(frozen=True)
class StateSnapshot:
    """What a stream remembers after one of its batches.

    Attributes
    ----------
    batch
        Spark's number of the last batch that is in it; −1: history alone.
    newest
        Latest event time in it, microseconds since 1970 UTC; None where there is no event.
    runs
        Entity → its runs, those of all partitions.
    """

    batch: int
    newest: int | None
    runs: Mapping[str, Sequence[sorted_runs.Run]]


class StateReader(StateFolder):
    """Follows the state of one stream; used as a context, within which its thread runs.

    Parameters
    ----------
    folder
        The stream's state folder.
    every
        Seconds between two looks.

    Raises
    ------
    DataError
        There is no state yet, or it is of another feature definition.
    """

    def __init__(self, folder: str, feature_set: FeatureSet, every: float) -> None:
        super().__init__(folder, feature_set)
        if not self._description.exists():
            raise DataError(
                f"state: got {self.folder}, which has no state.json, expected the state folder of "
                "a stream: start the stream first"
            )
        self._every, self._changed = every, 0
        self._entities = list(feature_set.by_entity())
        self._open: dict[tuple[str, str], list[sorted_runs.Run]] = {}
        self._taken: tuple[int, dict[str, tuple[str, ...]]] | None = None
        self._said = ""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state reader", daemon=True)
        self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def snapshot(self) -> StateSnapshot:
        """What the stream remembers, as of the last look."""
        return self._snapshot

    def look(self) -> None:
        """Take up what the stream has finished since.

        Raises
        ------
        DamagedError
            A file was removed between two steps, or is not what was written: look again.
        """
        changed = self._description.stat().st_mtime_ns
        if changed != self._changed:  # another state in the same folder: its names mean other runs
            self.check()
            self._open, self._taken, self._changed = {}, None, changed
        batch, names = newest = self._newest()
        if newest == self._taken:
            return
        opened = {
            (entity, name): self._open.get((entity, name)) or self._read(entity, name)
            for entity in self._entities
            for name in names[entity]
        }
        runs = {e: [run for name in names[e] for run in opened[e, name]] for e in self._entities}
        ends = [
            run.events.low + run.events.span - 1
            for parts in runs.values()
            for run in parts
            if len(run.events.packed)
        ]
        self._snapshot = StateSnapshot(batch, max(ends, default=None), runs)
        self._open, self._taken = opened, newest

    def _newest(self) -> tuple[int, dict[str, tuple[str, ...]]]:
        """The last batch whose run is whole, and the names of the runs up to and with it.

        A batch writes its run for one entity after the other, then scores and flags. One that is
        interrupted after that is run again with the same records and writes the same.
        """
        numbers = self._numbers()
        if not numbers:
            return -1, dict.fromkeys(self._entities, (self._name(WHOLE, 0),))
        try:
            manifest = self._manifest(numbers[-1])
        except FileNotFoundError as error:
            raise DamagedError(f"{error.filename}: got no file, expected a manifest") from None
        last = self._name(BATCH, manifest.batch_id)
        names = {entity: manifest.runs[entity] for entity in self._entities}
        paths = [path for entity in self._entities for path in self._paths(entity, last)]
        if not all(path.exists() for path in paths):
            return manifest.batch_id - 1, names
        return manifest.batch_id, {entity: (*runs, last) for entity, runs in names.items()}

    def _paths(self, entity: str, name: str) -> list[Path]:
        runs = self._run_paths({entity: (name,)}, "")[entity]
        return [path for number in range(self.partitions) for path in runs.paths(number)]

    def _read(self, entity: str, name: str) -> list[sorted_runs.Run]:
        """A run; the large one as its partitions lie, the others as one: fewer to search."""
        parts = [sorted_runs.Run(run_files.read(path)) for path in self._paths(entity, name)]
        return parts if name[0] == WHOLE else [sorted_runs.merge(parts, _EVER)]

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self.look()
                self._said = ""
            except Exception as error:  # noqa: BLE001 - whatever it is, what is known still serves
                if self._said != str(error):
                    log.warning("state: going on as of batch %d: %s", self._snapshot.batch, error)
                self._said = str(error)
