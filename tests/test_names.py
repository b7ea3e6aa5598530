"""A name of a file in `conf/` is right where the file is, and each two files that fit."""

import pytest
from pydantic import TypeAdapter, ValidationError

from fraudlake import names


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (names.DatasetName, "handbook"),
        (names.FeatureSetName, "full"),
        (names.ContenderName, "mlp"),
    ],
)
def test_a_name_is_checked_with_its_file(kind, name):
    assert TypeAdapter(kind).validate_python(name) == name
    with pytest.raises(ValidationError, match=f"did you mean {name}"):
        TypeAdapter(kind).validate_python(name + "s")


def test_a_feature_set_that_does_not_fit_its_data_set_is_told():
    assert not names.misfits({"features": "handbook", "dataset": "handbook"})
    assert not names.misfits({"features": "full", "dataset": None})
    assert "features: got entity 'card'" in names.misfits(
        {"features": "full", "dataset": "handbook"}
    )[0]  # fmt: skip
