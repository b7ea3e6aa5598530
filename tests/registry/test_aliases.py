"""Aliases move by command, every move is noted, and each can be taken back."""

import json
from types import SimpleNamespace

import pytest
from tests.models.test_gate import FINE
from tests.registry.test_client import packed, register

from fraudlake import job
from fraudlake.errors import FraudlakeError
from fraudlake.models import bundle
from fraudlake.models.gate import COMPARED, Comparison
from fraudlake.models.golden import GoldenError
from fraudlake.registry import Registry


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A registry of three versions; the third one says other than when it was registered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = str(tmp_path_factory.mktemp("aliases") / "lake")
        registry = Registry(root)
        bundles = [packed(n) for n in (1, 2, 3)]
        for number, files in enumerate(bundles):
            days = {"test_from": f"2018-08-{8 + number // 2 * 7:02}", "test_to": "2018-08-30"}
            compared = {0: Comparison(None), 1: Comparison(1, 0.7, 0.6)}.get(number)
            tags = days | {COMPARED: compared and compared.text()}
            register(registry, files, f"f{number}", tags=tags, metrics=FINE)
        registry.note(3, {"golden": json.dumps([0.5] * 16)})
        yield SimpleNamespace(root=root, registry=registry, bundles=bundles)


def test_a_version_is_promoted_and_taken_back(lake, capsys):
    registry, root = lake.registry, lake.root

    def promote(version, **more):
        return job.call("promote", None, lake=root, version=version, by="Ada", **more)

    with pytest.raises(FraudlakeError, match="champion: got no version that has it"):
        job.call("rollback", None, lake=root, by="Ada")
    first = promote(1)
    assert (first["before"], first["sha256"]) == (None, bundle.digest(lake.bundles[0]))
    with pytest.raises(FraudlakeError, match="got no version that had it before version 1"):
        job.call("rollback", None, lake=root, by="Ada")
    promote(2, alias="challenger", why="fewer false alarms")
    assert (registry.champion(), registry.resolve("challenger")) == (1, 2)
    second = promote("challenger", why="two good weeks")
    assert (second["version"], second["before"], second["by"]) == (2, 1, "Ada")
    assert registry.champion() == 2
    # Once more changes nothing, and notes nothing.
    promote(2)
    assert [c.version for c in registry.changes() if c.alias == "champion"] == [1, 2]
    back = job.call("rollback", None, lake=root, by="Bo", why="it flags nobody")
    assert (back["version"], back["before"], back["rollback"]) == (1, 2, True)
    assert registry.champion() == 1
    with pytest.raises(FraudlakeError, match="got no version that had it before version 1"):
        registry.rollback()

    told = job.call("models", None, lake=root)
    assert [(c["alias"], c["version"], c["by"], c["why"]) for c in told["changes"]] == [
        ("champion", 1, "Ada", ""),
        ("challenger", 2, "Ada", "fewer false alarms"),
        ("champion", 2, "Ada", "two good weeks"),
        ("champion", 1, "Bo", "it flags nobody"),
    ]
    assert [one["version"] for one in told["versions"]] == [1, 2, 3]
    page = capsys.readouterr().out
    assert "rolled back. it flags nobody" in page
    assert "2018-08-08 … 2018-08-30" in page


def test_a_training_that_wins_is_noted_too(lake):
    lake.registry.promote(1, by="Ada")
    assert lake.registry.take_over(2, 1, "average precision 0.8, champion 1 0.7")
    change = lake.registry.changes()[-1]
    assert (change.by, change.why) == ("train", "average precision 0.8, champion 1 0.7")
    assert lake.registry.rollback(by="Bo").version == 1


def test_a_version_that_says_other_than_it_did_gets_no_alias(lake):
    before = lake.registry.champion(), lake.registry.changes()
    with pytest.raises(GoldenError, match="golden batch"):
        job.call("promote", None, lake=lake.root, version=3, by="Ada")
    with pytest.raises(
        FraudlakeError, match="model: got '9', expected one of the versions 1, 2, 3"
    ):
        job.call("promote", None, lake=lake.root, version=9, by="Ada")
    assert (lake.registry.champion(), lake.registry.changes()) == before


def test_versions_side_by_side(lake, capsys):
    told = job.call("models", None, lake=lake.root, compare="1,2")
    assert [one["version"] for one in told["versions"]] == [1, 2]
    assert told["remarks"] == []
    assert "xgboost v2" in capsys.readouterr().out
    told = job.call("models", None, lake=lake.root, compare="3,1")
    assert told["remarks"] == [
        "versions 3, 1 were not measured on the same rows: their figures say nothing of each other"
    ]
    assert "test_from" in capsys.readouterr().out
