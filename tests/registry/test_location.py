"""Where models are and what they are called: one name for one lake, whoever writes its root."""

from __future__ import annotations

import re

import pytest

from fraudlake.errors import ConfigError
from fraudlake.registry import location

SERVER = "http://tracking:5000"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", SERVER)
    monkeypatch.delenv("FRAUDLAKE_MODEL_NAME", raising=False)


def test_a_folder_has_one_name_however_it_is_written(server, tmp_path, monkeypatch):
    (tmp_path / "bank" / "lake").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "bank" / "lake")
    monkeypatch.chdir(tmp_path)
    whole = str(tmp_path / "bank" / "lake")
    name = location.model_name(whole)
    assert name.startswith("fraudlake-bank-lake-")
    for root in ("bank/lake", "./bank/lake/", f"{whole}/", f"{whole}//", "link", f"file://{whole}"):
        assert location.model_name(root) == name


@pytest.mark.parametrize(
    ("root", "other"),
    [
        ("s3://bucket/bank/lake", "s3a://bucket/bank/lake/"),
        ("abfss://c@account/lake", "ABFSS://c@account/lake"),
        ("main.fraud", "Main.FRAUD"),
    ],
)
def test_a_store_or_a_catalog_has_one_name_however_it_is_written(server, root, other):
    assert location.model_name(root) == location.model_name(other)


def test_lakes_have_names_of_their_own_that_mlflow_takes(server):
    roots = ["/a/lake", "/b/lake", "/a-lake", "s3://a/lake", "a.lake", "/a/Lake", "/", "/é/湖"]
    roots += [f"/{'x' * 300}/{n}" for n in (1, 2)]
    names = [location.model_name(root) for root in roots]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"fraudlake-([A-Za-z0-9-]*-)?[0-9a-f]{8}", name)
        assert len(name) < 100
    assert "fraudlake" not in names


def test_beside_the_lake_it_is_the_common_name(tmp_path, monkeypatch):
    root = str(tmp_path / "lake")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    beside = location.tracking_uri(root)
    for uri in (None, beside):  # a user who looks at it with MLflow's own tools sets the variable
        if uri:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert location.model_name(root) == "fraudlake"
        assert location.folder_beside(root) == tmp_path / "lake-mlflow"
    assert location.model_name(str(tmp_path / "other")) != "fraudlake"
    assert location.folder_beside(str(tmp_path / "other")) is None


def test_a_user_names_the_model_on_a_server(server, monkeypatch):
    monkeypatch.setenv("FRAUDLAKE_MODEL_NAME", "fraudlake")
    assert location.model_name("/data/lake") == "fraudlake"
    monkeypatch.setenv("FRAUDLAKE_MODEL_NAME", "bank/fraud")
    with pytest.raises(ConfigError, match="FRAUDLAKE_MODEL_NAME: got 'bank/fraud', expected"):
        location.model_name("/data/lake")
