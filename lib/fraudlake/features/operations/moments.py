"""Sums, means and deviations of a column, and the transaction's own value against them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels import sums, wide
from fraudlake.features.kernels.events import Floats, Ints, Windows, quotient

_FIRST = (sums.TOTAL, sums.PRESENT)
_SECOND = (sums.DIGITS, sums.SQUARES, sums.PRESENT)


def _sum(windows: Windows, feature: Feature) -> Floats:
    column = feature.column
    counted, scale = sums.present(windows, column), windows.events.scale[column]
    return quotient(sums.total(windows, column), scale, counted > 0, feature.empty_or_nan)


def _mean(windows: Windows, feature: Feature) -> Floats:
    column = feature.column
    counted, scale = sums.present(windows, column), windows.events.scale[column]
    above = sums.total(windows, column)
    return quotient(above, counted * scale, counted > 0, feature.empty_or_nan)


def _std(windows: Windows, feature: Feature) -> Floats:
    """√(Σ (v − mean)² ÷ (n − 1)), of two values or more."""
    column = feature.column
    counted, scale = sums.present(windows, column), windows.events.scale[column]
    deviation = _deviation(sums.spread(windows, column), counted)
    return quotient(deviation, scale, counted > 1, feature.empty_or_nan)


def _ratio(windows: Windows, feature: Feature) -> Floats:
    """Nothing where the mean is 0."""
    column = feature.column
    own, known = sums.own(windows, column)
    divisor = sums.total(windows, column)
    above = own.astype(np.float64) * sums.present(windows, column)
    return quotient(above, divisor, known & (divisor != 0), feature.empty_or_nan)


def _zscore(windows: Windows, feature: Feature) -> Floats:
    """Nothing where the deviation is 0."""
    column = feature.column
    own, known = sums.own(windows, column)
    counted, spread = sums.present(windows, column), sums.spread(windows, column)
    many = wide.scaled(wide.split(own), counted)
    above = wide.to_float(wide.less(many, sums.wide_total(windows, column)))
    some = known & (counted > 1) & (spread > 0)
    deviation = _deviation(spread, counted)
    return quotient(above / np.maximum(counted, 1), deviation, some, feature.empty_or_nan)


def _deviation(spread: Floats, counted: Ints) -> Floats:
    return np.sqrt(spread / np.maximum(counted * (counted - 1.0), 1.0))


def _plain_mean(asked: Question) -> Fraction | None:
    values = asked.values
    return sum(values, Fraction(0)) / len(values) if values else None


def _plain_ratio(asked: Question) -> Fraction | None:
    mean = _plain_mean(asked)
    return asked.own / mean if asked.own is not None and mean else None


def _plain_variance(asked: Question) -> Fraction | None:
    values, mean = asked.values, _plain_mean(asked)
    if mean is None or len(values) < 2:
        return None
    return sum(((v - mean) ** 2 for v in values), Fraction(0)) / (len(values) - 1)


def _plain_std(asked: Question) -> float | None:
    variance = _plain_variance(asked)
    return None if variance is None else math.sqrt(variance)


def _plain_zscore(asked: Question) -> float | None:
    own, mean, variance = asked.own, _plain_mean(asked), _plain_variance(asked)
    if own is None or mean is None or not variance:
        return None
    return float(own - mean) / math.sqrt(variance)


SUM = Operation(
    name="sum",
    meaning="sum of {c}",
    says="total {c} of this {e} {w} is {v}",
    input=Input.NUMBER,
    compares=False,
    sql_type="double",
    bytes_an_event=16,
    sums=_FIRST,
    kernel=_sum,
    plain=lambda asked: sum(asked.values, Fraction(0)) if asked.values else None,
    exact=True,
)
MEAN = Operation(
    name="mean",
    meaning="mean of {c}",
    says="the mean {c} of this {e} {w} is {v}",
    input=Input.NUMBER,
    compares=False,
    sql_type="double",
    bytes_an_event=16,
    sums=_FIRST,
    kernel=_mean,
    plain=_plain_mean,
    exact=True,
)
STD = Operation(
    name="std",
    meaning="standard deviation of {c} (of a sample: two values or more)",
    says="the standard deviation of {c} of this {e} {w} is {v}",
    input=Input.NUMBER,
    compares=False,
    sql_type="double",
    bytes_an_event=32,
    sums=_SECOND,
    kernel=_std,
    plain=_plain_std,
    exact=False,
)
RATIO = Operation(
    name="ratio",
    meaning="the {c} of this one over the mean {c}",
    says="{c} is {v} × this {e}'s mean {w}",
    input=Input.NUMBER,
    compares=True,
    sql_type="double",
    bytes_an_event=16,
    sums=_FIRST,
    kernel=_ratio,
    plain=_plain_ratio,
    exact=False,
)
ZSCORE = Operation(
    name="zscore",
    meaning="the {c} of this one less the mean {c}, in standard deviations",
    says="{c} is {v:above} this {e}'s mean {w}",
    input=Input.NUMBER,
    compares=True,
    sql_type="double",
    bytes_an_event=32,
    sums=_SECOND,
    kernel=_zscore,
    plain=_plain_zscore,
    exact=False,
)
