"""What `conf/models/NAME.yaml` says of a random forest, or of one decision tree."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fraudlake.models.kind import Contender, Positive

Share = Annotated[float, Field(gt=0, le=1)]


class ForestContender(Contender):
    """Trees that vote, each with the share of frauds in its leaf, grown on `workers` tasks at once.

    A decision tree is a forest of one that sees all: `trees: 1, rows: 1, features: 1`.
    """

    kind: Literal["forest"]
    trees: Positive = Field(100, description="trees; a score is the mean of theirs")
    max_depth: int = Field(0, ge=0, le=64, description="splits down to a leaf; 0 for no limit")
    min_rows: Positive = Field(1, description="training rows that a leaf has at least")
    rows: Share = Field(0.632, description="rows a tree sees, drawn without replacement")
    features: Share = Field(0.2, description="features a split may choose from, drawn anew for it")
    max_bin: int = Field(
        4096,
        ge=2,
        description="cuts a feature may have; 65536 are all there are on some 70,000 rows. Memory: "
        "16 bytes for each cut of each feature in each node of a level",
    )
