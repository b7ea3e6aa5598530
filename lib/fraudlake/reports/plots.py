"""Plots of a trained model and of features under review: of sums that Spark has made, no rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fraudlake.reports.feature_review import DRIFTED, drift_by_month, rank_correlations

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fraudlake.reports.feature_review import Counts, FeatureSummary


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    # Not pyplot: it keeps every figure for the life of the process.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot(title=title, xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    return figure, axes


def precision_recall(curve: Mapping[str, Sequence[float]], average_precision: float) -> Figure:
    """Precision over recall, from `measures.ranking`."""
    figure, axes = _axes(
        f"Precision and recall, average precision {average_precision:.3f}", "recall", "precision"
    )
    axes.step(curve["recall"], curve["precision"], where="pre")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    return figure


def calibration(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Share of frauds over mean score, from `measures.bins`; bins without a fraud have no point."""
    figure, axes = _axes("Calibration", "mean score", "share of frauds")
    shown = [b for b in bins if b["frauds"]]
    axes.plot([1e-4, 1], [1e-4, 1], color="grey", linestyle=":")
    axes.plot([b["score"] for b in shown], [b["frauds"] / b["rows"] for b in shown], marker="o")
    axes.set(xscale="log", yscale="log")
    return figure


def histogram(bins: Sequence[Mapping[str, Any]]) -> Figure:
    """Rows by score, frauds and the rest apart, from `measures.bins`."""
    figure, axes = _axes("Scores", "mean score", "transactions")
    scores = [b["score"] for b in bins]
    axes.step(scores, [b["rows"] - b["frauds"] for b in bins], where="mid", label="not fraud")
    axes.step(scores, [b["frauds"] for b in bins], where="mid", label="fraud")
    axes.set(xscale="log", yscale="symlog")
    axes.legend()
    return figure


def moved(found: Sequence[Mapping[str, Any]]) -> Figure:
    """Flags that go and come when a feature is shuffled, from `scoring.probe`; largest on top."""
    every = [one for one in found if one["group"] == "(all)"][::-1]
    figure, axes = _axes("Flags that go and come when a feature is shuffled", "flags", "")
    figure.set_size_inches(8, max(4.5, 0.25 * len(every)))
    names = [one["feature"] for one in every]
    axes.barh(names, [-one["lost"] for one in every], label="flags that go")
    axes.barh(names, [one["gained"] for one in every], label="flags that come")
    axes.set_xscale("symlog")  # what a shuffled feature flags may be a hundred times the budget
    axes.legend()
    return figure


def contributions(mean_size: Mapping[str, float]) -> Figure:
    """Mean size of each feature's contribution in log-odds, largest on top."""
    figure, axes = _axes(
        "Contributions on the highest test scores", "mean |contribution|, log-odds", ""
    )
    ordered = sorted(mean_size.items(), key=lambda item: item[1])
    axes.barh([name for name, _ in ordered], [size for _, size in ordered])
    return figure


def features_under_review(counts: Counts, summaries: Sequence[FeatureSummary]) -> Figure:
    """Strength, drift by month and likeness of all features, strongest on top."""
    import numpy as np
    from matplotlib.figure import Figure

    order = [counts.features.index(s.name) for s in summaries]
    names = [f"{s.name}{' (drop)' if s.drop else ''}" for s in summaries]
    height = 1.5 + 0.25 * len(names)
    figure = Figure(figsize=(16, height), layout="constrained")
    strength, drift, alike = figure.subplots(1, 3, width_ratios=(3, 3, 4))
    strength.barh(names, [s.auc - 0.5 for s in summaries], left=0.5)
    strength.invert_yaxis()
    strength.set(title="AUC alone", xlim=(0, 1))
    strength.axvline(0.5, color="grey")
    shown = drift_by_month(counts.rows)[:, order].T
    image = drift.imshow(shown, aspect="auto", vmin=0, vmax=DRIFTED, cmap="Reds")
    drift.set(title="drift against the first month (PSI)", yticks=[])
    drift.set_xticks(range(len(counts.months)), counts.months, rotation=90)
    figure.colorbar(image, ax=drift)
    related = rank_correlations(counts.rows.sum(axis=0), counts.products)[np.ix_(order, order)]
    image = alike.imshow(related, aspect="auto", vmin=-1, vmax=1, cmap="RdBu")
    alike.set(title="rank correlation", yticks=[])
    alike.set_xticks(range(len(order)), [s.name for s in summaries], rotation=90)
    figure.colorbar(image, ax=alike)
    return figure
