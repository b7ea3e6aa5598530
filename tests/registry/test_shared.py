"""Lakes that share a server do not meet in it; versions under the name of before are found."""

from __future__ import annotations

import pytest

from fraudlake.errors import FraudlakeError
from fraudlake.registry import Registry, location

from .test_client import packed, register


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Address of an empty server's database: MLflow takes seconds to create one."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/empty.db")
        Registry("/data/empty")
    return folder / "empty.db"


@pytest.fixture
def server(database, tmp_path, monkeypatch):
    """A server of the test's own."""
    (tmp_path / "mlflow.db").write_bytes(database.read_bytes())
    monkeypatch.chdir(tmp_path)  # without a server's word, artefacts go below the working folder
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.delenv("FRAUDLAKE_MODEL_NAME", raising=False)


def test_two_lakes_do_not_meet(server):
    first, second = Registry("/data/first/lake"), Registry("/data/second/lake")
    assert register(first, packed(1), "f") == 1
    first.promote(1)
    assert (second.find("f"), second.champion(), second.versions()) == (None, None, [])
    assert [register(second, packed(seed), "f") for seed in (2, 3)] == [1, 2]
    second.promote(2)
    assert (first.champion(), second.champion()) == (1, 2)
    assert first.find("f") == 1
    assert first.files(1) == packed(1)
    with pytest.raises(FraudlakeError, match="got version 2, expected one of: 1"):
        first.files(2)
    model = first._client.get_registered_model(first.name)
    assert model.tags["lake"] == "/data/first/lake"
    runs = [r._client.get_run(r.describe(1)["run_id"]).info for r in (first, second)]
    assert runs[0].experiment_id != runs[1].experiment_id
    again = Registry("/data/first/lake/")
    assert again.resolve("champion") == 1


@pytest.fixture
def before(server, monkeypatch):
    """A function: versions as the release before registered them, for these lakes."""

    def fill(*lakes):
        with monkeypatch.context() as patch:
            patch.setenv("FRAUDLAKE_MODEL_NAME", "fraudlake")
            for number, lake in enumerate(lakes):
                config = {"lake": lake} if lake else {"model": "xgboost"}
                register(Registry(lake or "/data/x"), packed(number), f"f{number}", config=config)

    return fill


CALLS = [
    lambda registry: registry.find("f0"),
    lambda registry: registry.resolve("champion"),
    lambda registry: registry.resolve("1"),
    lambda registry: registry.files(1),
    lambda registry: registry.versions(),
]


def test_versions_of_before_are_found_and_refused_with_what_to_do(before, monkeypatch):
    before("/data/first", "/data/second", "/data/first/")
    registry = Registry("/data/first")
    for call in CALLS:
        with pytest.raises(FraudlakeError, match="got versions 1, 3 of `fraudlake`") as caught:
            call(registry)
    said = str(caught.value)
    assert "FRAUDLAKE_MODEL_NAME=fraudlake goes on with them" in said
    own = location.own_name("/data/first")
    assert f"FRAUDLAKE_MODEL_NAME={own} begins with version 1" in said

    monkeypatch.setenv("FRAUDLAKE_MODEL_NAME", "fraudlake")
    assert Registry("/data/first").find("f2") == 3
    monkeypatch.setenv("FRAUDLAKE_MODEL_NAME", own)
    assert register(Registry("/data/first"), packed(9), "f9") == 1
    monkeypatch.delenv("FRAUDLAKE_MODEL_NAME")
    assert Registry("/data/first").find("f9") == 1


def test_a_lake_with_no_version_among_them_goes_on(before):
    before("/data/first")
    registry = Registry("/data/third")
    assert registry.find("f0") is None
    assert register(registry, packed(5), "f0") == 1
    with pytest.raises(FraudlakeError, match="run train first"):
        Registry("/data/fourth").resolve("champion")


def test_a_version_that_names_no_lake_may_be_anybodys(before):
    before(None, "/data/first")
    with pytest.raises(FraudlakeError, match="got versions 1 of `fraudlake`"):
        Registry("/data/third").versions()
