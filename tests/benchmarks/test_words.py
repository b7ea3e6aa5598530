"""Every benchmark says what it does and takes, without Spark and without a traceback."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest
from benchmarks import words
from tests.conftest import ROOT

FOLDER = ROOT / "benchmarks"
BENCHMARKS = [
    path
    for path in sorted([*FOLDER.glob("*.py"), *FOLDER.glob("*/__main__.py")])
    if "\nif __name__ ==" in path.read_text()
]


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: str(path.relative_to(FOLDER)))
def test_help_says_what_it_does(path):
    place = path.parent if path.name == "__main__.py" else path
    answer = subprocess.run(
        [sys.executable, str(place), "--help"], check=False, capture_output=True, text=True,
        timeout=120, env=os.environ | {"JAVA_HOME": "/none"},  # Spark would end here
    )  # fmt: skip
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.strip() == ast.parse(path.read_text()).body[0].value.value.strip()


def main(lake, from_, rows="10"):
    words.called = lake, from_, rows
    return int(rows) % 7


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("build/lake from=2018-08-01 rows=8", 1, ""),
        ("lake=build/lake from=2018-08-01 rows=8", 1, ""),
        ("lake=build/lake", 2, "missing a required argument: 'from'"),
        ("build/lake from=2018-08-01 colour=red", 2, "unexpected keyword argument 'colour'"),
        ("a b c d", 2, "too many positional arguments"),
    ],
)
def test_words_become_arguments(monkeypatch, capsys, given, code, said):
    monkeypatch.setattr(sys, "argv", ["benchmark", *given.split()])
    monkeypatch.setattr(words, "called", None, raising=False)
    with pytest.raises(SystemExit) as ended:
        words.call(main)
    assert ended.value.code == code
    assert words.called == (None if said else ("build/lake", "2018-08-01", "8"))
    assert said in capsys.readouterr().err
