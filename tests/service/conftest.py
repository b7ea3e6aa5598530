"""A small boosted model as a bundle."""

import pytest
from tests.models.conftest import booster, packed  # noqa: F401


@pytest.fixture(scope="session")
def files(booster):  # noqa: F811
    return packed("xgboost", booster.save_raw("ubj"))
