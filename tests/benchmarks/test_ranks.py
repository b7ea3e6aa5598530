"""Rows that do not fit; the short form is among the loader's own tests."""

import json
import subprocess
import sys

import pytest
from tests.conftest import ROOT


@pytest.mark.slow
def test_three_times_its_memory_is_trained_within_it():
    words = ["rows=2400000", "memory_mb=64", "hidden=32", "parts=memory"]
    done = subprocess.run(
        [sys.executable, "benchmarks/ranks.py", *words],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "lib")},
    )
    found = json.loads(done.stdout)
    assert found["rows_mb"] >= 3 * 64
    assert found["peak_mb"] <= 64
