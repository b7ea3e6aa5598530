"""The registry on SQLite: what goes in comes out, verified, with the right bits."""

import json
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from fraudlake.errors import ConfigError, FraudlakeError
from fraudlake.models import bundle
from fraudlake.models.calibration import Calibration
from fraudlake.registry import Registry, tracking_uri
from fraudlake.service.admission import admit

FEATURES = ("amount", "customer_count_7d", "night")


def packed(seed):
    import xgboost

    x = np.random.default_rng(seed).normal(size=(400, 3)).astype(np.float32)
    parameters = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 2}
    booster = xgboost.train(parameters, xgboost.DMatrix(x, x[:, 0] > x[:, 1] ** 2), 5)
    line = Calibration(1.1, -0.2)
    return bundle.pack(
        "xgboost",
        dict.fromkeys(FEATURES),
        "d1",
        timedelta(7),
        booster.save_raw("ubj"),
        line,
        [0.5],
        1.0,
        {},
    )


def register(registry, files, fingerprint, **more):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([1, 2])
    values = {
        "contender": "xgboost",
        "fingerprint": fingerprint,
        "parameters": {"contender.rounds": 5, "train_from": "2018-07-25"},
        "metrics": {"average_precision": 0.7, "card_precision_at_100": 0.3},
        "tags": {"test_from": "2018-08-08", "features_version": 3},
        "plots": {"calibration": figure},
        "config": {"model": "xgboost", "alerts": 100},
        "curves": {"average_precision": [0.9, 0.5, 0.7]},
    } | more
    return registry.register(files, **values)


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """A registry of two versions, the first one champion. MLflow takes seconds to create one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        root = tmp_path_factory.mktemp("a lake") / "lake"
        registry = Registry(str(root))
        with pytest.raises(FraudlakeError) as caught:
            registry.resolve("champion")
        empty = registry.find("f1"), registry.champion(), str(caught.value)
        bundles = {1: packed(1), 2: packed(2)}
        versions = [register(registry, bundles[i], f"f{i}") for i in bundles]
        registry.promote(1)
        yield SimpleNamespace(
            root=root, registry=registry, bundles=bundles, versions=versions, empty=empty
        )


@pytest.fixture
def registry(lake):
    yield lake.registry
    lake.registry.promote(1)


def test_an_empty_registry_says_what_to_do(lake):
    found, champion, message = lake.empty
    assert found is champion is None
    assert "got 'champion', expected a model at sqlite" in message
    assert "which has none; run train first" in message


def test_versions_count_up_and_are_found_by_fingerprint(registry, lake):
    assert lake.versions == [1, 2]
    assert registry.find("f1") == 1
    assert registry.find("f2") == 2
    assert registry.find("f3") is None


def test_the_database_is_beside_the_lake(lake):
    beside = lake.root.with_name("lake-mlflow")
    assert (beside / "mlflow.db").is_file()
    assert list((beside / "artifacts").glob("*/artifacts/figures/calibration.png"))
    assert list((beside / "artifacts").glob("*/artifacts/config.yaml"))
    assert not lake.root.exists()


def test_the_bundle_comes_back_byte_for_byte(registry, lake):
    x = np.random.default_rng(9).normal(size=(50, 3))
    for version, files in lake.bundles.items():
        assert registry.files(version) == files
        scorer = registry.load(version)
        assert scorer.digest == bundle.digest(files)
        np.testing.assert_array_equal(scorer.score(x), bundle.load(files).score(x))


def test_a_changed_artefact_is_refused(registry, lake):
    beside = lake.root.with_name("lake-mlflow")
    found = beside.glob("artifacts/models/*/artifacts/artifacts/bundle/weights.ubj")
    path = next(path for path in found if path.read_bytes() == lake.bundles[1]["weights.ubj"])
    path.write_bytes(lake.bundles[2]["weights.ubj"])
    try:
        with pytest.raises(FraudlakeError, match="not those that were registered"):
            registry.load(1)
        with pytest.raises(FraudlakeError, match="not those that were registered"):
            registry.files(1)
    finally:
        path.write_bytes(lake.bundles[1]["weights.ubj"])


def test_an_alias_moves(registry):
    assert registry.resolve("champion") == registry.champion() == 1
    registry.promote(2)
    assert registry.resolve("champion") == registry.champion() == 2
    registry.promote(1, "challenger")
    assert registry.resolve("challenger") == 1
    assert registry.champion() == 2


def test_the_alias_is_taken_from_the_version_that_lost_it_and_from_no_other(registry):
    assert registry.versions() == [1, 2]
    assert not registry.take_over(2, None, "")
    assert registry.champion() == 1
    assert registry.take_over(2, 1, "better")
    assert registry.champion() == 2


def test_notes_come_and_go(registry):
    registry.note(1, {"comparison": "won", "won_from": "2"})
    registry.note(1, {"comparison": "lost", "won_from": None})
    assert registry.describe(1)["comparison"] == "lost"
    assert "won_from" not in registry.describe(1)


def test_a_version_number_is_resolved(registry):
    assert registry.resolve("2") == 2


@pytest.mark.parametrize("model", ["3", "winner", "0", "-1", "", "1.0"])
def test_what_cannot_be_resolved_is_answered_with_what_there_is(registry, model):
    with pytest.raises(FraudlakeError, match=r"versions 1, 2 or .* aliases .*champion \(1\)"):
        registry.resolve(model)


def test_an_unknown_version(registry):
    for call in (registry.load, registry.metrics, registry.describe, registry.promote):
        with pytest.raises(FraudlakeError, match="got version 7, expected one of: 1, 2"):
            call(7)


def test_a_curve_has_its_steps_and_ends_with_the_metric(registry):
    run = registry.describe(1)["run_id"]
    found = registry._client.get_metric_history(run, "average_precision")
    assert [(one.step, one.value) for one in found] == [(1, 0.9), (2, 0.5), (3, 0.7)]


def test_metrics_and_description(registry, lake):
    assert registry.metrics(1) == {"average_precision": 0.7, "card_precision_at_100": 0.3}
    found = registry.describe(1)
    assert found["version"] == 1
    assert found["contender"] == "xgboost"
    assert found["fingerprint"] == "f1"
    assert found["definition"] == "d1"
    assert found["sha256"] == bundle.digest(lake.bundles[1])
    assert found["test_from"] == "2018-08-08"
    assert found["features_version"] == "3"
    assert "champion" in found["aliases"]
    assert found["parameters"] == {"contender.rounds": "5", "train_from": "2018-07-25"}


def test_a_registration_that_fails_leaves_no_version(registry):
    with pytest.raises(Exception, match="@"):
        register(registry, packed(3), "f3", metrics={"not@allowed": 1.0})
    assert registry.find("f3") is None
    with pytest.raises(FraudlakeError):
        registry.resolve("3")


def test_mlflows_own_loader_gives_scores(registry, lake, monkeypatch):
    import mlflow
    import pandas as pd

    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    x = np.random.default_rng(8).normal(size=(40, 3))
    model = mlflow.pyfunc.load_model("models:/fraudlake@champion")
    got = model.predict(pd.DataFrame(x, columns=FEATURES)[list(reversed(FEATURES))])
    np.testing.assert_array_equal(got, registry.load(1).score(x))
    assert len(np.unique(got)) > 2
    names = [column.name for column in model.metadata.signature.inputs.inputs]
    assert names == list(FEATURES)


def test_another_process_finds_the_version_and_prints_nothing(lake):
    program = (
        "import sys; from fraudlake.registry import Registry; r = Registry(sys.argv[1])\n"
        "assert r.load(r.resolve('champion')).features[0] == 'amount'"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(lake.root)],
        capture_output=True,
        text=True,
        check=False,
        cwd=lake.root.parent,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert sorted(path.name for path in lake.root.parent.iterdir()) == ["lake-mlflow"]


def test_registering_prints_nothing(registry, capfd):
    register(registry, packed(4), "f4")
    assert capfd.readouterr() == ("", "")
    registry._client.delete_model_version("fraudlake", "3")


def test_what_is_registered_is_admitted_to_service(lake, registry):
    """With the scores that it was registered with, which another model does not give."""
    model = admit(registry, 1, "d1", FEATURES, 1)
    assert model.files == lake.bundles[1]
    registry._client.set_model_version_tag("fraudlake", "2", "golden", json.dumps([0.5] * 16))
    with pytest.raises(FraudlakeError, match="golden batch"):
        admit(registry, 2, "d1", FEATURES, 1)


@pytest.mark.parametrize("root", ["s3://bucket/lake", "main.fraud"])
def test_a_lake_that_is_no_folder_needs_a_tracking_server(root, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(ConfigError, match="no MLFLOW_TRACKING_URI, expected the address of an"):
        Registry(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking:5000")
    assert tracking_uri(root) == "http://tracking:5000"


def test_tracking_uri_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri(str(tmp_path / "lake")) == f"sqlite:///{tmp_path}/lake-mlflow/mlflow.db"


def test_two_processes_may_create_the_database_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    program = (
        "import sys; from fraudlake.registry import Registry; Registry(sys.argv[1]).champion()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lake")]
    started = [
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) for _ in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
