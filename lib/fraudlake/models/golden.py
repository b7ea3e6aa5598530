"""The golden batch: a few fixed rows on which a model must say what it said when it was registered.

It shows a model that is computed otherwise here than where it was trained (another version of a
library, weights that fit by chance) before it decides about a payment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fraudlake.errors import FraudlakeError
from fraudlake.models.scorer import Scorer

_SCALES = (0.1, 1.0, 10.0, 1e3)
_TOLERANCE = 1e-9


class GoldenError(FraudlakeError):
    """A model does not say on the golden batch what it should; it must not decide."""


def matrix(width: int) -> np.ndarray:
    """The rows, float64 [16, width]: constant ones, missing values, very large and mixed ones.

    Made by arithmetic, not by a random generator, whose numbers may change with its version.
    """
    constant = [
        np.full(width, value) for value in (0.0, 1.0, -1.0, 1e12, np.nan, np.inf, 0.5, 40.0)
    ]
    place = np.arange(width)
    mixed = [(row * 37 + place * 101) % 97 * scale for row, scale in enumerate(_SCALES * 2)]
    holes = [np.where((row + place) % 5 == 0, np.nan, values) for row, values in enumerate(mixed)]
    return np.array([*constant, *holes])


def scores(scorer: Scorer) -> list[float]:
    """What a model says on the golden batch."""
    return scorer.score(matrix(len(scorer.features))).tolist()


def check(scorer: Scorer, registered: Sequence[float] | None) -> None:
    """Refuse a model whose scores on the golden batch are no probabilities, or not those of before.

    Parameters
    ----------
    registered
        What `scores` gave when the model was registered; None where nobody noted it.

    Raises
    ------
    GoldenError
        A score is not finite or not in [0, 1], or differs by more than 1e-9.
    """
    computed = np.array(scores(scorer))
    if not np.all((computed >= 0) & (computed <= 1)):
        wrong = computed[~((computed >= 0) & (computed <= 1))]
        raise GoldenError(f"golden batch: got the score {wrong[0]}, expected scores from 0 to 1")
    if registered is not None:
        apart = (
            np.abs(computed - np.array(registered))
            if len(registered) == len(computed)
            else [np.inf]
        )
        if not np.max(apart) <= _TOLERANCE:
            raise GoldenError(
                f"golden batch: got scores up to {np.max(apart):.3g} away from those the model was "
                "registered with, expected the same: install the versions it was trained with"
            )
