"""Wide integers against Python's own; elementary functions against `math`."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudlake.features.kernels import portable, wide

whole = st.integers(-(2**63), 2**63 - 1)


def as_int(number, at=0):
    return sum(int(d[at if len(d) > 1 else 0]) << (32 * j) for j, d in enumerate(number))


@given(values=st.lists(whole, min_size=1, max_size=9), factor=st.integers(0, 2**31))
def test_wide_integers_are_exact(values, factor):
    array = np.array(values, np.int64)
    squares, many = wide.square(wide.split(array)), np.full(len(values), factor)
    for at, value in enumerate(values):
        assert as_int(wide.split(array), at) == value
        assert as_int(squares, at) == value**2
        assert as_int(wide.scaled(wide.split(array), many), at) == value * factor
        assert as_int(wide.less(squares, wide.split(array)), at) == value**2 - value
        assert wide.to_float(squares)[at] == pytest.approx(float(value**2), rel=1e-15)
    ends = np.array([0, len(values) // 2]), np.array([len(values), len(values)])
    sums = wide.between(wide.prefix(squares), *ends)
    assert as_int(sums, 0) == sum(v**2 for v in values)
    assert as_int(sums, 1) == sum(v**2 for v in values[len(values) // 2 :])


@pytest.mark.parametrize(
    ("ours", "theirs", "low", "high"),
    [
        (lambda x: portable.cosine_sine(x)[0], lambda x: math.cos(2 * math.pi * x), -2, 2),
        (lambda x: portable.cosine_sine(x)[1], lambda x: math.sin(2 * math.pi * x), -2, 2),
        (portable.arcsine, math.asin, 0, 1),
        (portable.power_of_two, lambda x: 2**x, 0, 1),
    ],
)
def test_elementary_functions_are_close_to_those_of_the_platform(ours, theirs, low, high):
    x = np.linspace(low, high, 10_001)
    expected = np.array([theirs(float(v)) for v in x])
    assert np.allclose(ours(x), expected, rtol=3e-15, atol=3e-15)


def test_elementary_functions_do_not_depend_on_the_place_in_an_array():
    x = np.random.default_rng(0).random(1003)
    for function in (lambda v: portable.cosine_sine(v)[1], portable.arcsine, portable.power_of_two):
        one_by_one = [function(x[i : i + 1]).item() for i in range(len(x))]
        assert function(x[::-1])[::-1].tolist() == one_by_one
