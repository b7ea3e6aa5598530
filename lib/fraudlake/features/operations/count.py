"""How many events a window holds."""

from __future__ import annotations

from fraudlake.features.feature import Feature, Input, Operation
from fraudlake.features.kernels.events import Ints, Windows


def _count(windows: Windows, feature: Feature) -> Ints:  # noqa: ARG001  # the form of a kernel
    return windows.high - windows.low


COUNT = Operation(
    name="count",
    meaning="how many",
    says="{v:# transaction} of this {e} {w}",
    input=Input.TIME,
    compares=False,
    sql_type="bigint",
    bytes_an_event=0,
    sums=(),
    kernel=_count,
    plain=lambda asked: len(asked.events),
    exact=True,
)
