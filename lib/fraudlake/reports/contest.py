"""The contest on the terminal: contenders side by side, and which one won, why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_SHOWN = {
    "auc": "AUC ROC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision@100",
    "brier": "Brier",
}


def show(result: Mapping[str, Any]) -> None:
    """Print the result of `contest.compete` to standard output: mean ± deviation over the folds."""
    from rich.console import Console
    from rich.table import Table as Grid

    first, last = result["folds"][0][0], result["folds"][-1][1]
    title = f"{len(result['folds'])} folds, tests from {first} to {last}, the simplest first"
    grid = Grid("contender", title=title, title_justify="left")
    contenders = result["contenders"]
    shown = [name for name in _SHOWN if all(name in one for one in contenders)]
    for name in shown:
        grid.add_column(_SHOWN[name], justify="right")
    grid.add_column("seconds a training", justify="right")
    grid.add_column("")
    for one in contenders:
        digits = {name: 5 if name == "brier" else 3 for name in shown}
        figures = [
            f"{one[name]:.{digits[name]}f} ± {one[f'{name}_std']:.{digits[name]}f}"
            for name in shown
        ]
        told = {result["best"]: "best", result["winner"]: "winner"}.get(one["contender"], "")
        name = PurePath(one["contender"]).stem
        grid.add_row(name, *figures, f"{one['seconds']:,.0f}", told)
    console = Console(width=130, highlight=False)
    console.print(grid)
    console.print(result["choice"], style="bold")
