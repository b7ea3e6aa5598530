"""Every kind of scorer: bits under batching, additivity, missing values, thresholds."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudlake.errors import ConfigError
from fraudlake.models import bundle, kinds
from fraudlake.models.scorer import NO_SCORE
from fraudlake.models.xgboost.scorer import XGBoostScorer

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
    by_xgboost = kinds.kind_of(kind).scorer is XGBoostScorer
    tolerance = 1e-4 if by_xgboost else 1e-12  # XGBoost sums in float32
    expected = LINE.slope * scorer.margins(x) + LINE.intercept
    np.testing.assert_allclose(total, expected, rtol=0, atol=tolerance)


def test_a_feature_that_never_varied_contributes_nothing(scorer):
    x = rows(50, seed=8)
    assert np.abs(scorer.contributions(x)[:, 6]).max() < 1e-9
    assert np.abs(scorer.contributions(x)[:, 0]).max() > 0.02


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


def placed(files, scores, days):
    """The scorer with other scores kept of the days set aside."""
    manifest = json.loads(files["scorer.json"]) | {"alert_scores": scores, "alert_days": days}
    return bundle.load({**files, "scorer.json": json.dumps(manifest).encode()})


@BATCHES
@given(data=st.data(), scores=st.lists(st.integers(0, 12), min_size=1, max_size=60))
def test_a_budget_holds_within_a_tenth_whatever_is_equal(data, scores, bundles):
    ordered = sorted((score / 20 for score in scores), reverse=True)
    k = data.draw(st.integers(1, len(ordered)))
    scorer, alerts = placed(bundles["xgboost"], ordered, 4.0), k / 4
    threshold = scorer.threshold(alerts)
    flagged = sum(score >= threshold for score in ordered)
    assert flagged <= k + max(1, k // 10)
    assert (scorer.shortfall(alerts) is None) == (flagged >= k)
    if sum(score >= ordered[k - 1] for score in ordered) <= k + max(1, k // 10):
        assert threshold == ordered[k - 1]
    else:
        assert threshold == min((s for s in ordered if s > ordered[k - 1]), default=NO_SCORE)


def test_a_model_that_says_the_same_of_all_flags_nothing(files):
    scorer = placed(files, [0.0123] * 4195, 7.0)
    assert scorer.threshold(20) == NO_SCORE > scorer.score(np.zeros((1, len(FEATURES)))).max()
    assert scorer.shortfall(20) == (
        "alerts: got a budget of 20 a day, flags 0 a day on the days set aside: 4195 transactions "
        "there, or more, have one score, 0.0123, and with them it would be 599.3 a day"
    )


def test_a_budget_of_cards_says_so(files):
    manifest = json.loads(files["scorer.json"]) | {"alert_scores": [0.5] * 60, "alert_days": 2.0}
    manifest["settings"]["alerts_by"] = "card"
    scorer = bundle.load({**files, "scorer.json": json.dumps(manifest).encode()})
    assert "60 cards there, or more, have one score, 0.5" in scorer.shortfall(10)


def test_what_an_older_model_kept_may_end_among_equal_scores(files):
    """It has as many scores as the largest budget asks for, and may have left out equal ones."""
    distinct = [1 - i / 100 for i in range(50)]
    assert placed(files, distinct, 0.05).threshold(1000) == distinct[-1]
    equal = placed(files, distinct[:44] + [0.2] * 6, 0.05)
    assert equal.threshold(880) == distinct[43]
    assert equal.threshold(1000) == distinct[43]
    complete = placed(files, distinct[:44] + [0.2] * 6 + [0.1], 0.05)
    assert complete.threshold(1000) == 0.2
    with pytest.raises(ConfigError, match="keeps the 50 highest"):
        complete.threshold(1020)
