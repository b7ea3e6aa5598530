"""Which part of the library may import which.

Every import counts: those inside functions and those for types alone too.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import pytest
from tests.conftest import ROOT

# From top to bottom. An import goes to a lower floor: those on one floor do not know one another.
FLOORS = """
jobs
cli
job
training serve
profile reports stream
registry scoring service names
ingest features models simulate
datasets
verdicts
feeds
columns
reserved writing
lake launch
session
atomic config currencies instants layout options patterns resources words
errors
"""

# What no floor forbids: (who, what, who may all the same).
FORBIDDEN = [
    ("fraudlake", "jobs", ()),
    ("fraudlake", "fraudlake.job", ("fraudlake.cli",)),
    ("fraudlake", "mlflow", ("fraudlake.registry",)),
    ("jobs", "mlflow", ()),
    ("fraudlake", "horovod", ("fraudlake.launch",)),
    ("jobs", "horovod", ()),
]

FLOOR = {room: n for n, line in enumerate(reversed(FLOORS.split("\n"))) for room in line.split()}


@dataclass(frozen=True)
class Import:
    source: str
    target: str
    place: str

    def __str__(self) -> str:
        return f"{self.place}: {self.source} imports {self.target}"


def modules() -> dict[str, str]:
    """Dotted name → path, of the library and the jobs."""
    found = {}
    for folder, pattern in (("lib", "fraudlake/**/*.py"), (".", "jobs/*.py")):
        for path in (ROOT / folder).glob(pattern):
            name = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = str(path.relative_to(ROOT))
    return found


def imports() -> list[Import]:
    """Every import of a module of ours or of another package, wherever it stands."""
    paths, found = modules(), []
    for source, path in paths.items():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            match node:
                case ast.Import(names):
                    targets = [alias.name for alias in names]
                case ast.ImportFrom(level=0, module=str(module), names=names):
                    targets = [f"{module}.{alias.name}" for alias in names]
                case ast.ImportFrom():
                    raise AssertionError(f"{path}:{node.lineno}: expected the full name, not dots")
                case _:
                    continue
            for target in targets:
                name = target  # of a module, or of something in it
                while name not in paths and "." in name:
                    name = name.rpartition(".")[0]
                found.append(
                    Import(source, name if name in paths else target, f"{path}:{node.lineno}")
                )
    return found


def inside(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def room(name: str) -> str:
    return name.split(".")[1] if name.startswith("fraudlake.") else name.split(".", maxsplit=1)[0]


def upward(found: list[Import]) -> list[str]:
    said = []
    for one in found:
        rooms = room(one.source), room(one.target)
        if "fraudlake" in rooms or rooms[0] == rooms[1] or rooms[1] not in FLOOR:
            continue
        if FLOOR[rooms[1]] >= FLOOR[rooms[0]]:
            said.append(f"{one}, but {rooms[1]} is on no lower floor than {rooms[0]} (FLOORS)")
    return said


def forbidden(found: list[Import]) -> list[str]:
    return [
        f"{one}, but of {who} only {' and '.join(but) or 'nobody'} may import {what} (FORBIDDEN)"
        for who, what, but in FORBIDDEN
        for one in found
        if inside(one.source, who)
        and inside(one.target, what)
        and not any(inside(one.source, name) for name in but)
    ]


def circles(found: list[Import]) -> list[str]:
    """Circles among the modules and rooms of each package."""
    steps: dict[str, dict[str, dict[str, Import]]] = defaultdict(lambda: defaultdict(dict))
    for one in found:
        ours, theirs = one.source.split("."), one.target.split(".")
        same = 0
        while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
            same += 1
        if 0 < same < min(len(ours), len(theirs)):
            steps[".".join(ours[:same])][ours[same]].setdefault(theirs[same], one)
    said = []
    for package, graph in steps.items():
        if circle := _circle(graph):
            chain = "; ".join(str(graph[a][b]) for a, b in pairwise(circle))
            said.append(f"{package} has the circle {' → '.join(circle)}: {chain}")
    return said


def _circle(graph: dict[str, dict[str, Import]]) -> list[str] | None:
    done: set[str] = set()

    def walk(name: str, way: list[str]) -> list[str] | None:
        if name in way:
            return [*way[way.index(name) :], name]
        if name in done:
            return None
        done.add(name)
        ways = (walk(step, [*way, name]) for step in graph.get(name, ()))
        return next((found for found in ways if found), None)

    return next((found for name in sorted(graph) if (found := walk(name, []))), None)


def test_every_room_has_its_floor():
    rooms = {room(name) for name in modules()} - {"fraudlake"}
    assert rooms == set(FLOOR), "rooms of the library and those in FLOORS are not the same"


@pytest.mark.parametrize("rule", [upward, forbidden, circles])
def test_imports_keep_to(rule):
    assert not (said := rule(imports())), "\n".join(said)


@pytest.mark.parametrize(
    ("rule", "source", "target"),
    [
        (upward, "fraudlake.lake.lake", "fraudlake.ingest.files"),
        (upward, "fraudlake.features.oracle", "fraudlake.models.scorer"),
        (upward, "fraudlake.service.admission", "fraudlake.scoring.batch"),
        (upward, "fraudlake.datasets", "fraudlake.job"),
        (forbidden, "fraudlake.training.train", "fraudlake.job"),
        (forbidden, "fraudlake.service.model_cache", "mlflow.entities"),
        (forbidden, "jobs.train", "horovod.spark"),
        (circles, "fraudlake.lake.tables", "fraudlake.lake.lake"),
        (circles, "fraudlake.stream.history", "fraudlake.stream.scorer"),
    ],
)
def test_a_wrong_import_is_named(rule, source, target):
    (said,) = rule([*imports(), Import(source, target, "here.py:7")])
    assert f"here.py:7: {source} imports {target}" in said
