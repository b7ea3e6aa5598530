"""A person's word goes through the gate, and is enough only with those of all who must agree."""

from __future__ import annotations

import getpass
from types import SimpleNamespace

import pytest
from tests.models.test_gate import FINE
from tests.registry.test_client import packed, register

from fraudlake import job
from fraudlake.errors import ConfigError, FraudlakeError
from fraudlake.models.gate import COMPARED, Comparison
from fraudlake.registry import Registry


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Versions: the champion, one that won it, one that flags nothing, one of a contest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        folder = tmp_path_factory.mktemp("promotion")
        registry = Registry(str(folder / "lake"))
        won = Comparison(1, 0.7, 0.6)
        nothing = FINE | {"tp": 0.0, "fp": 0.0}
        for number, (compared, metrics) in enumerate(
            [(Comparison(None), FINE), (won, FINE), (won, nothing), (None, FINE)]
        ):
            tags = {COMPARED: compared and compared.text()}
            register(registry, packed(number), f"f{number}", tags=tags, metrics=metrics)
        gate = folder / "two.yaml"
        gate.write_text("approvals: 2\ntrainer_approves: false\n")
        yield SimpleNamespace(registry=registry, root=registry.lake, two=str(gate))


@pytest.fixture
def promote(lake):
    """A function: the job, with version 1 as champion before it."""
    lake.registry.promote(1, by="Ada")

    def call(version, by="Bo", **more):
        return job.call("promote", None, lake=lake.root, version=version, by=by, **more)

    return call


def test_what_passes_is_promoted(lake, promote):
    done = promote(2, why="two good weeks")
    assert (done["promoted"], done["before"], done["why"]) == (True, 1, "two good weeks")
    assert lake.registry.champion() == 2
    assert promote(2)["promoted"], "once more"


@pytest.mark.parametrize(
    ("version", "sentence"),
    [(3, "got no test row flagged"), (4, "comparison: got none with the champion")],
)
def test_what_does_not_pass_is_refused_unless_somebody_says_why(lake, promote, version, sentence):
    with pytest.raises(FraudlakeError, match=sentence) as caught:
        promote(version)
    assert "overrule=true why=REASON" in str(caught.value)
    assert lake.registry.champion() == 1
    with pytest.raises(ConfigError, match="why: got nothing, expected a reason"):
        promote(version, overrule=True)
    done = promote(version, overrule=True, why="the other one is down")
    assert lake.registry.champion() == version
    assert done["why"].startswith("the other one is down (overruled: ")
    assert sentence in lake.registry.changes()[-1].why


def test_on_trial_anything_may_be(lake, promote):
    promote(3, alias="challenger")
    assert lake.registry.resolve("challenger") == 3


def test_two_persons_must_agree_and_one_is_not_two(lake, promote):
    first = promote(2, gate=lake.two)
    assert first == {
        "job": "promote",
        "promoted": False,
        "approvals": ["Bo"],
        "version": 2,
        "alias": "champion",
        "missing": 1,
    }
    assert lake.registry.champion() == 1
    with pytest.raises(FraudlakeError, match="by: got BO, who has approved version 2 already"):
        promote(2, by=" BO ", gate=lake.two)
    with pytest.raises(FraudlakeError, match="who trained version 2, expected another person"):
        promote(2, by=getpass.getuser(), gate=lake.two)
    with pytest.raises(FraudlakeError, match="does not pass the gate"):
        promote(3, gate=lake.two)
    assert lake.registry.champion() == 1
    done = promote(2, by="Cleo", gate=lake.two, why="seen by both")
    assert (done["promoted"], done["approvals"], done["by"]) == (True, ["Bo", "Cleo"], "Cleo")
    assert lake.registry.champion() == 2
