"""Random numbers as pure functions of what they belong to.

A draw is a hash of (seed, ids, name of the draw). So a row is the same whichever task computes it,
whatever was computed before it, and one row of a billion can be had without the others.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

Keys = NDArray[np.uint64]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STEP = np.uint64(0x9E3779B97F4A7C15)
_NEAR_ONE = 1e-9  # where the power law's integral is taken as the logarithm
ID_BITS = 52


def _mix(x: Keys) -> Keys:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _tag(name: str) -> np.uint64:
    return np.uint64(zlib.crc32(name.encode()) * int(_STEP) & 0xFFFFFFFFFFFFFFFF)


def keyed(seed: int, name: str, *ids: ArrayLike) -> Keys:
    """One 64-bit key for each tuple of whole-number ids, by SplitMix64's finaliser.

    Source: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.

    >>> bool((keyed(1, "x", [1, 2]) == keyed(1, "x", [2, 1])[::-1]).all())
    True
    """
    key = _mix(np.array([seed], np.int64).view(np.uint64) * _STEP + _tag(name))
    for part in ids:
        key = _mix(key + (np.atleast_1d(np.asarray(part)).astype(np.uint64) + np.uint64(1)) * _STEP)
    return key


def uniform(key: Keys, name: str) -> Floats:
    """The draw `name` of each key, uniform in [0, 1)."""
    return (_mix(key + _tag(name)) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def whole(key: Keys, name: str, bits: int = ID_BITS) -> Ints:
    """The draw `name` of each key, a whole number of so many bits."""
    return (_mix(key + _tag(name)) >> np.uint64(64 - bits)).astype(np.int64)


def normal(key: Keys, name: str) -> Floats:
    """The draw `name` of each key, standard normal (Box and Muller, 1958)."""
    radius = np.sqrt(-2 * np.log1p(-uniform(key, name + " radius")))
    return np.asarray(radius * np.cos(2 * np.pi * uniform(key, name + " angle")), np.float64)


def integers(u: Floats, low: int, high: int) -> Ints:
    """Uniform draws as whole numbers from low to high, both included."""
    return low + (u * (high - low + 1)).astype(np.int64)


def poisson(u: Floats, rate: ArrayLike) -> Ints:
    """Uniform draws as Poisson counts of the given rates (expected counts, up to about 50).

    >>> poisson(np.array([0.1, 0.5, 0.99]), 1.0).tolist()
    [0, 1, 4]
    """
    rate = np.broadcast_to(np.asarray(rate, float), u.shape)
    term = np.exp(-rate)
    total = term.copy()
    count = np.zeros(u.shape, np.int64)
    for k in range(1, 128):
        above = u >= total
        if not above.any():
            break
        count += above
        term = term * rate / k
        total += term
    return count


def pick(u: Floats, weights: ArrayLike) -> Ints:
    """Uniform draws as positions, each as likely as its weight.

    >>> pick(np.array([0.0, 0.3, 0.9]), [1, 3]).tolist()
    [0, 1, 1]
    """
    edges = np.cumsum(weights) / np.sum(weights)
    return np.searchsorted(edges[:-1], u, side="right")


def zipf(u: Floats, count: ArrayLike, exponent: float) -> Ints:
    """Uniform draws as ranks 0 … count − 1, rank r about as likely as (r + 1)^−exponent.

    The power law is taken as a density over [½, count + ½) and inverted in closed form, so no table
    of ranks is kept. `exponent` 0 is uniform.

    >>> zipf(np.array([0.0, 0.5, 0.999]), 10, 0.0).tolist()
    [0, 5, 9]
    """
    power, low, high = 1 - exponent, 0.5, np.asarray(count, float) + 0.5
    if abs(power) < _NEAR_ONE:
        x = low * np.exp(u * np.log(high / low))
    else:
        x = (low**power + u * (high**power - low**power)) ** (1 / power)
    return np.clip((x + 0.5).astype(np.int64), 1, count) - 1


def zipf_share(rank: Ints, count: ArrayLike, exponent: float) -> Floats:
    """Probability of each rank under `zipf`.

    >>> float(zipf_share(np.arange(10), 10, 1.2).sum().round(12))
    1.0
    """
    power = 1 - exponent

    def mass(x: ArrayLike) -> Floats:
        x = np.asarray(x, float)
        return np.log(x) if abs(power) < _NEAR_ONE else x**power / power

    above = mass(np.asarray(count) + 0.5) - mass(0.5)
    return (mass(rank + 1.5) - mass(rank + 0.5)) / above


def scrambled(numbers: Ints, bits: int = ID_BITS) -> Ints:
    """A permutation of 0 … 2^bits − 1 (each step can be undone): distinct in, distinct out.

    >>> sorted(scrambled(np.arange(256), bits=8).tolist()) == list(range(256))
    True
    """
    mask, half = np.uint64(2**bits - 1), np.uint64(bits // 2)
    x = numbers.astype(np.uint64)
    for odd in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93):
        x = (x * np.uint64(odd)) & mask
        x ^= x >> half
    return x.astype(np.int64)
