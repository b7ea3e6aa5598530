"""Model versions on the terminal: a list of them, or some held against each other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from fraudlake.instants import format_instant, parse_instant

_LISTED = {
    "auc": "AUC ROC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision@100",
    "expected_calibration_error": "ECE",
}
_TEST = ("test_from", "test_to", "features_id", "labels_id")
_CHANGES_SHOWN = 10
_TEXT = ("comparison", "golden", "fingerprint", "sha256", "run_id", "metrics", "parameters")


def show(versions: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]) -> None:
    """Print all versions, and the last changes of aliases, to standard output.

    Parameters
    ----------
    versions
        As `Registry.describe` gives them.
    changes
        As `Registry.changes` gives them, as dictionaries.
    """
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(width=150, highlight=False)
    grid = Grid("version", "contender", "alias", title="Models", title_justify="left")
    for name in ("trained on", "tested on", "made"):
        grid.add_column(name, no_wrap=True)
    for label in ("seconds", *_LISTED.values()):
        grid.add_column(label, justify="right")
    for one in versions:
        figures = [_figure(one["metrics"].get(key)) for key in _LISTED]
        days = [_days(one, "train"), _days(one, "test"), one["created_at"][:10]]
        aliases = ", ".join(one["aliases"])
        seconds = _figure(round(one["metrics"].get("seconds", math.nan), 0))
        name = PurePath(one["contender"]).stem  # where a file was given, its path
        grid.add_row(str(one["version"]), name, aliases, *days, seconds, *figures)
    console.print(grid)
    if not changes:
        return
    log = Grid(title=f"Last changes (of {len(changes)})", title_justify="left")
    for name in ("when", "alias", "version", "before", "by", "why"):
        log.add_column(name)
    for change in changes[: -_CHANGES_SHOWN - 1 : -1]:
        before = str(change["before"] or "")
        why = "rolled back. " * change["rollback"] + change["why"]
        cells = (change["at"][:16], change["alias"], str(change["version"]), before, change["by"])
        log.add_row(*cells, why)
    console.print(log)


def show_compared(versions: Sequence[Mapping[str, Any]]) -> None:
    """Print versions side by side: every measure, and of the rest what they do not share."""
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid("", title="Models side by side", title_justify="left")
    for one in versions:
        aliases = f" ({', '.join(one['aliases'])})" if one["aliases"] else ""
        name = PurePath(one["contender"]).stem
        grid.add_column(f"{name} v{one['version']}{aliases}", justify="right")
    for name in dict.fromkeys(name for one in versions for name in one["metrics"]):
        grid.add_row(name, *(_figure(one["metrics"].get(name)) for one in versions))
    grid.add_section()
    told = [
        {k: v for k, v in one.items() if k not in _TEXT} | one["parameters"] for one in versions
    ]
    for name in dict.fromkeys(name for one in told for name in one):
        values = [str(one.get(name, "")) for one in told]
        if len(set(values)) > 1 and name not in ("version", "aliases", "contender"):
            grid.add_row(name, *values)
    console = Console(width=150, highlight=False)
    console.print(grid)
    for remark in remarks(versions):
        console.print(remark, style="bold")


def remarks(versions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What keeps the versions' figures from being held against each other, in words.

    >>> remarks([{"version": n, "test_from": f"2026-0{n}-01"} for n in (1, 2)])
    ['versions 1, 2 were not measured on the same rows: their figures say nothing of each other']
    """
    if len({tuple(one.get(name) for name in _TEST) for one in versions}) < 2:
        return []
    numbers = "versions " + ", ".join(str(one["version"]) for one in versions)
    return [
        f"{numbers} were not measured on the same rows: their figures say nothing of each other"
    ]


def _days(one: Mapping[str, Any], of: str) -> str:
    ends = [one.get(f"{of}_{end}") for end in ("from", "to")]
    return " … ".join(format_instant(parse_instant(end)) if end else "?" for end in ends)


def _figure(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if value == int(value) else f"{value:.4f}"
