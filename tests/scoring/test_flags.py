"""`flagged` holds what the model in service decided, each transaction once, within the budget."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta

import pytest
from scipy.special import expit
from tests.worlds import CUTOVER, END

from fraudlake.datasets import load_dataset
from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, FLAGGED, SCORES, TRANSACTIONS
from fraudlake.models import bundle
from fraudlake.scoring import parity
from fraudlake.scoring.batch import score_range

HANDBOOK = load_dataset("handbook")
MIDDLE = CUTOVER + timedelta(days=1)


@pytest.fixture
def lake(spark, expected, tmp_path):
    """Transactions and features; nothing is scored yet."""
    for table in (TRANSACTIONS, FEATURES):
        shutil.copytree(expected.lake.path(table), tmp_path / "lake" / table.name)
    return Lake(spark, str(tmp_path / "lake"))


@pytest.fixture
def other(model):
    """A model that scores all lower, and flags more."""
    manifest = json.loads(model["scorer.json"])
    manifest["calibration"]["intercept"] = -0.5
    manifest["alert_scores"] = [0.9, 0.5, 0.3, 0.1]
    return {**model, "scorer.json": json.dumps(manifest).encode()}


def score(lake, files, version, champion, start=CUTOVER, end=END, **model):
    return score_range(lake, HANDBOOK, files, version, 4, start, end, champion, **model)


def flags(lake):
    return {r.tx_id: r.model_version for r in lake.read(FLAGGED).collect()}


def compared(lake, files, version, champion, **model):
    features = lake.read(FEATURES).where(time_range(CUTOVER, END))
    threshold = bundle.load(files).threshold(4)
    return parity.compare(
        lake, features, files, version, threshold, CUTOVER, END, champion, **model
    )


def test_a_trial_leaves_its_scores_and_no_flag(lake, model, other, expected):
    served = score(lake, model, 1, champion=1)
    assert (served["flags"], served["remarks"]) == (len(expected.flags), [])
    trial = score(lake, other, 2, champion=1)
    assert trial["scores"] == trial["rows"] == len(expected.scores)
    assert trial["flagged"] > served["flagged"]
    assert trial["flags"] == 0
    (remark,) = trial["remarks"]
    assert remark.startswith("model version 2 is not in service (champion: 1): its scores are in ")
    assert flags(lake) == dict.fromkeys(expected.flags, 1)
    counts = compared(lake, other, 2, champion=1)
    assert counts["equal"] == counts["rows"] == len(expected.scores)
    assert counts["flags"] == counts["flags_equal"] == counts["flags_unknown"] == 0


def test_without_a_champion_nothing_is_flagged(lake, model):
    found = score(lake, model, 1, champion=None)
    assert (found["flags"], found["scores"]) == (0, found["rows"])
    assert "(champion: none)" in found["remarks"][0]
    later = score(lake, model, 1, champion=1)
    assert (later["flags"], later["scores"]) == (later["flagged"], 0)


def test_a_new_champion_flags_nothing_that_the_one_before_it_decided(lake, model, other):
    """The first day was scored and flagged; the second, and what came late, was not."""
    late = "tx_id % 7 = 0"
    held = lake.read(FEATURES).where(late).localCheckpoint()
    transactions = lake.read(FEATURES).where(f"NOT ({late})").localCheckpoint()
    lake.replace_where(FEATURES, transactions, "true")
    score(lake, model, 1, champion=1, end=MIDDLE)
    before = flags(lake)
    score(lake, other, 2, champion=1)
    lake.append_once(FEATURES, held, "late", 0)

    found = score(lake, other, 2, champion=2)
    assert found["flags"] > 0
    assert "were decided by the version in service at their time" in found["remarks"][0]
    after = flags(lake)
    assert before.items() <= after.items()
    days = {r.tx_id: r.event_time for r in lake.read(FEATURES).collect()}
    end = MIDDLE.replace(tzinfo=None)
    added = {tx for tx in after if tx not in before}
    assert {tx % 7 for tx in added if days[tx] < end} == {0}
    assert any(days[tx] >= end and tx % 7 for tx in added)
    for files, version in ((model, 1), (other, 2)):
        counts = compared(lake, files, version, champion=2)
        assert counts["flags"] == counts["flags_equal"] == list(after.values()).count(version)
        assert counts["flags_missing"] == counts["flags_unknown"] == 0
    again = score(lake, other, 2, champion=2)
    assert (again["scores"], again["flags"]) == (0, 0)


def test_version_1_of_another_registered_model_is_another_model(lake, model, other, expected):
    """The lake's models moved to a server, where the count began anew."""
    score(lake, model, 1, champion=1)
    found = score(lake, other, 1, champion=1, model="fraudlake-bank-lake-0a1b2c3d")
    assert found["scores"] == len(expected.scores)
    assert (found["flagged"] > len(expected.flags), found["flags"]) == (True, 0)
    for files, named in ((model, {}), (other, {"model": "fraudlake-bank-lake-0a1b2c3d"})):
        counts = compared(lake, files, 1, champion=1, **named)
        assert counts["equal"] == counts["rows"] == len(expected.scores)
        assert counts["flags"] == counts["flags_equal"] == (0 if named else len(expected.flags))
        assert counts["flags_unknown"] == 0


def test_a_model_that_says_the_same_of_all_flags_nothing(lake, model, expected, caplog):
    """Once it flagged all of them: every score is the threshold."""
    manifest = json.loads(model["scorer.json"])
    manifest["calibration"] = {"slope": 1e-300, "intercept": -3.0}
    manifest |= {"alert_scores": [expit(-3.0)] * 80, "alert_days": 2.0}
    constant = {**model, "scorer.json": json.dumps(manifest).encode()}
    found = score(lake, constant, 1, champion=1)
    assert (found["flagged"], found["flags"]) == (0, 0)
    assert found["scores"] == len(expected.scores)
    assert found["remarks"][0].startswith("alerts: got a budget of 4 a day, flags 0 a day")
    assert found["remarks"][0] in caplog.text
    assert {r.score for r in lake.read(SCORES).collect()} == {expit(-3.0)}


def test_both_tables_name_the_registered_model(lake, model):
    score_range(lake, HANDBOOK, model, 1, 4, CUTOVER, END, 1, "fraudlake-bank-lake-0a1b2c3d")
    for table in (SCORES, FLAGGED):
        found = {row.model for row in lake.read(table).select("model").distinct().collect()}
        assert found == {"fraudlake-bank-lake-0a1b2c3d"}
