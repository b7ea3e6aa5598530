"""The stream's own process, with places at which it kills itself.

    python launcher.py '{"folder": ..., "properties": {...}, "control": false}' key=value ...

It runs `fraudlake stream key=value ...` as it is; some calls are wrapped from outside. Every pass
of a place is a line in `passed`. Where `armed` names a place and the number of its passes in this
process, the process group, Python and Java, dies there by SIGKILL, and `armed` is gone.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from fraudlake import cli, session
from fraudlake.features.state import micro_batch
from fraudlake.lake import Lake
from fraudlake.registry import Registry
from fraudlake.stream.history import History
from fraudlake.stream.scorer import StreamScorer
from fraudlake.stream.state import StreamState


class Places:
    """Counts passes, and ends the process group at the armed one."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.counts, self.lock = folder, Counter(), threading.Lock()

    def __call__(self, name: str) -> None:
        with self.lock:
            self.counts[name] += 1
            with (self.folder / "passed").open("a") as passed:
                passed.write(f"{os.getpid()}:{name}\n")
            armed = self.folder / "armed"
            wanted, _, number = (armed.read_text() if armed.exists() else "").partition(":")
            if wanted == name and self.counts[name] >= int(number):
                armed.unlink()
                os.killpg(0, signal.SIGKILL)


def around(owner, name, before=None, after=None):
    """Wrap a function of a class or module: `before(*arguments)`, `after(result, *arguments)`."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapped(*arguments, **named):
        if before:
            before(*arguments)
        result = original(*arguments, **named)
        if after:
            after(result, *arguments)
        return result

    setattr(owner, name, wrapped)


def set_places(passes: Places) -> None:
    """Name the places: before or after which call of the job."""

    def at(name):
        return lambda *_: passes(name)

    def renaming(path, target):
        if Path(target).name == "state.json":
            passes("first state built")
        elif path.parent.name == "manifests":
            passes("before the manifest's rename")

    def renamed(_, path, *__):
        if path.parent.name == "manifests":
            passes("after the manifest")

    def unlinked(_, path, **__):
        if path.suffix == ".run":
            passes("while old runs are removed")

    around(Path, "rename", renaming, renamed)
    around(Path, "unlink", after=unlinked)
    around(StreamState, "plan_batch", at("before the manifest"), swapped(passes))
    around(micro_batch, "relabel", after=at("after labels"))
    around(micro_batch, "merge", lambda _, places, __: merging(passes, places), at("after merging"))
    around(History, "remember", at("after the state"))
    around(Lake, "append_once", after=lambda _, __, table, *___: passes(f"after {table.name}"))
    around(StreamScorer, "process", after=at("before Spark's commit"))
    around(Registry, "files", after=at("while a model is loaded"))


def swapped(passes: Places):
    """Passes where a manifest names another model than the one before it in this process."""
    last = []

    def begun(manifest, *_):
        version = manifest.decision.models[0][0]
        if last and last[-1] != version:
            passes("after the manifest of a new model")
        last.append(version)

    return begun


def merging(passes: Places, places) -> None:
    """Passes as soon as one of the new run's files stands."""

    def watch():
        while not any(next(Path(p.folder).glob(f"*/{p.new}.run"), None) for p in places.values()):
            time.sleep(0.001)
        passes("in the middle of merging")

    threading.Thread(target=watch, daemon=True).start()


def plain_append(lake, table, rows, *_) -> bool:
    chosen = rows.select(*lake.read(table).columns)
    chosen.write.format("delta").mode("append").save(lake.path(table))
    return True


def main() -> None:
    settings, words = json.loads(sys.argv[1]), sys.argv[2:]
    folder = Path(settings["folder"])
    if settings["control"]:
        Lake.append_once = plain_append
        # Nor does it look for what stands there.
        StreamState.nothing_written_since = lambda *_: True
    set_places(Places(folder))
    properties = session.local_properties
    session.local_properties = lambda: properties() | settings["properties"]
    around(
        session, "open_spark",
        after=lambda spark, *_: (folder / "application").write_text(
            spark.sparkContext.applicationId
        ),
    )  # fmt: skip
    cli.main(["stream", *words])


if __name__ == "__main__":
    main()
