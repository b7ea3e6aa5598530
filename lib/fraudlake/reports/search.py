"""The trials of a search on the terminal, the best first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SHOWN = 10


def show(result: Mapping[str, Any]) -> None:
    """Print the best trials of `training.search.search` to standard output."""
    from rich.console import Console
    from rich.table import Table as Grid

    done = [one for one in result["tried"] if not one["pruned"]]
    best = sorted(done, key=lambda one: -one["mean"])[:_SHOWN]
    title = f"The best of {result['trials']} trials ({result['pruned']} given up before the end)"
    grid = Grid("trial", "average precision", title=title, title_justify="left")
    names = list(best[0]["drawn"])
    for name in names:
        grid.add_column(name.removeprefix("parameters."), justify="right")
    for one in best:
        drawn = (_value(one["drawn"][name]) for name in names)
        grid.add_row(str(one["number"]), f"{one['mean']:.4f}", *drawn)
    Console(width=150, highlight=False).print(grid)


def _value(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
