"""Networks: the scorer agrees with PyTorch, and its products are exact."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fraudlake.models import bundle
from fraudlake.models.mlp import scorer as mlp

from .conftest import LINE, packed, rows

ENTRIES = st.one_of(st.floats(-1e6, 1e6), st.floats(-1e-6, 1e-6), st.just(0.0))


def torch_margins(network, x):
    import torch

    net, mean, std = network
    z = mlp.standardise(x.astype(np.float32), mean, std)
    with torch.no_grad():
        return net(torch.tensor(z, dtype=torch.float32)).numpy().astype(np.float64)


def test_margins_agree_with_torch(network, bundles):
    x = rows(1000, seed=4)
    scorer = bundle.load(bundles["mlp"])
    np.testing.assert_allclose(scorer.margins(x), torch_margins(network, x), rtol=1e-5, atol=1e-4)


def test_nan_stands_for_the_training_mean(network, bundles):
    scorer = bundle.load(bundles["mlp"])
    x = rows(20, seed=4)
    missing, filled = x.copy(), x.copy()
    missing[:, 1], filled[:, 1] = np.nan, network[1][1]
    np.testing.assert_allclose(scorer.margins(missing), scorer.margins(filled), atol=1e-5)
    np.testing.assert_array_equal(scorer.contributions(missing)[:, 1], 0)
    everything = np.full((1, 7), np.nan)
    assert LINE.slope * scorer.margins(everything)[0] + LINE.intercept == scorer.base()


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_products_of_grids_are_exact(data):
    """Exact means: no order of summation can change a bit."""
    terms = data.draw(st.integers(1, 40))
    x = data.draw(arrays(np.float64, (1, terms), elements=ENTRIES))
    w = mlp.on_grid(data.draw(arrays(np.float64, (1, terms), elements=ENTRIES)), terms)
    pairs = zip(mlp.on_grid(x, terms)[0].tolist(), w[0].tolist(), strict=True)
    exact = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    assert Fraction(mlp.product(x, w)[0, 0]) == exact


@pytest.mark.parametrize("terms", [1, 2, 15, 512, 513])
def test_a_grid_is_fine_and_the_worst_sum_fits(terms):
    x = np.random.default_rng(0).normal(size=(1, terms))
    worst = mlp.on_grid(np.full((1, terms), 2.0 - 2**-52), terms)
    assert (worst == 2.0).all()
    assert np.abs(mlp.on_grid(x, terms) - x).max() <= np.abs(x).max() * 2.0**-21
    odd = worst.copy()
    odd[0, 0] -= 2.0 ** (1 - (53 - (terms - 1).bit_length()) // 2)
    exact = sum(Fraction(a) ** 2 for a in odd[0].tolist())
    assert Fraction((odd @ odd.T)[0, 0]) == exact


def test_contributions_before_sharing_out_the_rest_are_nearly_complete(bundles, monkeypatch):
    """The rest that is shared out is small, so contributions are integrated gradients."""
    scorer = bundle.load(bundles["mlp"])
    x = rows(300, seed=4)
    fine = scorer.contributions(x)
    monkeypatch.setattr(mlp, "_STEPS", 4096)
    finest = scorer.contributions(x)
    size = np.abs(finest).sum(axis=1)
    share = np.abs(fine - finest).max(axis=1) / size
    assert np.median(share) < 0.002
    assert share.max() < 0.02


def test_contributions_of_a_linear_network_are_weight_times_deviation():
    import torch

    from fraudlake.models.nets.feedforward import FeedForward

    torch.manual_seed(3)
    net = FeedForward(7, [], 0.0)
    mean, std = np.arange(7.0), np.arange(1.0, 8.0)
    scorer = bundle.load(packed("mlp", mlp.to_safetensors(net.state_dict(), mean, std)))
    x = rows(20).astype(np.float32).astype(np.float64)
    weight = net.linear[0].weight.detach().numpy().astype(np.float64)
    expected = LINE.slope * weight * (x - mean) / std
    np.testing.assert_allclose(scorer.contributions(x), expected, atol=1e-6)


def test_a_network_is_scored_without_torch(bundles, tmp_path):
    for name, data in bundles["mlp"].items():
        (tmp_path / name).write_bytes(data)
    program = (
        "import sys, pathlib, numpy; from fraudlake.models import bundle\n"
        "files = {p.name: p.read_bytes() for p in pathlib.Path(sys.argv[1]).iterdir()}\n"
        "print(bundle.load(files).score(numpy.zeros((1, 7)))[0])\n"
        "assert not {'torch', 'mlflow', 'pandas', 'pyspark'} & set(sys.modules), 'imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == bundle.load(bundles["mlp"]).score(np.zeros((1, 7)))[0]
