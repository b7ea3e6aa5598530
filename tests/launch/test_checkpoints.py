"""Whole states or none."""

from __future__ import annotations

import pytest

from fraudlake.launch.checkpoints import Checkpoints, folder


@pytest.fixture
def kept(tmp_path):
    return Checkpoints(f"file://{tmp_path}/states", "final")


def files(tmp_path):
    return sorted((tmp_path / "states").iterdir())


def test_the_newest_and_the_one_before_are_kept(kept, tmp_path):
    for step in (5, 10, 100):
        kept.save(step, f"state {step}".encode())
    assert kept.newest() == (100, b"state 100")
    assert kept.read(10) == b"state 10"
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda _: b""])
def test_what_is_damaged_is_told_and_passed_over(kept, tmp_path, damage, capsys):
    kept.save(5, b"five")
    kept.save(10, b"ten")
    newest = files(tmp_path)[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    assert kept.newest() == (5, b"five")
    assert f"checkpoint {newest} is damaged" in capsys.readouterr().err
    with pytest.raises(OSError, match="final-10"):
        kept.read(10)


def test_one_that_was_cut_off_is_none(kept, tmp_path):
    kept.save(5, b"five")
    (tmp_path / "states" / "final-000000010-0123456789abcdef.part").write_bytes(b"te")
    assert kept.newest() == (5, b"five")
    kept.save(10, b"ten")
    assert kept.newest() == (10, b"ten")


def test_trainings_do_not_see_each_others(kept, tmp_path):
    other = Checkpoints(kept.uri, "early")
    other.save(50, b"other")
    assert kept.newest() == (0, None)


def test_the_folder_goes_when_all_is_well_and_stays_when_not(spark, tmp_path):
    path = str(tmp_path / "fit")

    def lose():
        with folder(spark, path) as uri:
            Checkpoints(uri, "final").save(5, b"five")
            raise ValueError("lost")

    with pytest.raises(ValueError, match="lost"):
        lose()
    with folder(spark, path) as uri:
        assert Checkpoints(uri, "final").newest() == (5, b"five")
    assert not (tmp_path / "fit").exists()
