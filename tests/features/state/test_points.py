"""Points of many keys in time: how many up to an instant, against a plain count."""

import numpy as np
import pytest

from fraudlake.errors import DataError
from fraudlake.features.state.points import Points


@pytest.fixture
def points():
    number = np.repeat([0, 1, 2], [3, 1, 2])
    time = np.array([5, 5, 9, -7, 0, 2**40])
    return Points.of(np.array([10, 20, 2**62]), number, time, {}), number, time


def test_keys_and_times_are_what_was_given(points):
    made, number, time = points
    assert made.number.tolist() == number.tolist()
    assert made.time.tolist() == time.tolist()


def test_a_key_has_its_place_or_none(points):
    made, *_ = points
    assert made.places(np.array([-1, 10, 15, 20, 2**62])).tolist() == [-1, 0, -1, 1, 2]
    nothing = Points.of(made.keys[:0], np.empty(0, int), np.empty(0, int), {})
    assert nothing.places(np.array([1, 2])).tolist() == [-1, -1]


def test_a_search_counts_up_to_an_instant(points):
    made, number, time = points
    for place in range(3):
        for instant in (-(2**50), -7, 4, 5, 6, 9, 2**40, 2**50):
            found = made.until(np.array([place]), np.array([instant]))
            assert found[0] == np.sum((number < place) | ((number == place) & (time <= instant)))


def test_too_many_keys_over_too_long_are_refused():
    with pytest.raises(DataError, match=r"expected at most .* higher spark.sql.shuffle.partitions"):
        Points.of(np.arange(4), np.array([0, 3]), np.array([0, 2**62]), {})
