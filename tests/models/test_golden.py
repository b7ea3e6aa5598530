"""The golden batch: fixed rows, probabilities, and the scores of before."""

import numpy as np
import pytest

from fraudlake.models import golden
from fraudlake.models.golden import GoldenError


def test_the_rows_are_fixed_and_of_every_sort():
    rows = golden.matrix(7)
    assert rows.shape == (16, 7)
    np.testing.assert_array_equal(rows, golden.matrix(9)[:, :7])
    assert np.isnan(rows).any(axis=0).all()
    assert np.isnan(rows).all(axis=1).sum() == 1
    assert np.nansum(rows[8:]) == pytest.approx(629090.5)


def test_a_model_says_again_what_it_said(scorer):
    registered = golden.scores(scorer)
    assert len(set(registered)) > 3
    golden.check(scorer, registered)
    golden.check(scorer, None)
    with pytest.raises(GoldenError, match="scores up to 1e-06 away from"):
        golden.check(scorer, [*registered[:-1], registered[-1] + 1e-6])
    with pytest.raises(GoldenError, match="inf away"):
        golden.check(scorer, registered[:-1])


@pytest.mark.parametrize("score", [np.nan, np.inf, -0.1, 1.1])
def test_what_is_no_probability_is_refused(scorer, monkeypatch, score):
    monkeypatch.setattr(type(scorer), "score", lambda _, x: np.full(len(x), score))
    with pytest.raises(GoldenError, match="expected scores from 0 to 1"):
        golden.check(scorer, None)
