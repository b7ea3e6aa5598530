"""A file stands whole or not at all."""

import os

import pytest

from fraudlake import atomic


def test_what_stands_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "file"
    atomic.replace(path, b"one")
    atomic.replace(path, b"two, ", b"in parts")
    assert path.read_bytes() == b"two, in parts"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_a_write_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "file"
    atomic.replace(path, b"one")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        atomic.replace(path, b"two")
    assert path.read_bytes() == b"one"
