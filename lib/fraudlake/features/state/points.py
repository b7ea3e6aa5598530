"""Points in the time of many keys, sorted, with sums up to each: windows by two binary searches."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fraudlake.errors import DataError
from fraudlake.features.kernels.events import Ints, prefix

Keys = NDArray[np.int64] | NDArray[np.bytes_]
Arrays = dict[str, NDArray]
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class Points:
    """n points sorted by (key, time).

    Attributes
    ----------
    keys
        Distinct keys, rising: 64-bit integers or byte strings.
    low, span
        Earliest time, microseconds since 1970 UTC, and how many there are up to the latest.
    packed
        Position of the key in `keys` · span + time − low; one integer a point, not falling.
    sums
        Name → sums over the first 0 … n points, one array of n + 1 integers for each digit.
    """

    keys: Keys
    low: int
    span: int
    packed: Ints
    sums: Mapping[str, Sequence[Ints]]

    @classmethod
    def of(cls, keys: Keys, number: Ints, time: Ints, sums: Mapping[str, Sequence[Ints]]) -> Points:
        """Points in order: positions of their keys, times, prefix sums.

        Raises
        ------
        DataError
            So many keys over so long a time that a position and a time do not fit into 64 bits.
        """
        low = int(time.min()) if len(time) else 0
        span = int(time.max()) - low + 1 if len(time) else 1
        if len(keys) > _LARGEST // span:
            raise DataError(
                f"state: got {len(keys)} keys over {span / 86_400_000_000:.0f} days in one "
                f"partition, expected at most {_LARGEST // span}: start the stream with a higher "
                "spark.sql.shuffle.partitions"
            )
        return cls(keys, low, span, number * span + (time - low), sums)

    @property
    def number(self) -> Ints:
        """Position of each point's key."""
        return self.packed // self.span

    @property
    def time(self) -> Ints:
        """Time of each point."""
        return self.packed % self.span + self.low

    def time_at(self, position: Ints) -> Ints:
        """Time of some points."""
        return self.packed[position] % self.span + self.low

    def places(self, keys: Keys) -> Ints:
        """Positions of sorted keys among this object's; −1 for those it does not have."""
        if not len(self.keys):
            return np.full(len(keys), -1)
        place = np.searchsorted(self.keys, keys)
        place[place == len(self.keys)] = 0
        return np.where(self.keys[place] == keys, place, -1)

    def until(self, place: Ints, time: Ints) -> Ints:
        """How many points come no later than (key, time); 0 where the key is not here."""
        offset = np.clip(time - self.low, -1, self.span - 1)
        found = np.searchsorted(self.packed, place * self.span + offset, side="right")
        return np.where(place < 0, 0, found)

    def arrays(self, name: str) -> Arrays:
        """What a file keeps."""
        sums = {
            f"{name}/sums/{what}/{digit}": array
            for what, digits in self.sums.items()
            for digit, array in enumerate(digits)
        }
        bounds = np.array([self.low, self.span])
        return {
            f"{name}/keys": self.keys,
            f"{name}/bounds": bounds,
            f"{name}/packed": self.packed,
        } | sums

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, NDArray]) -> Points:
        """What `arrays` gave."""
        sums: dict[str, list[Ints]] = {}
        start = f"{name}/sums/"
        for key in arrays:
            if key.startswith(start):
                sums.setdefault(key.removeprefix(start).rpartition("/")[0], []).append(arrays[key])
        low, span = (int(bound) for bound in arrays[f"{name}/bounds"])
        return cls(arrays[f"{name}/keys"], low, span, arrays[f"{name}/packed"], sums)


def merged_keys(parts: Sequence[Points]) -> tuple[Keys, Ints]:
    """All distinct keys of several objects, rising, and each of their points' position in them."""
    keys = np.unique(np.concatenate([part.keys for part in parts]))
    numbers = [np.searchsorted(keys, part.keys)[part.number] for part in parts]
    return keys, np.concatenate(numbers)


def added(parts: Sequence[Sequence[Ints]]) -> list[Ints]:
    """Digit by digit, the sums of numbers that may have fewer digits here than there."""
    zero = np.zeros(1, np.int64)
    return [reduce(np.add, digits) for digits in itertools.zip_longest(*parts, fillvalue=zero)]


def merged_sums(parts: Sequence[Points], order: Ints) -> dict[str, list[Ints]]:
    """Prefix sums over all points of several objects, taken in an order."""
    result = {}
    for name in {name for part in parts for name in part.sums}:
        depth = max(len(part.sums.get(name, ())) for part in parts)
        result[name] = [
            prefix(np.concatenate([_values(part, name, digit) for part in parts])[order])
            for digit in range(depth)
        ]
    return result


def positions(low: Ints, high: Ints) -> tuple[Ints, Ints]:
    """Of ranges low ≤ position < high, one after the other: number of the range, position.

    >>> number, position = positions(np.array([3, 9, 5]), np.array([5, 9, 6]))
    >>> number.tolist(), position.tolist()
    ([0, 0, 2], [3, 4, 5])
    """
    count = high - low
    number = np.repeat(np.arange(len(count)), count)
    return number, np.arange(len(number)) - np.repeat(np.cumsum(count) - count, count) + low[number]


def starts(number: Ints, time: Ints) -> Ints:
    """Where, in sorted order, another key or another time begins.

    >>> starts(np.array([0, 0, 1]), np.array([7, 7, 7])).tolist()
    [0, 2]
    """
    return np.flatnonzero((np.diff(number, prepend=-1) != 0) | (np.diff(time, prepend=-1) != 0))


def _values(part: Points, name: str, digit: int) -> Ints:
    digits = part.sums.get(name, ())
    if digit < len(digits):
        return np.diff(digits[digit])
    return np.zeros(len(part.packed), np.int64)
