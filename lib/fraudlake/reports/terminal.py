"""Pages on the terminal: a lake with its models and flags, and the features under review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudlake.features.definition.feature_set import feature_set_of
from fraudlake.features.definition.sentence import sentence
from fraudlake.lake import Lake
from fraudlake.lake.tables import FLAGGED, TABLES
from fraudlake.registry import tracking_uri

if TYPE_CHECKING:
    from pyspark.sql import Row
    from rich.table import Table as Grid

    from fraudlake.reports.feature_review import FeatureSummary

_MEASURES = {
    "auc": "AUC ROC",
    "average_precision": "average precision",
    "card_precision_at_100": "card precision@100",
    "tp": "frauds flagged",
    "fp": "false alarms",
    "fn": "frauds missed",
}
_REASONS_SHOWN = 3


def show(
    lake: Lake,
    models: Sequence[Mapping[str, Any]],
    stream: Mapping[str, Any],
    parity: Mapping[str, Any],
) -> None:
    """Print the page to standard output.

    Parameters
    ----------
    models
        Results of the job `train`.
    stream, parity
        Results of the jobs `stream` and `parity`.
    """
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(width=130, highlight=False)
    console.rule("fraudlake")
    tables = Grid("table", "rows", title="Tables", title_justify="left")
    for table in TABLES.values():
        if lake.exists(table):
            tables.add_row(table.name, f"{lake.read(table).count():,}")
    console.print(tables)

    champion = models[-1]["champion"]
    grid = Grid("test week", title="Models on the same test week", title_justify="left")
    for model in models:
        crown = " (champion)" if model["model_version"] == champion else ""
        grid.add_column(f"{model['contender']} v{model['model_version']}{crown}", justify="right")
    for key, label in _MEASURES.items():
        if key in models[0]:
            grid.add_row(label, *(_figure(model[key]) for model in models))
    console.print(grid)

    console.print(_flags(lake, models[-1]["definition"]))
    console.print(
        f"Streamed week: {stream['scored']:,} transactions scored in {stream['batches']} "
        f"micro-batches, {stream['flagged']:,} flagged, {stream['quarantine']:,} in quarantine, "
        f"{stream['duplicates']:,} duplicates.\nEqual to a batch recomputation, bit for bit: "
        f"{parity['equal']:,} of {parity['rows']:,} scores, {parity['flags_equal']:,} of "
        f"{parity['flags']:,} flags.",
        style="bold",
    )
    console.print(
        f"\nLake:   {lake.root}\nMLflow: mlflow ui --backend-store-uri {tracking_uri(lake.root)}"
    )
    console.rule()


def show_review(summaries: Sequence[FeatureSummary], costs: Mapping[str, str]) -> None:
    """Print one line for each feature to standard output; `costs`: feature → what it costs."""
    from rich.console import Console
    from rich.table import Table as Grid

    grid = Grid("feature", title="Features, strongest alone first", title_justify="left")
    for name in ("AUC alone", "coverage", "drift (PSI)"):
        grid.add_column(name, justify="right")
    grid.add_column("most like")
    grid.add_column("costs")
    grid.add_column("drop, because")
    for summary in summaries:
        like = f"{summary.alike} ({summary.correlation:.2f})" if summary.alike else ""
        drift = f"{summary.drift:.3f} {summary.month}"
        strength, coverage = f"{summary.auc:.3f}", f"{summary.coverage:.1%}"
        grid.add_row(
            summary.name, strength, coverage, drift, like, costs[summary.name], summary.drop
        )
    Console(width=150, highlight=False).print(grid)


def _flags(lake: Lake, definition: str, most: int = 10) -> Grid:
    from pyspark.sql import functions as F
    from rich.table import Table as Grid

    known = feature_set_of(definition)
    features = {feature.name: feature for feature in known.features} if known else {}

    def words(reason: Row) -> str:
        name, value = reason.feature, reason.value
        # A category's value is a number of the model's here.
        if name in features and features[name].kind != "category":
            return f"{sentence(features[name], value)} ({reason.contribution:+.2f})"
        return f"{name} = {value:,.2f} ({reason.contribution:+.2f})"

    grid = Grid("transaction", "time", "amount", "score", "reasons (log-odds)",
                title=f"The last {most} flagged transactions", title_justify="left")  # fmt: skip
    newest = lake.read(FLAGGED).orderBy(F.desc("event_time"), "tx_id").limit(most)
    shown = newest.withColumn("time", F.date_format("event_time", "MM-dd HH:mm:ss"))
    for row in shown.collect():
        reasons = "\n".join(words(reason) for reason in row.reasons[:_REASONS_SHOWN])
        name = row.tx_ref if "tx_ref" in row else row.tx_id
        grid.add_row(str(name), row.time, f"{row.amount:,}", f"{row.score:.3f}", reasons)
    return grid


def _figure(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"
