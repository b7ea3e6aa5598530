"""Platt's line: finds the truth, keeps the order, falls back with a reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from fraudlake.models import calibration

MARGINS = st.floats(-50, 50, allow_nan=False, width=32)


def sample(slope, intercept, n=200_000, seed=0):
    random = np.random.default_rng(seed)
    margins = random.normal(-2, 2, n)
    return margins, random.random(n) < expit(slope * margins + intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, -1.5), (2.5, 1.0)])
def test_finds_the_line_that_made_the_labels(slope, intercept):
    line = calibration.fit(*sample(slope, intercept))
    assert line.slope == pytest.approx(slope, abs=0.05)
    assert line.intercept == pytest.approx(intercept, abs=0.05)
    assert not line.reason


def test_minimises_the_cross_entropy_of_platts_targets():
    from scipy.optimize import minimize

    x, y = sample(0.7, -1, n=400)
    target = np.where(y, (y.sum() + 1) / (y.sum() + 2), 1 / ((~y).sum() + 2))

    def loss(line):
        z = line[0] * x + line[1]
        return np.sum(np.logaddexp(0, z) - target * z)

    best = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9})
    line = calibration.fit(x, y)
    np.testing.assert_allclose([line.slope, line.intercept], best.x, atol=1e-4)


def test_perfectly_separated_margins_keep_a_finite_slope():
    line = calibration.fit([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1])
    assert 0 < line.slope < 10
    # Platt's targets: 3/4 and 1/4 with two rows each.
    assert expit(line.slope * 1.5 + line.intercept) == pytest.approx(0.75, abs=0.05)


def test_a_weight_counts_rows():
    x, y = sample(1.2, -1, n=300)
    w = np.random.default_rng(3).integers(0, 4, len(x))
    weighted, repeated = calibration.fit(x, y, w), calibration.fit(np.repeat(x, w), np.repeat(y, w))
    assert weighted.slope == pytest.approx(repeated.slope, rel=1e-6)
    assert weighted.intercept == pytest.approx(repeated.intercept, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0.0), (1e4, 0.0), (1.0, 1e4)])
def test_scale_and_place_of_the_margins_do_not_matter(scale, shift):
    x, y = sample(1.0, 0.5, n=5000)
    plain, moved = calibration.fit(x, y), calibration.fit(x * scale + shift, y)
    before = plain.slope * x + plain.intercept
    after = moved.slope * (x * scale + shift) + moved.intercept
    np.testing.assert_allclose(after, before, atol=1e-5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(MARGINS, st.booleans()), min_size=1, max_size=40))
def test_slope_is_positive_and_finite_whatever_comes(pairs):
    line = calibration.fit([m for m, _ in pairs], [y for _, y in pairs])
    assert np.isfinite([line.slope, line.intercept]).all()
    assert line.slope > 0
    if line.reason:
        assert (line.slope, line.intercept) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("margins", "labels", "reason"),
    [
        ([1, 2, 3], [0, 0, 0], "got 0 frauds among 3 rows"),
        ([1, 2, 3], [1, 1, 1], "got 3 frauds among 3 rows"),
        ([], [], "got 0 frauds among 0 rows"),
        ([1, 1, 1], [1, 0, 1], "all equal or not finite"),
        ([1, np.nan, 2], [1, 0, 1], "all equal or not finite"),
        ([1, 2, 3, 4], [1, 1, 0, 0], "higher margins must go with more frauds"),
    ],
)
def test_identity_with_a_reason_where_no_fit_is_possible(margins, labels, reason):
    line = calibration.fit(margins, labels)
    assert (line.slope, line.intercept) == (1.0, 0.0)
    assert reason in line.reason
