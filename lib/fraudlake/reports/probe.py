"""Which decisions hang on which feature, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_SHOWN = 25


def show(found: Sequence[Mapping[str, Any]]) -> None:
    """Print what `scoring.probe.probe` found: a line a feature, and with groups a line for each.

    Of a group, the share of its flags that go, so that groups of all sizes are side by side.
    """
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid("feature", title="Decisions that move when a feature is shuffled")
    for name in ("group", "transactions", "flags", "flags that go", "that come", "frauds lost"):
        grid.add_column(name, justify="left" if name == "group" else "right")
    names = list(dict.fromkeys(one["feature"] for one in found))[:_SHOWN]
    last = ""
    for one in found:
        if one["feature"] not in names:
            continue
        flags = one["flags"]
        grid.add_row(
            one["feature"] if one["feature"] != last else "",
            one["group"],
            f"{one['rows']:,}",
            f"{flags:,}",
            f"{one['lost']:,} ({one['lost'] / flags:.0%})" if flags else "0",
            f"{one['gained']:,}",
            f"{one['frauds_lost']:,} of {one['frauds']:,}",
        )
        last = one["feature"]
    Console(width=130, highlight=False).print(grid)
