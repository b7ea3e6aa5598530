"""Elementary functions made of +, −, ×, ÷ and √ alone: the same bits on every processor.

IEEE 754 defines these five to the last bit. The sine of a maths library differs from one library
or processor to another, and batch and stream may run on different machines. Errors are a few
units in the last place.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_COSINE = [(-1) ** k / math.factorial(2 * k) for k in range(9)]
_SINE = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9)]
_EXPONENTIAL = [1 / math.factorial(k) for k in range(15)]
_ARCSINE = [math.comb(2 * k, k) / (4**k * (2 * k + 1)) for k in range(13)]
_LN_2 = 0.6931471805599453
_ROOT_2 = 1.4142135623730951


def _polynomial(x: Floats, coefficients: list[float]) -> Floats:
    result = np.full(x.shape, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + coefficient
    return result


def cosine_sine(turns: Floats) -> tuple[Floats, Floats]:
    """Cosine and sine of angles in whole turns (0.25 is a right angle), by Taylor's series.

    Examples
    --------
    >>> [part.round(12).tolist() for part in cosine_sine(np.array([0.125, 2 / 3]))]
    [[0.707106781187, -0.5], [0.707106781187, -0.866025403784]]
    """
    quarter = np.floor(4 * turns + 0.5)
    angle = (turns - quarter / 4) * (2 * math.pi)
    cosine = _polynomial(angle * angle, _COSINE)
    sine = _polynomial(angle * angle, _SINE) * angle
    turned = quarter.astype(np.int64) & 3
    return (
        np.choose(turned, [cosine, -sine, -cosine, sine]),
        np.choose(turned, [sine, cosine, -sine, -cosine]),
    )


def arcsine(x: Floats) -> Floats:
    """Arcsine in radians of 0 ≤ x ≤ 1: the angle is halved three times, then Taylor's series.

    Examples
    --------
    >>> (arcsine(np.array([0.0, 0.5, 1.0])) * 6 / np.pi).round(12).tolist()
    [0.0, 1.0, 3.0]
    """
    for _ in range(3):
        cosine = np.sqrt((1 - x) * (1 + x))
        x = x / np.sqrt(2 * (1 + cosine))
    return 8 * x * _polynomial(x * x, _ARCSINE)


def power_of_two(x: Floats) -> Floats:
    """2^x for 0 ≤ x < 1.

    Examples
    --------
    >>> power_of_two(np.array([0.0, 0.5])).round(12).tolist()
    [1.0, 1.414213562373]
    """
    return _ROOT_2 * _polynomial((x - 0.5) * _LN_2, _EXPONENTIAL)
