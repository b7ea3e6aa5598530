"""Categories as numbers: the log-odds of fraud that a category had in training, drawn to the mean.

A category with n training rows and f frauds stands for the log-odds of (f + m·p) / (n + m), p the
share of frauds in all training rows and m = 100: rare categories stay close to p, and one that
training has not seen is p itself. After Micci-Barreca (2001), A preprocessing scheme for
high-cardinality categorical attributes in classification and prediction problems.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import pyarrow as pa

_WEIGHT = 100
MOST = 1000


class Encoding(BaseModel):
    """What the categories of one column stand for, as it is kept in `scorer.json`.

    Attributes
    ----------
    values
        Category → number.
    other
        Number of every other category, and of a missing one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    values: dict[str, float]
    other: float


def learn(counts: Mapping[str, tuple[int, int]], rows: int, frauds: int) -> Encoding:
    """An encoding from training rows.

    Parameters
    ----------
    counts
        Category → its rows and the frauds among them; those beyond the `MOST` frequent are others.
    rows, frauds
        All training rows, and the frauds among them; at least one row of each class.

    Examples
    --------
    >>> found = learn({"travel": (100, 11), "books": (900, 9)}, rows=1000, frauds=20)
    >>> round(found.values["travel"], 2), round(found.other, 2)
    (-2.67, -3.89)
    """
    share = frauds / rows
    frequent = sorted(counts.items(), key=lambda item: (-item[1][0], item[0]))[:MOST]
    values = {
        category: _log_odds((positive + _WEIGHT * share) / (count + _WEIGHT))
        for category, (count, positive) in sorted(frequent)
    }
    return Encoding(values=values, other=_log_odds(share))


def encode(column: pa.Array, encoding: Encoding) -> np.ndarray:
    """Numbers of a string column, float64 [n].

    >>> import pyarrow as pa
    >>> encode(pa.array(["a", None, "z"]), Encoding(values={"a": 1.0}, other=-3.0))
    array([ 1., -3., -3.])
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    categories = pa.array(list(encoding.values), pa.string())
    numbers = np.array([*encoding.values.values(), encoding.other])
    index = pc.index_in(column.cast(pa.string()), categories)
    return numbers[pc.fill_null(index, len(categories)).to_numpy(zero_copy_only=False)]


def to_matrix(
    batch: pa.RecordBatch | pa.Table, features: Sequence[str], encodings: Mapping[str, Encoding]
) -> np.ndarray:
    """Feature columns as a float64 matrix [rows, features]; null becomes NaN, a category a number.

    Training rows are encoded already: their categories come as numbers and stay as they are.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    matrix = np.empty((batch.num_rows, len(features)))
    for position, name in enumerate(features):
        column = batch.column(name)
        if name in encodings and pa.types.is_string(column.type):
            matrix[:, position] = encode(column, encodings[name])
        else:
            matrix[:, position] = pc.cast(column, "float64").to_numpy(zero_copy_only=False)
    return matrix


def _log_odds(share: float) -> float:
    return math.log(share / (1 - share))
