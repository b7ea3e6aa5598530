"""Logistic regression: the optimum is scikit-learn's, whatever the tasks."""

import logging

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from fraudlake.models import bundle
from fraudlake.models.logistic import fit as logistic
from fraudlake.models.logistic.contender import LogisticContender
from fraudlake.models.mlp.scorer import standardise

from .conftest import FEATURES, LINE, labels, packed, rows

CONTENDER = LogisticContender(kind="logistic", penalty=0.5)


@pytest.fixture(scope="module")
def data():
    x, y = rows(3000, seed=13), labels(rows(3000, seed=13))
    x = x.astype(np.float32).astype(np.float64)
    x[::7, 0] = np.nan
    return x, y


def theirs(x, y):
    """scikit-learn's margins, with means for what is missing."""
    z = standardise(x, np.nanmean(x, axis=0), np.nanstd(x, axis=0))
    found = LogisticRegression(C=2.0, solver="newton-cholesky", tol=1e-10, max_iter=200).fit(z, y)
    return z, found.coef_[0], found.decision_function(z)


def test_both_fits_are_scikit_learns_on_any_number_of_tasks(spread, data):
    x, y = data
    one = logistic.fit(spread(x, y, held_out=800), FEATURES, CONTENDER, 1, "")
    three = logistic.fit(spread(x, y, workers=3), FEATURES, CONTENDER, 1, "")
    assert three.early == three.final, "two trainings on equal rows: none is held out"
    for kept, weights in ((2200, one.early), (3000, one.final), (3000, three.final)):
        scorer = bundle.load(packed("logistic", weights))
        z, weight, margins = theirs(x[:kept], y[:kept])
        np.testing.assert_allclose(scorer.margins(x[:kept]), margins, atol=1e-5)
        shares = scorer.contributions(x[:kept])
        np.testing.assert_allclose(shares, LINE.slope * weight * z, atol=1e-5)
    loss = np.mean(np.logaddexp(0, margins) - y * margins)
    assert three.metrics["train_loss"] == pytest.approx(loss, rel=1e-6)


def in_memory(monkeypatch, x, y):
    """The sums of all rows at once, without Spark."""
    monkeypatch.setattr(logistic, "_total", lambda _rows, _features, of: of(x, y))
    return logistic._fit(None, FEATURES, LogisticContender(kind="logistic"))


def test_classes_that_a_line_parts_and_columns_of_nothing(monkeypatch, caplog):
    """The penalty keeps weights finite; a step that goes too far is halved."""
    x = rows(500, seed=14)
    x[:, 5] = np.nan
    x[:, 4] *= 1e30
    y = (x[:, 0] > 1.5).astype(float)
    with caplog.at_level(logging.WARNING):
        weights, loss = in_memory(monkeypatch, x, y)
    scorer = bundle.load(packed("logistic", weights))
    assert np.isfinite(scorer.margins(x)).all()
    assert ((scorer.margins(x) > 0) == (y == 1)).mean() > 0.98
    assert loss < 0.05
    assert not caplog.records


def test_an_optimum_that_is_not_reached_is_said(monkeypatch, caplog):
    monkeypatch.setattr(logistic, "_STEPS", 2)
    in_memory(monkeypatch, rows(500), labels(rows(500)).astype(float))
    assert "the optimum was not reached in 2 steps" in caplog.text
