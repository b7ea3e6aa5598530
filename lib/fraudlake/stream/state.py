"""A stream's state: what fixed each batch, how it is made and kept small.

A batch's manifest is written before anything else of it: which runs it reads, which model decides,
which labels it knows. So a batch that is run again reads the same, decides the same and writes the
same.
"""

from __future__ import annotations

import fcntl
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudlake import atomic
from fraudlake.errors import DataError
from fraudlake.features.labels import changes_between, label_history
from fraudlake.features.state import micro_batch
from fraudlake.features.state.stores import RunPaths, Store
from fraudlake.instants import time_range
from fraudlake.lake.tables import FLAGGED, LABELS, QUARANTINE, SCORES
from fraudlake.session import slots
from fraudlake.stream.manifest import (
    BATCH,
    COMPACTED,
    COMPACTED_AGAIN,
    LABEL_CHANGES,
    WHOLE,
    BatchManifest,
    Decision,
    Runs,
    StateFolder,
)

if TYPE_CHECKING:
    from fraudlake.datasets import Dataset
    from fraudlake.features.definition.feature_set import FeatureSet
    from fraudlake.stream.history import History

log = logging.getLogger("fraudlake")

# How much later than the newest an event may come and still have all of its windows.
LATENESS = timedelta(days=2)
_ROWS_A_PARTITION = 5_000_000  # at most, of those remembered at the start: some GB to sort
_COMPACTED_AT = 8  # runs of a level that become one of the next
# Runs of which kinds become one of which: the whole last, as that of 100 million takes minutes.
LEVELS = (
    (BATCH + LABEL_CHANGES, COMPACTED),
    (COMPACTED, COMPACTED_AGAIN),
    (COMPACTED_AGAIN + WHOLE, WHOLE),
)
_MICROSECOND = timedelta(microseconds=1)


