"""Every kind of scorer: bits under batching, additivity, missing values, thresholds."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudlake.errors import ConfigError
from fraudlake.models import bundle

from .conftest import FEATURES, LINE, SCORES, rows

BATCHES = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="session")
def matrix():
    """Rows as they come in production: missing, huge and tiny values among the rest."""
    x = rows(700, seed=5)
    random = np.random.default_rng(6)
    x[random.random(x.shape) < 0.05] = np.nan
    x[random.random(x.shape) < 0.01] = 1e30
    x[random.random(x.shape) < 0.01] = -1e-30
    x[0], x[1] = np.nan, 0.0
    return x


@pytest.fixture(scope="session")
def whole(bundles, matrix):
    """Kind → (margins, scores, contributions) of all rows in one call."""
    scorers = {kind: bundle.load(files) for kind, files in bundles.items()}
    return {kind: outputs(scorer, matrix) for kind, scorer in scorers.items()}


def outputs(scorer, x):
    return scorer.margins(x), scorer.score(x), scorer.contributions(x)


def assert_same_bits(got, expected):
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.dtype == theirs.dtype == np.float64
        np.testing.assert_array_equal(mine.view(np.int64), theirs.view(np.int64))


@BATCHES
@given(data=st.data())
def test_a_row_has_the_same_bits_in_any_batch(data, kind, bundles, matrix, whole):
    scorer = bundle.load(bundles[kind])
    order = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).permutation(len(matrix))
    chosen = order[: data.draw(st.integers(1, len(matrix)))]
    size = data.draw(st.one_of(st.integers(1, 70), st.integers(1, len(matrix))))
    cuts = [chosen[i : i + size] for i in range(0, len(chosen), size)][:20]
    for cut in cuts:
        part = matrix[cut]
        if data.draw(st.booleans()):
            part = np.asfortranarray(part)
        assert_same_bits(outputs(scorer, part), [values[cut] for values in whole[kind]])


def test_a_row_has_the_same_bits_alone(scorer, kind, matrix, whole):
    ones = [matrix[i : i + 1] for i in range(100)]
    got = [np.concatenate(parts) for parts in zip(*(outputs(scorer, x) for x in ones), strict=True)]
    assert_same_bits(got, [values[:100] for values in whole[kind]])


def test_bits_do_not_change_where_rows_fill_many_blocks(scorer, kind, matrix, whole):
    many = np.tile(matrix, (13, 1))
    assert_same_bits([scorer.margins(many)], [np.tile(whole[kind][0], 13)])


def test_score_is_the_calibrated_margin(scorer, matrix):
    with np.errstate(over="ignore"):
        expected = 1 / (1 + np.exp(-(LINE.slope * scorer.margins(matrix) + LINE.intercept)))
    np.testing.assert_allclose(scorer.score(matrix), expected, rtol=1e-12)
    assert np.isfinite(scorer.score(matrix)).all()


def test_base_and_contributions_add_up_to_the_calibrated_margin(scorer, kind):
    x = rows(500, seed=7)
    x[::9, 1] = np.nan
    total = scorer.base() + scorer.contributions(x).sum(axis=1)
    tolerance = {"xgboost": 1e-4, "mlp": 1e-12}[kind]
    expected = LINE.slope * scorer.margins(x) + LINE.intercept
    np.testing.assert_allclose(total, expected, rtol=0, atol=tolerance)


def test_a_feature_that_never_varied_contributes_nothing(scorer):
    x = rows(50, seed=8)
    assert np.abs(scorer.contributions(x)[:, 6]).max() < 1e-9
    assert np.abs(scorer.contributions(x)[:, 0]).max() > 0.5


def test_infinite_values_count_as_the_largest_float32(scorer):
    x = rows(4, seed=9)
    x[:, 0] = [np.inf, 1e300, -np.inf, -1e300]
    scores = scorer.score(x)
    largest = x.copy()
    largest[:, 0] = np.sign(x[:, 0]) * np.finfo(np.float32).max
    np.testing.assert_array_equal(scores, scorer.score(largest))
    assert np.isfinite(scores).all()


def test_no_rows(scorer):
    empty = np.empty((0, len(FEATURES)))
    assert scorer.score(empty).shape == (0,)
    assert scorer.contributions(empty).shape == empty.shape


def test_wrong_number_of_columns(scorer):
    with pytest.raises(ValueError, match=r"got a matrix of shape \(2, 3\), expected \[rows, 7\]"):
        scorer.score(np.zeros((2, 3)))


@pytest.mark.parametrize(("alerts", "k"), [(0.25, 1), (0.3, 1), (2.3, 9), (5.0, 20), (10, 40)])
def test_threshold_gives_k_alerts_on_the_days_kept(scorer, alerts, k):
    assert sum(score >= scorer.threshold(alerts) for score in SCORES) == k


@pytest.mark.parametrize("alerts", [0, 0.2, -1, 10.25, float("nan"), float("inf")])
def test_threshold_outside_what_is_kept(scorer, alerts):
    with pytest.raises(ConfigError, match=r"expected 0.25 to 10: the model keeps the 40 highest"):
        scorer.threshold(alerts)
