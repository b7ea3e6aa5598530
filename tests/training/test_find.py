"""Which version stands for a training: of the same tables, not of tables with the same names."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from fraudlake.lake import run_metrics
from fraudlake.training import train

INPUTS = {"contender": {"kind": "xgboost"}, "features_version": 3, "labels_version": 1, "seed": 1}
MADE_FROM = INPUTS | {"features_id": "a", "labels_id": "b"}
NOW, FORMER = (run_metrics.run_id("train", **each) for each in (MADE_FROM, INPUTS))
BEFORE, AFTER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)


def found(versions, shared=False, tables=BEFORE):
    registry = SimpleNamespace(
        find=versions.get,
        shared=shared,
        describe=lambda _: {"created_at": "2026-02-01T00:00+00:00"},
    )
    return train._find(registry, SimpleNamespace(created_at=lambda _: tables), MADE_FROM)


def test_a_training_is_known_by_its_tables():
    assert run_metrics.run_id("train", **MADE_FROM | {"labels_id": "c"}) != NOW
    assert found({NOW: 2, FORMER: 1}) == (NOW, 2)
    assert found({}) == (NOW, None)


@pytest.mark.parametrize(
    ("shared", "tables", "version"),
    [(False, BEFORE, 1), (False, AFTER, None), (True, BEFORE, None)],
    ids=["beside the lake", "a lake made anew since", "on a server"],
)
def test_a_version_of_an_earlier_release_is_not_trained_again(shared, tables, version):
    assert found({FORMER: 1}, shared, tables) == ((FORMER if version else NOW), version)