class StreamState(StateFolder):
    """The state of one stream, in a folder that the driver and all executors see.

    Raises
    ------
    DataError
        The folder holds the state of another feature definition, or is no path.
    """

    def __init__(
        self, history: History, folder: str, dataset: Dataset, feature_set: FeatureSet
    ) -> None:
        super().__init__(folder, feature_set)
        self.history, self.dataset = history, dataset
        self._rated = micro_batch.over_labels(feature_set)
        self._compacting: threading.Thread | None = None
        self._compacted: dict[str, tuple[tuple[str, ...], str]] = {}
        self._slots = slots(history.lake.spark)
        if not self._description.exists():
            newest = _micros(history.cutover)
            rows = history.before(0, self._remembered(newest)).count()
            self.partitions = max(self._slots, -(-rows // _ROWS_A_PARTITION))
            self._build(0, history.labels_version, newest, self._name(WHOLE, 0))
            found = {"definition": feature_set.hash, "partitions": self.partitions}
            _write(self._description, found)
        self.check()

    @contextmanager
    def exclusive_lock(self) -> Iterator[None]:
        """Hold the folder against a second service until the block ends.

        Raises
        ------
        DataError
            Another process holds it.
        """
        with (self.folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DataError(
                    f"state: got {self.folder}, which another running stream holds, expected one "
                    "stream to a state: stop the other, or give this one another `state` folder"
                ) from None
            yield

    def plan_batch(self, batch_id: int, decision: Decision, last: int) -> BatchManifest:
        """Fix a batch, or find what fixed it when it was first tried.

        Parameters
        ----------
        decision
            What decides it if it was not tried before.
        last
            Latest event time in it, microseconds since 1970 UTC.

        Raises
        ------
        DataError
            A later batch is known: the checkpoint is older than the state.
        """
        numbers = self._numbers()
        if numbers and numbers[-1] > batch_id:
            raise DataError(
                f"checkpoint: got batch {batch_id}, expected {numbers[-1]} or a later one, as in "
                f"{self.folder}: put the stream's checkpoint back, or give a new stream another "
                "`state` folder"
            )
        if batch_id in numbers:
            return self._manifest(batch_id)
        runs: Runs = dict.fromkeys(self._stores(), (self._name(WHOLE, 0),))
        labels_version, newest = self.history.labels_version, _micros(self.history.cutover)
        before = self._manifest(numbers[-1]) if numbers else None
        versions = self._versions()
        sole_writer = self._is_sole_writer(before, versions)
        if before:
            labels_version, newest = before.labels_version, before.newest
            written = (self._name(BATCH, before.batch_id),)
            runs = {
                store: names + (() if store == Store.LABELS else written)
                for store, names in before.runs.items()
            }
        self._adopt_compacted(runs)
        version = self.history.lake.version(LABELS) if self._rated else labels_version
        if version > labels_version:
            name = self._name(LABEL_CHANGES, batch_id)
            changes = changes_between(self.history.lake, labels_version, version)
            paths = self._run_paths(runs, name, self.partitions)
            micro_batch.relabel(changes, self.feature_set, self.dataset.entities, paths)
            runs |= {store: (*runs[store], name) for store in (Store.LABELS, *self._rated)}
        newest = max(newest, last)
        made = BatchManifest(batch_id, decision, version, newest, runs, versions, sole_writer)
        self._forget(numbers, made)
        _write(self._manifest_path(batch_id), made.stored())
        return made

    def last_in_service(self) -> int | None:
        """Version of the model that decided the last batch, where it was in service."""
        numbers = self._numbers()
        decision = self._manifest(numbers[-1]).decision if numbers else None
        return decision.models[0][0] if decision and decision.flags else None

    def nothing_written_since(self, manifest: BatchManifest) -> bool:
        """Whether no row of a batch can stand in `scores` or `flagged` yet.

        False where anything was written since the batch was begun, by its first try or by others.
        """
        return manifest.sole_writer and manifest.versions == self._versions()

    def run_paths(self, manifest: BatchManifest) -> dict[str, RunPaths]:
        """Store → the runs that a batch reads, and the one that it writes."""
        new = self._name(BATCH, manifest.batch_id)
        return self._run_paths(manifest.runs, new, min(self._slots, self.partitions))

    def oldest(self, newest: int) -> int:
        """Events before this time (microseconds) may be forgotten when the newest are so new."""
        return newest - (self.feature_set.lookback + LATENESS) // _MICROSECOND

    def rebuild(self, manifest: BatchManifest) -> BatchManifest:
        """Make what a batch reads anew, from the lake and from what the stream has seen."""
        batch_id = manifest.batch_id
        log.warning("building the state before batch %d anew from Delta", batch_id)
        number = 1 + max(int(n[1:]) for names in manifest.runs.values() for n in names)
        name = self._name(WHOLE, number)
        self._build(batch_id, manifest.labels_version, manifest.newest, name)
        runs: Runs = dict.fromkeys(self._stores(), (name,))
        made = replace(manifest, runs=runs)
        _write(self._manifest_path(batch_id), made.stored())
        return made

    def size(self) -> int:
        """Bytes of all runs."""
        return sum(path.stat().st_size for path in self.folder.glob("runs/*/*/*.run"))

    def compact(self, manifest: BatchManifest) -> None:
        """Begin to compact runs in the background where there are many; a later batch uses them."""
        if self._compacted or (self._compacting and self._compacting.is_alive()):
            return
        chosen = {}
        for store, names in manifest.runs.items():
            for kinds, next_level in LEVELS:
                alike = tuple(name for name in names if name[0] in kinds)
                if len(alike) >= _COMPACTED_AT:
                    chosen[store] = alike, self._name(next_level, manifest.batch_id)
                    break
        if chosen:
            self._compacting = threading.Thread(
                target=self._compact, args=(chosen, self.oldest(manifest.newest)), daemon=True
            )
            self._compacting.start()

    def _compact(self, chosen: dict[str, tuple[tuple[str, ...], str]], oldest: int) -> None:
        paths = {
            store: self._run_paths({store: names}, new)[store]
            for store, (names, new) in chosen.items()
        }
        history = self.history
        try:
            micro_batch.merge(history.lake.spark, paths, oldest)
            self._compacted = chosen
            for table in (SCORES, FLAGGED, QUARANTINE):
                history.lake.summarise(table)
            history.own.summarise(history.table)
        except Exception:
            log.exception("work beside the batches failed; a later batch tries again")

    def _versions(self) -> dict[str, int]:
        return {table.name: self.history.lake.version(table) for table in (SCORES, FLAGGED)}

    def _is_sole_writer(self, before: BatchManifest | None, versions: dict[str, int]) -> bool:
        if before is None:
            since = time_range(self.history.cutover, None)
            tables = [self.history.lake.read(table).where(since) for table in (SCORES, FLAGGED)]
            return all(table.isEmpty() for table in tables)
        if not before.sole_writer:
            return False
        for table in (SCORES, FLAGGED):
            own = before.decision.flags if table is FLAGGED else len(before.decision.models)
            if versions[table.name] > before.versions[table.name] + own:
                commits = self.history.lake.history(table, before.versions[table.name])
                if sum(commit.changes_rows for commit in commits) > own:
                    return False
        return True

    def _adopt_compacted(self, runs: Runs) -> None:
        """Put compacted runs in the place of those that they were made of."""
        compacted, self._compacted = self._compacted, {}
        for store, (names, new) in compacted.items():
            if set(names) <= set(runs[store]):
                runs[store] = (new, *(name for name in runs[store] if name not in names))

    def _forget(self, numbers: list[int], made: BatchManifest) -> None:
        """Remove runs that no manifest names any more, and manifests but the last."""
        busy = self._compacted or (self._compacting is not None and self._compacting.is_alive())
        if busy or not numbers or made.runs == self._manifest(numbers[-1]).runs:
            return
        standing = [self._manifest(number) for number in numbers[-1:]] + [made]
        written = {self._name(BATCH, manifest.batch_id) for manifest in standing}
        for store in self._stores():
            needed = written.union(*(manifest.runs[store] for manifest in standing))
            # With what a killed task had begun to write; none writes now.
            for path in self._store_folder(store).glob("*/*.run*"):
                if path.stem not in needed:
                    path.unlink()
        for number in numbers[:-1]:
            self._manifest_path(number).unlink()

    def _build(self, batch_id: int, labels_version: int, newest: int, name: str) -> None:
        """Write a run of every store with all that is known before a batch."""
        history = self.history.before(batch_id, self._remembered(newest))
        changes = label_history(self.history.lake, labels_version if self._rated else -1)
        paths = self._run_paths(dict.fromkeys(self._stores(), ()), name, self.partitions)
        micro_batch.remember(history, changes, self.feature_set, self.dataset.entities, paths)

    def _remembered(self, newest: int) -> str:
        return f"event_time >= timestamp_micros({self.oldest(newest)})"


def _write(path: Path, content: Mapping[str, Any]) -> None:
    atomic.replace(path, json.dumps(content).encode())


def _micros(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // _MICROSECOND
