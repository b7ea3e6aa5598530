"""What is wrong with a configuration is said in one sentence each: key, got, expected."""

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from fraudlake.config import explain
from fraudlake.errors import ConfigError


class Inner(BaseModel):
    depth: int = 1


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rows: int = Field(description="how many rows")
    share: float = Field(0.5, le=1)
    inner: Inner = Inner()
    name: str = "a"

    @field_validator("name")
    @classmethod
    def _short(cls, value):
        if len(value) > 3:
            raise ConfigError([f"got {value!r}, expected three letters", "and no more"])
        return value


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ["rows: missing, expected how many rows"]),
        ({"rows": "many"}, ["rows: got 'many', expected a whole number"]),
        ({"rows": 1, "share": 2}, ["share: got 2, expected less than or equal to 1"]),
        ({"rows": 1, "inner": {"depth": "x"}}, ["inner.depth: got 'x', expected a whole number"]),
        (
            {"rows": 1, "shares": 1},
            ["shares: unknown key, expected one of rows, share, inner, name; did you mean share?"],
        ),
        (
            {"rows": 1, "name": "longer"},
            ["name: got 'longer', expected three letters", "name: and no more"],
        ),
    ],
)
def test_each_problem_is_a_sentence(given, said):
    with pytest.raises(ValidationError) as raised:
        Model.model_validate(given)
    assert explain(raised.value, Model) == said


def test_what_is_no_yaml_is_one_problem():
    with pytest.raises(yaml.YAMLError) as raised:
        yaml.safe_load("a: [")
    (said,) = explain(raised.value, Model)
    assert said.startswith("got ")
    assert said.endswith("expected YAML keys and values")
