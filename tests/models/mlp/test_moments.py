"""Moments over row groups and shards are those of all rows at once."""

import numpy as np
import torch
from tests.shards import FEATURES, Alone, rows, write

from fraudlake.launch import snapshot
from fraudlake.models.mlp import moments


class One(Alone):
    """The first of two ranks: the other's numbers come by `theirs`."""

    size = 2
    theirs = 0

    def sum(self, values):
        return values + self.theirs


class Other(Alone):
    """Keeps what it would give."""

    def sum(self, values):
        self.given = values
        return values


def test_they_are_numpys_on_any_number_of_ranks(tmp_path):
    parts = [rows(400), rows(97, seed=1)]
    parts[0][0][:] = np.where(np.arange(400)[:, None] < 64, np.nan, parts[0][0])
    folder = write(tmp_path, parts)
    a, b = snapshot.shards(folder, [0, 1], FEATURES, {False})
    found = moments.over(Alone(), [a, b], 2)
    x = np.concatenate([part[0] for part in parts]).astype(np.float64)
    label = np.concatenate([part[1] for part in parts])
    np.testing.assert_allclose(found.mean, np.nanmean(x, axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, np.nanstd(x, axis=0), rtol=1e-9, atol=1e-12)
    assert (found.base_rate, found.rows) == (label.mean(), [400, 97])

    other = Other()
    moments.over(other, [b], 2)
    one = One()
    one.theirs = other.given
    for ours, theirs in zip(moments.over(one, [a], 2), found, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert torch.is_tensor(other.given)
