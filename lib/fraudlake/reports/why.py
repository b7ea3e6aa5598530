"""Why a transaction has its score, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_SHOWN = 8
_BAR = 12  # signs of the longest bar
_HIDDEN = ("ingested_at", "source_file")


def show(told: Mapping[str, Any]) -> None:
    """Print what `scoring.why.explain` found to standard output.

    The longest reasons first, for and against, each with a bar as long as its log-odds.
    """
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(width=130, highlight=False)
    details = ", ".join(
        f"{name} {_cell(value)}"
        for name, value in told["transaction"].items()
        if name not in _HIDDEN and value is not None
    )
    console.print(details, markup=False)
    console.print(_score(told), style="bold")
    longest = max((abs(reason["contribution"]) for reason in told["reasons"]), default=1.0)
    reasons = {
        "Speaks for fraud": [r for r in told["reasons"] if r["contribution"] > 0],
        "Speaks against": [r for r in told["reasons"] if r["contribution"] < 0][::-1],
    }
    for title, lines in reasons.items():
        grid = Grid("log-odds", "", "reason", title=title, title_justify="left", min_width=80)
        for reason in lines[:_SHOWN]:
            size = reason["contribution"]
            bar = "█" * max(1, round(_BAR * abs(size) / longest))
            grid.add_row(f"{size:+.2f}", bar, reason["sentence"])
        if rest := lines[_SHOWN:]:
            total = sum(reason["contribution"] for reason in rest)
            grid.add_row(f"{total:+.2f}", "", f"{len(rest)} more")
        console.print(grid)
    verdict = told["verdict"]
    console.print(verdict[:1].upper() + verdict[1:] + ".", style="bold", markup=False)


def _score(told: Mapping[str, Any]) -> str:
    comparison = "≥" if told["flag"] else "<"
    text = f"score {told['score']:.4f} {comparison} threshold {told['threshold']:.4f}"
    text += f", model version {told['model_version']}"
    if told["rank"]:
        text += f"; {told['rank']:,} of the day's {told['rank_of']:,}, highest first"
    if label := told["label"]:
        word = "fraud" if label["is_fraud"] else "genuine"
        text += f"; {word} by {label['source']}, known {_cell(label['known_at'])}"
    if flag := told["flagged"]:
        text += f"; flagged {_cell(flag['flagged_at'])} by version {flag['model_version']} with "
        text += f"{flag['score']:.4f}"
    return text


def _cell(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)
