import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fraudlake.simulate import draws

KEYS = draws.keyed(7, "test", np.arange(200_000))


@given(st.integers(0, 2**64 - 1), st.sampled_from([8, 15, 52]))
def test_scrambled_ids_are_distinct_and_fit(start, bits):
    numbers = (start + np.arange(200, dtype=np.uint64)) & np.uint64(2**bits - 1)
    scrambled = draws.scrambled(numbers.astype(np.int64), bits)
    assert len(set(scrambled.tolist())) == 200
    assert scrambled.min() >= 0
    assert scrambled.max() < 2**bits


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**40), min_size=1, max_size=20))
def test_a_draw_depends_on_its_own_ids_alone(seed, ids):
    together = draws.uniform(draws.keyed(seed, "test", ids), "u")
    alone = [draws.uniform(draws.keyed(seed, "test", [i]), "u")[0] for i in ids]
    assert together.tolist() == alone


def test_uniform_draws_are_uniform_and_unrelated():
    a, b = draws.uniform(KEYS, "a"), draws.uniform(KEYS, "b")
    assert a.min() >= 0
    assert a.max() < 1
    counts = np.bincount((a * 100).astype(int), minlength=100)
    assert ((counts - 2000) ** 2 / 2000).sum() < 160  # chi-square, 99 degrees of freedom
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.01
    assert abs(np.corrcoef(a[1:], a[:-1])[0, 1]) < 0.01
    one, other = draws.keyed(1, "x", [1], [2]), draws.keyed(1, "x", [2], [1])
    assert one != other


def test_normal_and_poisson_have_their_moments():
    z = draws.normal(KEYS, "z")
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01
    for rate in (0.0, 0.3, 4.0):
        n = draws.poisson(draws.uniform(KEYS, "n"), rate)
        assert abs(n.mean() - rate) < 0.03
        assert abs(n.var() - rate) < 0.06


@pytest.mark.parametrize("exponent", [0.0, 0.6, 1.0, 1.7])
def test_zipf_ranks_follow_their_shares(exponent):
    ranks = draws.zipf(draws.uniform(KEYS, "rank"), 50, exponent)
    seen = np.bincount(ranks, minlength=50) / len(ranks)
    expected = draws.zipf_share(np.arange(50), 50, exponent)
    assert len(seen) == 50
    np.testing.assert_allclose(seen, expected, atol=0.004)
    if exponent:
        assert expected[0] / expected[9] == pytest.approx(10**exponent, rel=0.3)
