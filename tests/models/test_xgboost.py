"""Trees: what comes out is what XGBoost says."""

import numpy as np

from fraudlake.models import bundle

from .conftest import LINE, packed, rows


def test_margins_and_contributions_are_xgboosts(booster, bundles):
    import xgboost

    x = rows(300, seed=3)
    x[::5, 0] = np.nan
    scorer = bundle.load(bundles["xgboost"])
    matrix = xgboost.DMatrix(x.astype(np.float32))
    np.testing.assert_array_equal(scorer.margins(x), booster.predict(matrix, output_margin=True))
    values = booster.predict(matrix, pred_contribs=True).astype(np.float64)
    np.testing.assert_array_equal(scorer.contributions(x), LINE.slope * values[:, :-1])
    assert scorer.base() == LINE.slope * values[0, -1] + LINE.intercept


def test_a_booster_with_named_features_scores_plain_matrices(booster):
    named = booster.copy()
    named.feature_names = [f"name {i}" for i in range(7)]
    scorer = bundle.load(packed("xgboost", named.save_raw("ubj")))
    x = rows(10)
    assert np.isfinite(scorer.contributions(x)).all()
    assert np.isfinite(scorer.score(x)).all()
