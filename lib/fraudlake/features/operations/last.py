"""The last values in a window, one feature each."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fraudlake.features.feature import Feature, Input, Operation, Question
from fraudlake.features.kernels.events import Floats, Windows, quotient


def _last(windows: Windows, feature: Feature) -> Floats:
    events, column = windows.events, feature.column
    there = ~events.missing.get(column, np.zeros(len(events.time), bool))
    some, position = windows.nth_last(column, there, feature.nth)
    result = np.zeros(len(some), np.int64)
    result[some] = events.values[column][position]
    return quotient(result, events.scale[column], some, feature.empty_or_nan)


def _plain(asked: Question) -> Fraction | None:
    values, nth = asked.values, asked.feature.nth
    return values[-nth] if len(values) >= nth else None


LAST = Operation(
    name="last",
    meaning="{c} of the {n} that has any",
    says="{c} of this {e}'s {n} transaction was {v}",
    input=Input.NUMBER,
    parameter="k",
    compares=False,
    sql_type="double",
    bytes_an_event=24,
    sums=None,
    kernel=_last,
    plain=_plain,
    exact=True,
)
