"""Small trained models of both kinds, as bundles."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from fraudlake.models import bundle, kinds
from fraudlake.models.calibration import Calibration
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
def bundles(booster, network):
    """Kind → files."""
    net, mean, std = network
    return {
        "xgboost": packed("xgboost", booster.save_raw("ubj")),
        "mlp": packed("mlp", mlp.to_safetensors(net.state_dict(), mean, std)),
    }


@pytest.fixture(params=kinds.NAMES)
def kind(request):
    return request.param


@pytest.fixture
def files(bundles, kind):
    return bundles[kind]


@pytest.fixture
def scorer(files):
    return bundle.load(files)
