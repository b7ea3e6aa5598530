"""Categories as numbers: from training alone, and safe for what it has not seen."""

import math

import numpy as np
import pyarrow as pa
import pytest

from fraudlake.models.encoding import MOST, encode, learn, to_matrix


def test_a_category_stands_for_its_log_odds_drawn_to_the_mean():
    found = learn({"often": (10_000, 1000), "once": (1, 1)}, rows=20_000, frauds=400)
    assert found.other == pytest.approx(math.log(0.02 / 0.98))
    assert found.values["often"] == pytest.approx(math.log(1002 / 9098))
    assert found.other < found.values["once"] < found.values["often"]


def test_only_the_most_frequent_are_kept():
    counts = {f"c{i}": (i + 1, 1) for i in range(MOST + 5)}
    found = learn(counts, rows=10**6, frauds=10**4)
    assert len(found.values) == MOST
    assert "c4" not in found.values
    assert "c5" in found.values


def test_unknown_and_missing_are_others_and_numbers_stay():
    encoding = learn({"a": (50, 5), "b": (50, 0)}, rows=100, frauds=5)
    strings = pa.table({"f": ["b", "new", None, "a"]})
    found = to_matrix(strings, ["f"], {"f": encoding})[:, 0]
    assert found.tolist() == [
        encoding.values["b"], encoding.other, encoding.other, encoding.values["a"]
    ]  # fmt: skip
    numbers = pa.table({"f": [1.5, None]})
    assert np.array_equal(to_matrix(numbers, ["f"], {"f": encoding})[:, 0], [1.5, np.nan], True)


def test_without_a_category_everything_is_other():
    encoding = learn({}, rows=10, frauds=1)
    assert encode(pa.array(["a"]), encoding).tolist() == [encoding.other]
