"""The profile as one HTML page that needs nothing else: pictures, questions, fields, the YAML."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from fraudlake.profile.numbers import found as as_numbers
from fraudlake.profile.propose import said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fraudlake.profile.counts import Field, Taken
    from fraudlake.profile.propose import Proposal

_STYLE = """
body {font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em}
table {border-collapse: collapse; font-size: 13px; width: 100%}
th, td {border-bottom: 1px solid #ddd; padding: 4px 8px; text-align: left}
td {vertical-align: top}
td.n {text-align: right; white-space: nowrap}
pre {background: #f6f6f6; overflow: auto; padding: 1em}
img {max-width: 100%} .bad {color: #b00020} .good {color: #1b6e2e} .role {font-weight: 600}
"""
_MOST_REASONS = 20
_MOST_DRAWN = 12
_MOST_VALUES = 4000
_MOST_BARS = 60


def html(path: str, fields: Sequence[Field], proposal: Proposal, taken: Taken, yaml: str) -> str:
    """The page as text; whatever comes from the files is escaped, card numbers are masked."""
    parts = [f"<h1>{escape(said(path))}</h1>", _outcome(taken)]
    if proposal.questions:
        asked = "".join(f"<li>{escape(said(q))}</li>" for q in dict.fromkeys(proposal.questions))
        parts.append(f"<h2>Questions</h2><ol>{asked}</ol>")
    drawn = (
        ("By day", _by_day(taken)),
        ("Missing values", _missing(fields)),
        ("Distributions of numbers, in the sample", _distributions(fields, proposal)),
    )
    parts += [f"<h2>{title}</h2>{_image(figure, title)}" for title, figure in drawn if figure]
    parts += [f"<h2>Fields</h2>{_table(fields, proposal)}"]
    if proposal.doubles:
        rows = "".join(
            f"<tr><td>{escape(said(names))}</td><td class=n>{more:,}</td></tr>"
            for names, more in proposal.doubles.items()
        )
        head = "<tr><th>tried as an id</th><th>records beyond the first with the same</th></tr>"
        parts.append(f"<h2>Ids</h2><table>{head}{rows}</table>")
    parts.append(f"<h2>The data set</h2><pre>{escape(yaml)}</pre>")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Profile</title>'
        f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _outcome(taken: Taken) -> str:
    if taken.error:
        return (
            f'<p class="bad">The proposed data set cannot be tried: {escape(said(taken.error))}</p>'
        )
    kind = "bad" if taken.quarantined else "good"
    words = (
        f"Of {taken.records:,} records the proposed data set takes {taken.taken:,}; "
        f"{taken.quarantined:,} would go to quarantine, {taken.passed_over:,} be passed over."
    )
    parts = [f'<p class="{kind}">{words}</p>']
    if taken.reasons:
        rows = "".join(
            f"<tr><td>{escape(said(reason))}</td><td class=n>{times:,}</td></tr>"
            for reason, times in taken.reasons[:_MOST_REASONS]
        )
        parts.append(f"<table><tr><th>reason</th><th>records</th></tr>{rows}</table>")
    if taken.days:
        first, last = taken.days[0][0], taken.days[-1][0]
        known = {day for day, *_ in taken.days}
        span = (last - first).days + 1
        gaps = [n for n in range(span) if first + timedelta(days=n) not in known]
        none = f", {len(gaps):,} days without any" if gaps else ", some on each day"
        labelled = sum(row[2] for row in taken.days)
        rate = f"; {sum(row[3] for row in taken.days) / labelled:.2%} frauds" if labelled else ""
        parts.append(f"<p>From {first} to {last}{none}{rate}.</p>")
    return "".join(parts)


def _table(fields: Sequence[Field], proposal: Proposal) -> str:
    roles = proposal.roles()
    names = ("field", "is", "values", "missing", "different", "from", "to", "most frequent")
    lines = ["<tr>" + "".join(f"<th>{name}</th>" for name in names) + "</tr>"]
    for field in fields:
        numeric = field.number == field.present and field.lowest is not None and not field.cards
        ends = (f"{field.lowest:g}", f"{field.highest:g}") if numeric else (field.least, field.most)
        top = ", ".join(f"{text} ({times:,})" for text, times in field.top[:5])
        words = f" ({', '.join(field.words)})" if field.words else ""
        cells = [
            f"<td>{escape(said(field.name)) or '(no name)'}</td>",
            f'<td class="role">{escape(roles.get(field.name, ""))}</td>',
            f"<td>{escape(proposal.forms.get(field.name, 'none'))}</td>",
            f"<td class=n>{field.nulls:.1%}{escape(words)}</td>",
            f"<td class=n>{field.distinct:,}</td>",
            *(f"<td>{escape(text)}</td>" for text in (*ends, top)),
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table>{''.join(lines)}</table>"


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _image(figure: Figure, title: str) -> str:
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=90)
    data = base64.b64encode(held.getvalue()).decode("ascii")
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'


def _by_day(taken: Taken) -> Figure | None:
    """Transactions a day, and the share of frauds among those with a label."""
    if not taken.days:
        return None
    labelled = any(row[2] for row in taken.days)
    figure = _figure(12, 5 if labelled else 3)
    axes: Any = figure.subplots(1 + labelled, 1, sharex=True, squeeze=False)[:, 0]
    days = [row[0] for row in taken.days]
    axes[0].bar(days, [row[1] for row in taken.days], width=1)
    axes[0].set(ylabel="transactions a day")
    if labelled:
        rates = [row[3] / row[2] if row[2] else float("nan") for row in taken.days]
        axes[1].plot(days, rates, marker=".", color="#b00020")
        axes[1].set(ylabel="share of frauds", ylim=(0, None))
    return figure


def _missing(fields: Sequence[Field]) -> Figure | None:
    shown = sorted((f for f in fields if f.nulls), key=lambda f: -f.nulls)[:_MOST_BARS]
    if not shown:
        return None
    figure = _figure(9, 1 + 0.25 * len(shown))
    axes = figure.subplots()
    names = [_plain(field.name) for field in shown]
    axes.barh(names, [field.nulls for field in shown])
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="share of records without a value")
    return figure


def _distributions(fields: Sequence[Field], proposal: Proposal) -> Figure | None:
    """Histograms of numbers that are quantities; the amount first."""
    roles = proposal.roles()
    kinds = ("numbers", "whole numbers")
    fit = [f for f in fields if proposal.forms.get(f.name, "").startswith(kinds) and not f.cards]
    told_apart = {"tx_id", None, *proposal.entities.values()}
    fit = [f for f in fit if roles.get(f.name) not in told_apart and f.distinct > 2]
    fit.sort(key=lambda f: "amount" not in roles[f.name])
    drawn = []
    for field in fit[:_MOST_DRAWN]:
        form = as_numbers(field.texts)
        read = (form.value(text) for text in field.texts[:_MOST_VALUES]) if form else ()
        drawn.append((field.name, [value for value in read if value is not None]))
    if not drawn:
        return None
    rows = -(-len(drawn) // 4)
    figure = _figure(12, 2.4 * rows)
    axes: Any = figure.subplots(rows, 4, squeeze=False).ravel()
    for place, (name, values) in zip(axes, drawn, strict=False):
        place.hist(values, bins=40, log=True)
        place.set_ylim(bottom=0.7)
        place.set_title(_plain(name), fontsize=9)
    for place in axes[len(drawn) :]:
        place.set_visible(False)
    return figure


def _plain(name: str) -> str:
    """A name as matplotlib shows it: `$` begins a formula."""
    return said(name).replace("$", r"\$") or "(no name)"
