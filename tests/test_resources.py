"""What ships is found: in a checkout, and inside an installed package."""

import pytest

from fraudlake import resources
from fraudlake.errors import ConfigError


def test_what_ships_is_listed():
    assert {"handbook", "simulated"} <= set(resources.names("datasets"))
    assert {"features", "ingest", "train"} <= set(resources.jobs())
    assert not [name for name in resources.jobs() if name.startswith("_")]


def test_an_installed_package_has_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "package")
    monkeypatch.setattr(resources, "_CHECKOUT", tmp_path)
    assert resources.folder("conf") == tmp_path / "conf"
    (tmp_path / "package" / "conf").mkdir(parents=True)
    assert resources.folder("conf") == tmp_path / "package" / "conf"


def test_a_name_or_a_path_is_found(tmp_path):
    assert resources.find("features", "handbook").name == "handbook.yaml"
    path = tmp_path / "own.yaml"
    with pytest.raises(ConfigError, match="expected the path of a YAML file that exists"):
        resources.find("features", str(path))
    path.write_text("")
    assert resources.find("features", str(path)) == path
    with pytest.raises(ConfigError, match="did you mean handbook"):
        resources.find("features", "handbok")
