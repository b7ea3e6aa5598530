"""Writes docs/reference.md from the code: operations, names, jobs, metrics (`make docs`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from fraudlake import job, reserved, resources
from fraudlake.features.feature import Input
from fraudlake.features.operations import OPERATIONS
from fraudlake.serve.http import ScoreServer
from fraudlake.service.metrics import Service

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference.md"
TEXT = """\
# Reference

Made from the code by `make docs`; a test holds it against the code.

## Operations

Over the events of an entity in a window, as `conf/features/NAME.yaml` says them. Batch, stream and
`serve` give the same bits: batch by the kernel over all events of a key in order; stream and
`serve` from where the window ends in the state's sorted runs, from prefix sums that these keep, or
by the same kernel over the window's events. The oracle, which shares no arithmetic with the
kernels, agrees to the bit, or to 9 digits.

{operations}

## Reserved names

`fraudlake validate`, and every job before it starts, refuses these names, however they are written
(`Label`, `LABEL`), and two names that differ by case alone. Columns and entities are named in
`conf/datasets/NAME.yaml`: a column's `source` is free, so a raw field `label` can be read as the
column `label_code`. A feature that is a column, as is, has the column's name. Names of columns are
ASCII letters, digits and `_`, a letter first: what begins with `_` is the library's own.

{names}

## Jobs

`fraudlake JOB --help` says all of it, with every key.

{jobs}

## Metrics

What to look at is said in [operating](operating.md).

`stream`, at the port of `metrics=`:

{stream}

`serve`, at its own port:

{serve}
"""

TAKES = {
    Input.TIME: "",
    Input.NUMBER: "NUMBER",
    Input.VALUE: "COLUMN",
    Input.PLACE: "[LATITUDE, LONGITUDE]",
    Input.LABELS: "",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows as Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def operations() -> str:
    """What a definition may say, and where it comes from in each plan."""
    rows = []
    for name, operation in sorted(OPERATIONS.items()):
        takes = operation.word or TAKES[operation.input]
        said = f"{name}: {takes}" if takes else name
        said = f"{{{said}, {operation.parameter}: …}}" if operation.parameter else said
        column, other = [*takes.strip("[]").split(", "), ""][:2]
        what = operation.meaning.format(c=column, o=other, n="last but 0, 1, …", h="half-life")
        stream = {None: "kernel", (): "window's ends"}.get(operation.sums, "prefix sums")
        oracle = "bit" if operation.exact else "9 digits"
        rows.append((f"`{said}`", what, "kernel", stream, stream, oracle))
    return table(("operation", "what it is", "batch", "stream", "`serve`", "oracle"), rows)


def names() -> str:
    """What nothing else may be called, and what keeps it."""
    kinds = {"a column": reserved.COLUMNS, "an entity": reserved.ENTITIES}
    kinds["a feature"] = reserved.FEATURE_NAMES
    rows = []
    for kind, kept in kinds.items():
        keepers: dict[str, list[str]] = {}
        for name, keeper in kept.names.items():
            keepers.setdefault(keeper, []).append(f"`{name}`")
        rows += [(kind, ", ".join(names), keeper) for keeper, names in keepers.items()]
    return table(("not for", "names", "kept by"), rows)


def jobs() -> str:
    """What each job does, reads and writes, from the first words of its file."""
    rows = []
    for name in resources.jobs():
        text = " ".join(job.load(name)["__doc__"].split())
        reads = re.search(r"Reads: (.*?)[.;] (?:Writes:|with)", text)
        writes = re.search(r"Writes: (.*?)\.(?: |$)", text)
        if not reads or not writes:
            raise SystemExit(f"jobs/{name}.py: expected `Reads: ….` and `Writes: ….` at the top")
        rows.append((f"`{name}`", text.split(". ")[0], reads[1], writes[1]))
    return table(("job", "what it does", "reads", "writes"), rows)


def metrics(collectors: CollectorRegistry) -> str:
    """What a service tells Prometheus."""
    rows = []
    for metric in sorted(collectors.collect(), key=lambda metric: metric.name):
        if metric.name.startswith("fraudlake_"):
            name = metric.name + ("_total" if metric.type == "counter" else "")
            labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
            rows.append((f"`{name}`", metric.type, ", ".join(sorted(labels)), metric.documentation))
    return table(("metric", "type", "labels", "meaning"), rows)


def text() -> str:
    """The page."""
    watch: Any = SimpleNamespace(alias="champion", current=lambda: None, refused=0, reachable=True)
    known: Any = SimpleNamespace(batch=0, newest=0)
    stream = Service(600, (watch,))
    source = {"endOffset": None, "latestOffset": '{"topic": {"0": 0}}'}
    stream.progress({"inputRowsPerSecond": 0, "processedRowsPerSecond": 0, "sources": [source]})
    serve = ScoreServer(lambda _: None, lambda _: [], 1, lambda: known, watch)
    return TEXT.format(
        operations=operations(),
        names=names(),
        jobs=jobs(),
        stream=metrics(stream.collectors),
        serve=metrics(serve.collectors),
    )


if __name__ == "__main__":
    PAGE.write_text(text())
