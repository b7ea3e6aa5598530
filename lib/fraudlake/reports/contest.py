"""The contest on the terminal: contenders side by side, and which one won, why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

_SHOWN = {
    "auc": "AUC ROC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision@100",
    "recall": "recall",
    "saved_amount": "saved",
    "expected_calibration_error": "ECE",
    "brier": "Brier",
}
_DIGITS = {"brier": 5, "expected_calibration_error": 4, "saved_amount": 0}


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
        header = _SHOWN[name].replace(" ", "\n", 1)
        grid.add_column(header, justify="right", no_wrap=True)
    grid.add_column("seconds", justify="right", no_wrap=True)
    grid.add_column("")
    for one in contenders:
        figures = [_figure(one, name) for name in shown]
        told = {result["best"]: "best", result["winner"]: "winner"}.get(one["contender"], "")
        name = PurePath(one["contender"]).stem
        grid.add_row(name, *figures, f"{one['seconds']:,.0f}", told)
    best = [
        f"{_SHOWN[name]} {one[f'{name}_possible']:,.{_DIGITS.get(name, 3)}f}"
        for one in contenders[:1]
        for name in shown
        if f"{name}_possible" in one
    ]
    console = Console(width=160, highlight=False)
    console.print(grid)
    if best:
        console.print(f"A perfect scorer within the budget: {', '.join(best)}")
    console.print(result["choice"], style="bold")


def _figure(one: Mapping[str, Any], name: str) -> str:
    digits = _DIGITS.get(name, 3)
    return f"{one[name]:,.{digits}f} ± {one[f'{name}_std']:,.{digits}f}"
