"""What `conf/models/NAME.yaml` says of an isolation forest."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fraudlake.models.kind import Contender, Positive


class IsolationContender(Contender):
    """Trees that part rows at random: what is alone after a few cuts is unlike the rest.

    Labels fit the calibration and nothing else.
    """

    kind: Literal["isolation"]
    trees: Positive = Field(100, description="trees; a score is the mean of theirs")
    sample: int = Field(256, ge=2, description="rows that each tree parts")
