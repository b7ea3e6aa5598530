"""Small models of every kind, as bundles."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from fraudlake.models import bundle, kinds
from fraudlake.models.calibration import Calibration
from fraudlake.models.isolation import fit as isolation
from fraudlake.models.mlp import scorer as mlp

FEATURES = tuple(f"f{i}" for i in range(7))
LINE = Calibration(slope=0.8, intercept=-0.3)
SCORES = [i / 100 for i in range(1, 41)]


def rows(n: int = 3000, seed: int = 0) -> np.ndarray:
    """Columns of several shapes: normal, heavy-tailed, mostly zero, binary, constant."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, len(FEATURES)))
    x[:, 1] = np.exp(2 * x[:, 1])
    x[:, 2] *= random.random(n) < 0.05
    x[:, 3] = x[:, 3] > 1
    x[:, 6] = 4.0
    return x


def labels(x: np.ndarray) -> np.ndarray:
    log_odds = -3 + 2 * x[:, 0] * (x[:, 1] > 1) + 3 * np.abs(x[:, 2]) + x[:, 3]
    return np.random.default_rng(1).random(len(x)) < 1 / (1 + np.exp(-log_odds))


def packed(kind: str, weights: bytes, calibration: Calibration = LINE) -> dict[str, bytes]:
    return bundle.pack(
        kind,
        dict.fromkeys(FEATURES),
        "abc",
        timedelta(days=7),
        weights,
        calibration,
        SCORES,
        4.0,
        {"seed": 1},
    )


@pytest.fixture(scope="session")
def booster():
    import xgboost

    x = rows()
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 4, "nthread": 1}
    return xgboost.train(parameters, xgboost.DMatrix(x.astype(np.float32), labels(x)), 60)


@pytest.fixture(scope="session")
def network():
    """A trained network, the mean and the standard deviation of its inputs."""
    import torch

    from fraudlake.models.nets.feedforward import FeedForward

    torch.manual_seed(0)
    x = rows()
    mean, std = x.mean(axis=0), x.std(axis=0)
    inputs = torch.tensor(mlp.standardise(x, mean, std), dtype=torch.float32)
    target = torch.tensor(labels(x), dtype=torch.float32)
    net = FeedForward(x.shape[1], [33, 17], 0.1)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(inputs), target).backward()
        optimizer.step()
    return net.eval(), mean, std


@pytest.fixture(scope="session")
def forest():
    import xgboost

    x = rows()
    parameters = {"base_score": 0.0, "eta": 1.0, "lambda": 0.0, "max_depth": 8, "nthread": 1}
    parameters |= {"num_parallel_tree": 10, "subsample": 0.632, "colsample_bynode": 0.4}
    return xgboost.train(parameters, xgboost.DMatrix(x.astype(np.float32), labels(x)), 1)


@pytest.fixture(scope="session")
def line():
    """Weights of a logistic regression by scikit-learn, means and standard deviations."""
    from sklearn.linear_model import LogisticRegression

    x = rows()
    mean, std = x.mean(axis=0), x.std(axis=0)
    found = LogisticRegression().fit(mlp.standardise(x, mean, std), labels(x))
    return {"linear.0.weight": found.coef_, "linear.0.bias": found.intercept_}, mean, std


@pytest.fixture(scope="session")
def isolated():
    """scikit-learn's isolation forest; a tenth of the first column is missing."""
    from sklearn.ensemble import IsolationForest

    x = rows().astype(np.float32)
    x[::10, 0] = np.nan
    return IsolationForest(n_estimators=20, max_samples=128, random_state=1).fit(x)


RULES = [
    {"when": "f0 > 1.5 and f1 > 1", "score": 2.0, "reason": "both"},
    {"when": "f2 != 0", "score": "f2"},
    {"when": "f3 = 1 and f0 <= 0", "score": -0.5},
    {"when": "f1 is missing", "score": 0.25, "reason": "nothing is said"},
]


@pytest.fixture(scope="session")
def bundles(booster, network, forest, isolated, line):
    """Kind → files."""
    net, mean, std = network
    return {
        "forest": packed("forest", forest.save_raw("ubj")),
        "isolation": packed("isolation", isolation.to_ubj(isolated, FEATURES)),
        "logistic": packed("logistic", mlp.to_safetensors(*line)),
        "rules": packed("rules", json.dumps({"rules": RULES}).encode()),
        "xgboost": packed("xgboost", booster.save_raw("ubj")),
        "mlp": packed("mlp", mlp.to_safetensors(net.state_dict(), mean, std)),
    }


@pytest.fixture(scope="session")
def spread(spark):
    """A function: rows as a fit takes them, the last `held_out` of them held out."""

    def frame(x, y, features=FEATURES, workers=1, held_out=0):
        table = pd.DataFrame(x.astype(np.float32), columns=list(features))
        place = np.arange(len(x))
        table = table.assign(label=y.astype(np.int32), tx_id=place)
        table = table.assign(held_out=place >= len(x) - held_out)
        whole = spark.createDataFrame(table).repartition(workers, "tx_id")
        return whole.sortWithinPartitions("tx_id").cache()

    return frame


@pytest.fixture(params=kinds.NAMES)
def kind(request):
    return request.param


@pytest.fixture
def files(bundles, kind):
    return bundles[kind]


@pytest.fixture
def scorer(files):
    return bundle.load(files)
