"""What stands in `fraudlake` itself: all of it is there, and the import alone loads nothing."""

import subprocess
import sys

import pytest

import fraudlake

HEAVY = ("pyspark", "mlflow", "torch", "xgboost", "numpy", "pandas", "pyarrow", "pydantic")


@pytest.mark.parametrize("name", fraudlake.__all__)
def test_a_public_name_is_there_with_a_docstring(name):
    assert name in dir(fraudlake)
    assert getattr(fraudlake, name).__doc__


def test_the_import_loads_and_starts_nothing():
    code = "import fraudlake, sys; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in said.stdout.split()}
    assert not loaded & set(HEAVY)


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'lakes'"):
        _ = fraudlake.lakes
    with pytest.raises(ImportError, match="lakes"):
        from fraudlake import lakes  # noqa: F401
