"""Operations are found, and go to other processes by their name."""

import pickle
from dataclasses import replace

import cloudpickle
import pytest

from fraudlake.features import operations
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.operations import OPERATIONS, moments


def test_every_module_declares_operations():
    assert list(OPERATIONS) == [operation.name for operation in OPERATIONS.values()]
    assert {"count", "mean", "zscore", "rate", "speed"} <= set(OPERATIONS)


def test_two_of_one_name_are_refused(monkeypatch):
    monkeypatch.setattr(moments, "OTHER", replace(moments.SUM, name="count"), raising=False)
    with pytest.raises(TypeError, match=r"moments: got operation count, which another has"):
        operations._declared()


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
def test_a_feature_is_the_same_in_another_process(pickler):
    for feature in load_feature_set("full").features:
        again = pickle.loads(pickler.dumps(feature))  # noqa: S301  # our own
        assert again == feature
        assert again.operation is feature.operation
