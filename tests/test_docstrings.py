"""The examples in docstrings hold, all of them; that each public name has one is ruff's to say."""

from __future__ import annotations

import doctest
import importlib

import pytest
from tests.conftest import ROOT

LIBRARY = ROOT / "lib"
WITH_EXAMPLES = {
    ".".join(path.relative_to(LIBRARY).with_suffix("").parts): text
    for path in sorted(LIBRARY.rglob("*.py"))
    if ">>> " in (text := path.read_text())
}


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_hold(name, request, tmp_path, monkeypatch):
    """In an empty folder; `spark` is the session of the tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    text = WITH_EXAMPLES[name]
    assert "+SKIP" not in text
    known = {"spark": request.getfixturevalue("spark")} if ">>> spark" in text else {}
    tried = doctest.testmod(importlib.import_module(name), extraglobs=known)
    assert tried.attempted
    assert not tried.failed
