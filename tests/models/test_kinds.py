"""Every kind of model is whole, and what is none is refused with the kinds that there are."""

from __future__ import annotations

from typing import get_args

import pytest

from fraudlake import resources
from fraudlake.models import kinds
from fraudlake.models.contender import load_contender


@pytest.mark.parametrize("name", kinds.NAMES)
def test_an_entry_is_of_its_name(name):
    kind = kinds.kind_of(name)
    assert get_args(kind.contender.model_fields["kind"].annotation) == (name,)
    assert kind.weights.startswith("weights.")
    assert not kind.scorer.__abstractmethods__


def test_every_kind_has_a_contender_that_is_shipped():
    assert {load_contender(name).kind for name in resources.names("models")} == set(kinds.NAMES)


@pytest.mark.parametrize("name", ["woods", "", "XGBOOST"])
def test_what_is_no_kind_is_refused(name):
    assert not kinds.is_name(name)
    with pytest.raises(ValueError, match=f"kind: got '{name}', expected one of rules, logistic"):
        kinds.kind_of(name)
