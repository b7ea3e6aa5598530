"""Kills the stream over and over while its input grows, each time in another way."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from payments import VERSIONS, World
from service import FILES_PER_BATCH, Service

FIRST = "first state built"
IN_MOST_BATCHES = (
    "before the manifest",
    "before the manifest's rename",
    "after the manifest",
    "after the state",
    "after seen",
    "after scores",
    "after flagged",
    "after quarantine",
    "before Spark's commit",
)
MERGES = ("in the middle of merging", "after merging", "while old runs are removed")
SWAPS = ("after the manifest of a new model", "while a model is loaded")
NEW_LABELS = "after labels"
PLACES = (*IN_MOST_BATCHES, *MERGES, *SWAPS, NEW_LABELS)
AHEAD = 3  # micro-batches of input that wait
REACHED_S = 300  # a place that is not reached by then is given up
SETTLED_S = 60  # by then a service that lost a process has ended, or goes on


class Campaign:
    """Kills, counted by kind and outcome in `kills`; places that were not reached in `missed`."""

    def __init__(self, world: World, service: Service, seed: int) -> None:
        from fraudlake.registry import Registry

        self.world, self.service = world, service
        self.random = np.random.default_rng(seed)
        self.registry = Registry(str(world.lake))
        self.kills: Counter = Counter()
        self.missed: Counter = Counter()
        self.started = time.monotonic()
        self._promote(1, 1)

    def plan(self, kills: int) -> list[str]:
        """Kinds of kills: the first start, then rounds of every kind in an order of their own."""
        often = ["driver"] * 6 + ["python worker"] * 4
        often += ["executor"] * 4 if self.service.clustered else []
        found = [FIRST]
        while len(found) < kills:
            found += [str(kind) for kind in self.random.permutation([*PLACES, *often])]
        return found[:kills]

    def run(self, plan: list[str], seconds: float) -> None:
        """Kill by plan until it is done or the time is over."""
        for kind in plan:
            if time.monotonic() - self.started > seconds:
                return
            if not self.service.runs():
                self.service.start("trigger=1s")
            outcome = self._at_place(kind) if kind in (FIRST, *PLACES) else self._from_outside(kind)
            if outcome:
                self.kills[kind, outcome] += 1
            else:
                self.missed[kind] += 1
            print(
                f"kill {self.kills.total()} of {len(plan)}, {kind}: {outcome or 'not reached'}; "
                f"{self.service.batches()} batches, {time.monotonic() - self.started:.0f} s",
                flush=True,
            )

    def finish(self, seconds: float) -> None:
        """Let the stream take what it was fed."""
        self.service.kill()
        self.service.start()
        if not self._wait(lambda: not self.service.runs(), seconds, feeding=False):
            raise SystemExit(f"the stream did not finish within {seconds:.0f} s")
        if self.service.code() != 0:
            raise SystemExit(f"the stream ended by itself:\n{self.service.last_words()}")

    def _at_place(self, name: str) -> str:
        if name in SWAPS:
            self._wait(self._has_finished_a_batch, REACHED_S)
        more = int(self.random.integers(1, 3)) if name in IN_MOST_BATCHES else 1
        armed = self.world.folder / "armed"
        new = armed.with_suffix(".new")
        new.write_text(f"{name}:{self.service.passed()[name] + more}")
        new.rename(armed)
        if name in SWAPS:
            self._promote(*self.random.integers(1, VERSIONS + 1, 2).tolist())
        if name == NEW_LABELS and not self.world.tell_labels():
            armed.unlink()
            return ""
        reached = self._wait(lambda: not self.service.runs(), REACHED_S)
        if armed.exists():
            armed.unlink()
            if reached:
                self._ended_by_itself()
            return ""
        self.service.kill()
        return "killed at this place"

    def _from_outside(self, kind: str) -> str:
        """SIGKILL from outside, some seconds after the process has a batch in hand."""
        service = self.service
        looks = {"executor": service.executors, "python worker": service.python_workers}
        found = looks.get(kind, service.members)
        self._wait(lambda: service.passed()["before the manifest"] > 0 and found(), REACHED_S)
        self._wait(lambda: not service.runs(), self.random.uniform(0, 8))
        if not service.runs():
            self._ended_by_itself()
        if kind == "driver":
            service.kill()
            return "killed with Java"
        if not (processes := found()):
            return ""
        before = service.batches()
        processes[self.random.integers(len(processes))].kill()
        self._wait(lambda: not service.runs() or service.batches() > before + 1, SETTLED_S)
        if service.runs():
            return "the service went on"
        code = service.code()
        service.kill()
        return f"the service ended with {code}"

    def _wait(self, until: Callable[[], bool], seconds: float, *, feeding: bool = True) -> bool:
        """Feed the stream until something holds; False where it does not in time."""
        deadline = time.monotonic() + seconds
        while not until():
            if time.monotonic() > deadline:
                return False
            wanted = FILES_PER_BATCH * (self.service.batches() + AHEAD)
            if feeding and self.world.files < wanted and not self.world.feed():
                raise SystemExit("the input is used up")
            time.sleep(0.05)
        return True

    def _has_finished_a_batch(self) -> bool:
        return self.service.passed()["before Spark's commit"] > 0 or not self.service.runs()

    def _promote(self, champion: int, challenger: int) -> None:
        """Another champion than now; the challenger scores where it is another version."""
        if champion == self.registry.champion():
            champion = champion % VERSIONS + 1
        self.registry.promote(champion)
        self.registry.promote(challenger, "challenger")

    def _ended_by_itself(self) -> None:
        raise SystemExit(f"the stream ended by itself:\n{self.service.last_words()}")
