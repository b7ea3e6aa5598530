"""Exact integers of any width for many rows at once: lists of 32-bit digits, least first.

A number is the sum of digit j times 2^(32 j). Digits are int64 arrays; `normal` brings all but the
last into 0 … 2³² − 1 and leaves the sign to the last. Sums of up to 2³⁰ such digits fit into 64
bits, so prefix sums of digits never overflow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Wide = list[Ints]

_BITS = 32
_MASK = 2**_BITS - 1


def split(values: Ints) -> Wide:
    """Digits of 64-bit integers."""
    return [values & _MASK, values >> _BITS]


def normal(number: Wide) -> Wide:
    """The same number with every digit but the last in 0 … 2³² − 1; one digit longer."""
    digits: Wide = []
    carry = np.zeros(1, np.int64)
    for digit in number:
        total = digit + carry
        digits.append(total & _MASK)
        carry = total >> _BITS
    return [*digits, carry]


def scaled(number: Wide, factor: Ints) -> Wide:
    """A number of normal digits times 0 ≤ factor ≤ 2³¹."""
    return normal([digit * factor for digit in number])


def _trimmed(number: Wide) -> Wide:
    """Without last digits that are 0 in every row: most amounts need few."""
    while len(number) > 1 and not number[-1].any():
        number = number[:-1]
    return number


def less(number: Wide, other: Wide) -> Wide:
    """The first less the second."""
    longer = max(len(number), len(other))
    zero = np.zeros(1, np.int64)
    pairs = zip(
        [*number, *[zero] * (longer - len(number))],
        [*other, *[zero] * (longer - len(other))],
        strict=True,
    )
    return normal([a - b for a, b in pairs])


def square(number: Wide) -> Wide:
    """A number times itself.

    Examples
    --------
    >>> to_float(square(split(np.array([-3, 10**18])))).tolist()
    [9.0, 1e+36]
    """
    number = normal(number)
    negative = number[-1] < 0
    digits = _trimmed(normal([np.where(negative, -digit, digit) for digit in number]))
    result = [np.zeros(1, np.int64)] * (2 * len(digits))
    for i, a in enumerate(digits):
        for j, b in enumerate(digits):
            # Unsigned: the product of two digits takes all 64 bits.
            product = a.astype(np.uint64) * b.astype(np.uint64)
            result[i + j] = result[i + j] + (product & _MASK).astype(np.int64)
            result[i + j + 1] = result[i + j + 1] + (product >> _BITS).astype(np.int64)
    return normal(result)


def prefix(number: Wide) -> Wide:
    """Sums over the first 0 … n numbers, each digit by itself."""
    return [np.concatenate(([0], np.cumsum(digit))) for digit in _trimmed(number)]


def between(prefix: Wide, low: Ints, high: Ints) -> Wide:
    """Sums over the positions low … high − 1, from prefix sums."""
    return normal([sums[high] - sums[low] for sums in prefix])


def to_float(number: Wide) -> NDArray[np.float64]:
    """The nearest float64, but for the last bit or two; the same for the same number always."""
    *rest, last = normal(number)
    result = last.astype(np.float64)
    for digit in reversed(rest):
        result = result * 2.0**_BITS + digit
    return result
