"""Forests: what is grown is scikit-learn's trees, and its scores are shares of fraud."""

import numpy as np
import pytest
import xgboost
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.tree import DecisionTreeClassifier

from fraudlake.models import bundle
from fraudlake.models.forest import fit as forest
from fraudlake.models.forest.contender import ForestContender

from .conftest import FEATURES, labels, packed, rows

TREE = {"kind": "forest", "workers": 2, "trees": 1, "rows": 1, "features": 1, "max_bin": 8192}


def margins(weights, x):
    return bundle.load(packed("forest", weights)).margins(x)


@pytest.mark.parametrize("settings", [{"max_depth": 3}, {"max_depth": 3, "min_rows": 50}])
def test_a_tree_is_scikit_learns(monkeypatch, settings):
    x, y = rows(4000, seed=11).astype(np.float32), labels(rows(4000, seed=11))
    x[::17, 1] = np.nan

    def grow(_rows, _features, _contender, _seed, _scratch, parameters, rounds):
        settings = {"tree_method": "hist", "n_estimators": rounds, "n_jobs": 1}
        return xgboost.XGBRegressor(**settings, **parameters).fit(x, y)

    monkeypatch.setattr(forest, "grow", grow)
    tree = forest.fit(None, FEATURES, ForestContender(**TREE, **settings), 1, "")
    found = margins(bytes(tree.get_booster().save_raw("ubj")), x)
    names = {"max_depth": "max_depth", "min_rows": "min_samples_leaf"}
    theirs = DecisionTreeClassifier(**{names[name]: value for name, value in settings.items()})
    np.testing.assert_allclose(found, theirs.fit(x, y).predict_proba(x)[:, 1], atol=1e-6)


def test_a_forest_is_as_good_as_scikit_learns_and_the_same_each_time(spread, tmp_path):
    x, y = rows(4000, seed=11), labels(rows(4000, seed=11))
    contender = ForestContender(kind="forest", trees=20, features=0.4)
    weights = forest.fit(spread(x, y, workers=2), FEATURES, contender, 1, str(tmp_path / "fit"))
    assert weights.early == weights.final, "two trainings on equal rows: none is held out"
    test, truth = rows(6000, seed=12), labels(rows(6000, seed=12))
    theirs = RandomForestClassifier(20, max_features=0.4, random_state=1).fit(x, y)
    ours = margins(weights.final, test)
    assert 0 <= ours.min() <= ours.max() <= 1 + 1e-6, "shares of fraud, summed in float32"
    for measure in (roc_auc_score, average_precision_score):
        assert measure(truth, ours) > measure(truth, theirs.predict_proba(test)[:, 1]) - 0.02
