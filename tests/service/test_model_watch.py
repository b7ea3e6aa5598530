"""The model in service: followed, checked, refused, kept."""

import json
import logging
import time
from types import SimpleNamespace

import pytest
from tests.models.conftest import FEATURES

from fraudlake.errors import ConfigError, DataError, FraudlakeError
from fraudlake.models import bundle, golden
from fraudlake.models.bundle import BundleError
from fraudlake.models.golden import GoldenError
from fraudlake.service.admission import Model, admit
from fraudlake.service.model_watch import ModelWatch


class Aliases(dict):
    """A registry of aliases; `down` is what it raises instead of an answer."""

    down: Exception | None = None

    def resolve(self, alias):
        if self.down:
            raise self.down
        if alias not in self:
            raise FraudlakeError(f"no {alias}")
        return self[alias]


def admitted(version):
    if version < 0:
        raise BundleError(f"bad {version}")
    if version > 90:
        raise TimeoutError("no route")
    return Model(version, {}, "", 0.5)


@pytest.fixture
def aliases():
    return Aliases(champion=1)


@pytest.fixture
def watch(aliases):
    with ModelWatch(aliases.resolve, admitted, "champion", required=True, every=3600) as watch:
        yield watch


def test_a_new_version_takes_over(watch, aliases, caplog):
    caplog.set_level(logging.INFO, "fraudlake")
    assert watch.current().version == 1
    aliases["champion"] = 2
    assert watch.current().version == 1
    watch.look()
    assert watch.current().version == 2
    assert "champion: version 2 goes into service after version 1" in caplog.text


def test_a_bad_version_is_refused_once_and_the_old_stays(watch, aliases, caplog):
    aliases["champion"] = -2
    watch.look()
    watch.look()
    assert (watch.current().version, watch.refused) == (1, -2)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "champion: version -2 is refused, version 1 stays: bad -2")
    ]
    aliases["champion"] = 1
    watch.look()
    assert watch.refused is None
    aliases["champion"] = 3
    watch.look()
    assert watch.current().version == 3


def test_a_registry_that_is_down_changes_nothing(watch, aliases, caplog):
    aliases.down = ConnectionError("refused\n at once")
    for _ in range(3):
        watch.look()
    assert not watch.reachable
    assert watch.current().version == 1
    assert [record.getMessage() for record in caplog.records] == [
        "champion: the registry does not answer, serving with version 1: refused at once"
    ]
    aliases.down = None
    aliases["champion"] = 99  # answers, and its files cannot be fetched: not the model's fault
    watch.look()
    assert (watch.reachable, watch.refused) == (False, None)
    aliases["champion"] = 2
    watch.look()
    assert watch.reachable
    assert watch.current().version == 2


def test_a_champion_whose_alias_goes_stays_and_a_challenger_leaves(aliases, watch, caplog):
    aliases["challenger"] = 5
    with ModelWatch(aliases.resolve, admitted, "challenger", False, 3600) as shadow:
        assert shadow.current().version == 5
        aliases.clear()
        shadow.look()
        watch.look()
        assert shadow.current() is None
    assert watch.current().version == 1
    assert watch.reachable
    assert "champion: serving with version 1: no champion" in caplog.text


def test_a_service_starts_with_a_champion_and_without_a_challenger(aliases):
    aliases.clear()
    with pytest.raises(FraudlakeError, match="no champion"):
        ModelWatch(aliases.resolve, admitted, "champion", True, 3600).__enter__()
    with ModelWatch(aliases.resolve, admitted, "challenger", False, 3600) as shadow:
        assert shadow.current() is None


def test_a_challenger_that_is_not_there_is_no_warning(aliases, caplog):
    """Nor does any message name a model `None`: there is none, it left, it is refused."""
    caplog.set_level(logging.INFO, "fraudlake")
    with ModelWatch(aliases.resolve, admitted, "challenger", False, 3600) as shadow:
        shadow.look()
        assert not caplog.records
        aliases.down = ConnectionError("refused")
        shadow.look()
        aliases.down = None
        for version in (-2, 5):
            aliases["challenger"] = version
            shadow.look()
        del aliases["challenger"]
        shadow.look()
        shadow.look()
    assert [(r.levelname, r.getMessage().removeprefix("challenger: ")) for r in caplog.records] == [
        ("WARNING", "the registry does not answer, serving with none: refused"),
        ("ERROR", "version -2 is refused, there is none to go on with: bad -2"),
        ("INFO", "version 5 goes into service"),
        ("INFO", "version 5 leaves service: no challenger"),
    ]


def test_the_thread_looks_by_itself_and_ends_with_the_block(aliases):
    with ModelWatch(aliases.resolve, admitted, "champion", True, 0.01) as watch:
        aliases["champion"] = 2
        deadline = time.monotonic() + 20
        while watch.current().version == 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert watch.current().version == 2
    watch._thread.join(20)
    assert not watch._thread.is_alive()


def registry(files, **tags):
    return SimpleNamespace(files=lambda _: files, describe=lambda _: tags)


def test_what_is_admitted_can_score(files):
    noted = json.dumps(golden.scores(bundle.load(files)))
    model = admit(registry(files, golden=noted), 4, "abc", [*FEATURES, "more"], 2)
    assert (model.version, model.digest) == (4, bundle.digest(files))
    assert model.threshold == bundle.load(files).threshold(2)
    assert model.files is files
    assert "weights" not in repr(model)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"definition": "abd"}, DataError, "trained on feature definition abc, got abd"),
        ({"columns": FEATURES[1:]}, DataError, "got the features f0, which the stream does not"),
        ({"alerts": 1e6}, ConfigError, "alerts: got 1e"),
        ({"golden": [0.5] * 16}, GoldenError, "away from those the model was registered with"),
    ],
)
def test_what_cannot_is_not(files, changes, error, said):
    arguments = {"definition": "abc", "columns": FEATURES, "alerts": 2} | changes
    noted = arguments.pop("golden", None)
    tags = {"golden": json.dumps(noted)} if noted else {}
    with pytest.raises(error, match=said):
        admit(registry(files, **tags), 4, **arguments)
