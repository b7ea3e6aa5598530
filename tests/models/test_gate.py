"""What the gate refuses, and what it says of it."""

from __future__ import annotations

import pytest

from fraudlake.errors import ConfigError
from fraudlake.models.gate import Comparison, Gate, load_gate

FINE = {
    "tp": 3.0,
    "fp": 9.0,
    "nan_scores": 0.0,
    "expected_calibration_error": 0.004,
    "expected_calibration_error_by_chance": 0.001,
    "false_positive_ratio.country.DE": 1.9,
}
WON = Comparison(1, 0.70, 0.65, 0.04)


def refusals(changes=(), comparison=WON, champion=1, **limits):
    gate = Gate.model_validate(limits)
    return gate.refusals(FINE | dict(changes), comparison, champion)


def test_what_is_fine_passes():
    assert refusals() == []
    for comparison in (Comparison(None), None, Comparison(None, reason="nobody is champion")):
        assert refusals(comparison=comparison, champion=None) == []
    assert refusals({"expected_calibration_error": 0.0069}) == []


SEEN = Comparison(1, reason="champion 1 was trained on days of this test (a to b)")
OTHER = Comparison(1, reason="champion 1 has features of another definition (x, here y)")


@pytest.mark.parametrize(
    ("changes", "comparison", "limits", "sentence"),
    [
        ({"nan_scores": 4.0}, WON, {}, "scores: got NaN for 4 test rows, expected a score for"),
        ({"tp": 0.0, "fp": 0.0}, WON, {}, "alerts: got no test row flagged, expected some: train"),
        (
            {"expected_calibration_error": 0.0071},
            WON,
            {},
            "calibration: got an expected calibration error of 0.00710, expected at most 0.00700",
        ),
        ({"expected_calibration_error": float("nan")}, WON, {}, "calibration: got an expected"),
        (
            {"false_positive_ratio.country.FR": 2.01},
            WON,
            {},
            "groups: got a false-positive rate of country FR 2.01 times that of all, expected at",
        ),
        ({}, WON, {"false_positive_ratio": 1.5}, "of country DE 1.90 times that of all"),
        (
            {},
            Comparison(1, 0.64, 0.65, 0.001),
            {},
            "average precision: got 0.6400, champion 1 has 0.6500 on the same rows, expected a",
        ),
        ({}, Comparison(1, 0.65, 0.65), {}, "expected a gain of more than 0.0000"),
        ({}, Comparison(1, 0.70, 0.65, 0.06), {}, "expected a gain of more than 0.0600"),
        ({}, WON, {"margin": 0.1}, "expected a gain of more than 0.1000 (margin 0.1, 1 standard"),
        ({}, Comparison(1, 0.7, float("nan")), {}, "average precision: got 0.7000"),
        ({}, SEEN, {}, "comparison: not compared: champion 1 was trained on days of this test"),
        ({}, OTHER, {}, "comparison: not compared: champion 1 has features of another definition"),
        ({}, Comparison(2, 0.7, 0.6), {}, "comparison: got one with champion 2, expected one with"),
        ({}, Comparison(None), {}, "got one with champion (none), expected one with 1, which is"),
        ({}, None, {}, "comparison: got none with the champion, expected one on the same rows"),
    ],
)
def test_each_refusal_has_its_sentence(changes, comparison, limits, sentence):
    (said,) = refusals(changes, comparison, **limits)
    assert said.startswith(sentence) or sentence in said
    assert "expected" in said or "not compared" in said


def test_a_version_of_an_older_release_shows_nothing():
    (said,) = Gate.model_validate({}).refusals({"tp": 1.0, "fp": 1.0}, WON, 1)
    assert "got no expected_calibration_error, nan_scores, expected them: train it anew" in said


def test_all_reasons_are_told_at_once():
    assert len(refusals({"nan_scores": 1.0, "tp": 0.0, "fp": 0.0}, SEEN)) == 3


def test_a_gate_is_read_from_conf_or_from_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv("FRAUDLAKE_GATE", raising=False)
    assert load_gate() == load_gate("default") == Gate.model_validate({})
    mine = tmp_path / "mine.yaml"
    mine.write_text("approvals: 2\ngroups: {country: [], age: [30, 365]}\n")
    monkeypatch.setenv("FRAUDLAKE_GATE", str(mine))
    assert load_gate().approvals == 2
    assert load_gate().made_from() == {"groups": {"country": (), "age": (30, 365)}}
    assert load_gate("default").made_from() == {}
    mine.write_text("approval: 2\nmargin: -1\ngroups: {age: [3, 1]}\n")
    with pytest.raises(ConfigError) as caught:
        load_gate()
    assert len(caught.value.problems) == 3
    for words in ("did you mean approvals?", "margin: got -1", "age: got bounds [3.0, 1.0]"):
        assert words in str(caught.value)
