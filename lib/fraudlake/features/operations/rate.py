"""The share of a window's events that are known to be fraud."""

from __future__ import annotations

from fractions import Fraction

from fraudlake.features.feature import LABEL, Feature, Input, Operation, Question
from fraudlake.features.kernels.events import Floats, Windows, quotient


def _rate(windows: Windows, feature: Feature) -> Floats:
    frauds, counted = windows.frauds(feature.delay, feature.window), windows.high - windows.low
    return quotient(frauds, counted, counted > 0, feature.empty_or_nan)


def _plain(asked: Question) -> Fraction | None:
    return Fraction(sum(asked.frauds), len(asked.events)) if asked.events else None


RATE = Operation(
    name="rate",
    meaning="share known to be fraud at this time",
    says="{v:share} of this {e}'s transactions {w} are known to be fraud",
    input=Input.LABELS,
    word=LABEL,
    compares=False,
    sql_type="double",
    bytes_an_event=0,
    sums=(),
    kernel=_rate,
    plain=_plain,
    exact=True,
)
