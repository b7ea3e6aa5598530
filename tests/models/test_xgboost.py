"""Trees: what comes out is what XGBoost says."""

import numpy as np
import xgboost

from fraudlake.models import bundle
from fraudlake.models.xgboost.contender import XGBoostContender
from fraudlake.models.xgboost.fit import fit

from .conftest import LINE, labels, packed, rows


def test_margins_and_contributions_are_xgboosts(booster, bundles):
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


def test_what_features_are_called_changes_no_tree(spread):
    """XGBoost's estimator takes columns of these names for weights, groups and margins."""
    x = rows(600, seed=5)
    fitted = {}
    for names in (
        [f"feature{i}" for i in range(7)],
        ["qid", "weight", "baseMargin", "validationIndicator", "values", "features", "prediction"],
    ):
        contender = XGBoostContender(kind="xgboost", workers=1, rounds=4)
        booster = xgboost.Booster()
        found = fit(spread(x, labels(x), names), names, contender, 1, "")
        booster.load_model(bytearray(found.final))
        assert booster.feature_names == names
        booster.feature_names = None
        fitted[names[0]] = booster.save_raw("ubj")
    assert fitted["feature0"] == fitted["qid"]
