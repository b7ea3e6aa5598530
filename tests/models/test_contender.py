"""Contenders: every shipped file loads, every problem is told at once."""

import subprocess
import sys

import pytest
import yaml

from fraudlake import resources
from fraudlake.errors import ConfigError
from fraudlake.models.contender import load_contender
from fraudlake.models.mlp.contender import MlpContender
from fraudlake.models.xgboost.contender import XGBoostContender


def test_every_shipped_contender_loads():
    found = {name: type(load_contender(name)) for name in resources.names("models")}
    assert found["xgboost"] is XGBoostContender
    assert found["mlp"] is MlpContender
    assert all(load_contender(name).name == name for name in found)


@pytest.mark.parametrize("name", resources.names("models"))
def test_a_file_opens_with_the_command_that_runs_it(name):
    first = resources.find("models", name).read_text().splitlines()[0]
    assert first.startswith(f"# fraudlake train model={name} ")


def test_defaults_are_those_of_the_kind(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("kind: xgboost\nparameters: {max_depth: 5}\n")
    contender = load_contender(str(path))
    assert contender.parameters.max_depth == 5
    assert contender.parameters.base_score == 0.5
    assert contender.rounds == 100


def problems(tmp_path, content):
    path = tmp_path / "mine.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    with pytest.raises(ConfigError) as caught:
        load_contender(str(path))
    return caught.value.problems


def test_all_problems_at_once(tmp_path):
    found = problems(
        tmp_path,
        {
            "kind": "xgboost",
            "workers": 0,
            "roundz": 3,
            "parameters": {"lerning_rate": 0.1, "max_depth": "deep"},
        },
    )
    assert len(found) == 4
    text = "\n".join(found)
    assert "parameters.lerning_rate: unknown key" in text
    assert "did you mean learning_rate?" in text
    assert "parameters.max_depth: got 'deep', expected a whole number" in text
    assert "workers: got 0" in text
    assert "roundz: unknown key" in text
    assert "did you mean rounds?" in text


@pytest.mark.parametrize("content", ["", "3", "- a", "kind: woods"])
def test_unknown_kind(tmp_path, content):
    assert "expected one of rules, logistic" in problems(tmp_path, content)[0]


@pytest.mark.parametrize(
    "content",
    ["kind: [", "kind: mlp\nhidden: [0]", "kind: mlp\ndropout: 1", "kind: xgboost\nparameters: 3"],
)
def test_wrong_values(tmp_path, content):
    assert len(problems(tmp_path, content)) == 1


def test_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ConfigError, match="did you mean xgboost"):
        load_contender("xgbost")


def test_nothing_heavy_is_imported():
    program = (
        "import sys; from fraudlake.models.contender import load_contender as load\n"
        "from fraudlake import resources\n"
        "[load(name) for name in resources.names('models')]\n"
        "sys.exit(len({'pyspark', 'torch', 'mlflow', 'xgboost', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
