"""Isolation forests: scikit-learn's to float32, as trees that XGBoost explains."""

import numpy as np

from fraudlake.models import bundle
from fraudlake.models.isolation.contender import IsolationContender
from fraudlake.models.isolation.fit import fit, to_ubj

from .conftest import FEATURES, labels, packed, rows


def theirs(forest, x):
    """1 − path / mean path, of scikit-learn's score."""
    return 1 + np.log2(-forest.score_samples(x))


def test_margins_are_scikit_learns_scores(bundles, isolated):
    x = rows(800, seed=31).astype(np.float32)
    x[::6, 0] = np.nan
    cuts = [tree.tree_.threshold.astype(np.float32) for tree in isolated.estimators_]
    # Values that lie on cuts, and beside them.
    x[:50, 1] = np.concatenate(cuts)[:50]
    x[50:90, 1] = np.nextafter(x[:40, 1], np.float32(np.inf))
    x[90, :], x[91, :] = 1e30, -1e30
    found = bundle.load(bundles["isolation"]).margins(x)
    np.testing.assert_allclose(found, theirs(isolated, x), atol=1e-5)


def test_rows_that_are_all_alike_have_a_tree_of_one_leaf():
    from sklearn.ensemble import IsolationForest

    x = np.ones((20, len(FEATURES)), dtype=np.float32)
    forest = IsolationForest(n_estimators=3, random_state=1).fit(x)
    scorer = bundle.load(packed("isolation", to_ubj(forest, FEATURES)))
    np.testing.assert_allclose(scorer.margins(x[:2]), theirs(forest, x[:2]), atol=1e-6)
    np.testing.assert_array_equal(scorer.contributions(x), 0)


def test_a_fit_draws_the_same_rows_whatever_the_tasks_and_looks_at_no_label(spread):
    x, y = rows(1000, seed=32), labels(rows(1000, seed=32))
    contender = IsolationContender(kind="isolation", trees=5, sample=64)
    one = fit(spread(x, y), FEATURES, contender, 1, "")
    assert one.early == one.final, "two trainings on equal rows: none is held out"
    assert fit(spread(x, ~y, workers=3), FEATURES, contender, 1, "") == one
    scorer = bundle.load(packed("isolation", one.final))
    x[0] = 50.0
    assert scorer.margins(x)[0] > np.quantile(scorer.margins(x), 0.99)
