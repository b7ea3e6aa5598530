"""Spark's `xxhash64` of single values, in NumPy: where the rows of a key belong.

A stream's state is cut into partitions by it, also by earlier versions in Spark itself, so it must
stay what it is (xxHash64 by Yann Collet, with Spark's seed).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_SEED = np.uint64(42)
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)


def of_integers(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Hashes of 64-bit integers.

    Examples
    --------
    >>> of_integers(np.array([0, 1])).tolist()
    [-5252525462095825812, -7001672635703045582]
    """
    start = np.full(len(values), _SEED + _P5 + np.uint64(8))
    return _mixed(_word(start, values.astype(np.int64).view(np.uint64)))


def of_texts(texts: list[bytes]) -> NDArray[np.int64]:
    """Hashes of byte strings.

    Examples
    --------
    >>> of_texts([b"", b"6:Zurich"]).tolist()
    [-7444071767201028348, 3687478560757622163]
    """
    length = np.array([len(text) for text in texts], np.uint64)
    # Whole words and one more for what is left; stripes are of four words.
    width = (int(length.max(initial=0)) // 8 + 1) * 8
    content = b"".join(text.ljust(width, b"\0") for text in texts)
    words = np.frombuffer(content, "<u8").reshape(len(texts), width // 8)
    stripes, whole = length // np.uint64(32), length // np.uint64(8)
    result = np.where(stripes > 0, _striped(words, stripes), _SEED + _P5) + length
    for place in range(words.shape[1]):
        counts = (place >= stripes * np.uint64(4)) & (place < whole)
        result = np.where(counts, _word(result, words[:, place]), result)
    rest, left = _at(words, whole), length % np.uint64(8)
    four = left >= np.uint64(4)
    mixed = _turned(result ^ ((rest & np.uint64(0xFFFFFFFF)) * _P1), 23) * _P2 + _P3
    result = np.where(four, mixed, result)
    rest = np.where(four, rest >> np.uint64(32), rest)
    left = np.where(four, left - np.uint64(4), left)
    for place in range(3):
        byte = rest >> np.uint64(8 * place) & np.uint64(0xFF)
        result = np.where(place < left, _turned(result ^ (byte * _P5), 11) * _P1, result)
    return _mixed(result)


def _striped(words: Words, stripes: Words) -> Words:
    """Of the stripes of 32 bytes at the beginning, where there are any."""
    seed = np.full(len(words), _SEED)
    lanes = [seed + _P1 + _P2, seed + _P2, seed, seed - _P1]
    for stripe in range(words.shape[1] // 4):
        there = stripe < stripes
        for place in range(4):
            taken = _turned(lanes[place] + words[:, 4 * stripe + place] * _P2, 31) * _P1
            lanes[place] = np.where(there, taken, lanes[place])
    result = _turned(lanes[0], 1) + _turned(lanes[1], 7)
    result = result + _turned(lanes[2], 12) + _turned(lanes[3], 18)
    for lane in lanes:
        result = (result ^ (_turned(lane * _P2, 31) * _P1)) * _P1 + _P4
    return result


def _word(result: Words, word: Words) -> Words:
    return _turned(result ^ (_turned(word * _P2, 31) * _P1), 27) * _P1 + _P4


def _at(words: Words, place: Words) -> Words:
    return words[np.arange(len(words)), place.astype(np.int64)]


def _turned(word: Words, by: int) -> Words:
    return word << np.uint64(by) | word >> np.uint64(64 - by)


def _mixed(result: Words) -> NDArray[np.int64]:
    result = (result ^ result >> np.uint64(33)) * _P2
    result = (result ^ result >> np.uint64(29)) * _P3
    return (result ^ result >> np.uint64(32)).view(np.int64)
