"""Rules: what they may say, what fires, and what is said of it."""

import json

import numpy as np
import pytest
import yaml

from fraudlake import job
from fraudlake.errors import ConfigError
from fraudlake.models import bundle
from fraudlake.models.bundle import BundleError
from fraudlake.models.contender import load_contender
from fraudlake.models.rules.contender import RulesContender
from fraudlake.models.rules.fit import fit
from fraudlake.models.rules.rule import Comparison, parse
from fraudlake.scoring.apply import reasons_of

from .conftest import FEATURES, LINE, RULES, packed, rows


def test_margins_are_those_of_plain_python(bundles):
    x = rows(400, seed=21).astype(np.float32).astype(np.float64)
    x[::5, 1] = np.nan
    x[3, 0], x[3, 1], x[3, 2] = 3.0, 2.0, 0.5

    def points(f):
        total = 2.0 * (f[0] > 1.5 and f[1] > 1) + 0.25 * np.isnan(f[1])
        return total + (f[2] if f[2] != 0 else 0.0) - 0.5 * (f[3] == 1 and f[0] <= 0)

    scorer = bundle.load(bundles["rules"])
    np.testing.assert_allclose(scorer.margins(x), [points(row) for row in x], atol=1e-12)
    assert scorer.contributions(x)[3].tolist() == [
        LINE.slope,
        LINE.slope,
        LINE.slope / 2,
        0,
        0,
        0,
        0,
    ]


def test_the_rules_that_fired_are_the_reasons(bundles):
    x = np.array([[3.0, 2.0, 0.5, 0, 0, 0, 4], [0, np.nan, 0, 0, 0, 0, 4]])
    found = reasons_of(bundle.load(bundles["rules"]), x, np.array([True, True])).to_pylist()
    assert found[0] == [
        {"feature": "both", "value": 3.0, "contribution": 2 * LINE.slope},
        {"feature": "f2 != 0", "value": 0.5, "contribution": 0.5 * LINE.slope},
    ]
    assert [reason["feature"] for reason in found[1]] == ["nothing is said"]


@pytest.mark.parametrize("text", ["220.1", "2201e-1", "+220.10"])
def test_a_number_is_rounded_as_values_are(text):
    values = np.array([220.1, 220.2], dtype=np.float32)
    (comparison,) = parse(f"amount>{text}")
    assert comparison.holds(values).tolist() == [False, True]
    assert parse(f"amount = {text}")[0].holds(values).tolist() == [True, False]


@pytest.mark.parametrize("sign", [">", ">=", "<", "<=", "=", "!="])
def test_nothing_is_true_of_a_missing_value_but_that_it_is(sign):
    assert parse(f"a {sign} -1")[0] == Comparison("a", sign, -1.0)
    assert not Comparison("a", sign, 0.0).holds(np.array([np.nan], dtype=np.float32)).any()
    assert parse("a is missing")[0].holds(np.array([np.nan, 1], np.float32)).tolist() == [
        True,
        False,
    ]


@pytest.mark.parametrize(
    "when",
    [
        "", "amount", "amount > ", "amount >> 3", "amount == 3", "a > 1 or b > 2", "a > b",
        "a > 1 and",
        "__import__('os').system('true') > 0", "amount > 1; amount < 2", "(a > 1)", "a is missed",
    ],
)  # fmt: skip
def test_what_is_no_condition_is_refused(when):
    with pytest.raises(ValueError, match="joined by and, with a sign of"):
        parse(when)


def test_all_problems_of_a_file_at_once(tmp_path):
    path = tmp_path / "mine.yaml"
    wrong = [
        {"when": "amount >> 220", "score": 1},
        {"when": "amount > 220", "score": [1], "reson": "x"},
        {"when": "night = 1"},
    ]
    path.write_text(yaml.safe_dump({"kind": "rules", "rules": wrong}))
    with pytest.raises(ConfigError) as caught:
        load_contender(str(path))
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "rules.0.when: got 'amount >> 220', expected FEATURE SIGN NUMBER" in text
    assert "rules.1.score: got [1], expected a number of points, or the name of" in text
    assert "rules.1.reson: unknown key" in text
    assert "rules.2.score: missing" in text
    path.write_text("kind: rules\nrules: []\n")
    with pytest.raises(ConfigError, match=r"rules: got \[\], expected at least one rule"):
        load_contender(str(path))


def test_features_that_a_set_has_not_are_told_before_spark_starts(tmp_path):
    rules = [
        {"when": "amuont > 220", "score": 1},
        {"when": "night = 1 and hour < 3", "score": "amount"},
    ]
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({"kind": "rules", "rules": rules}))
    words = ["train_from=2018-07-25", "train_to=2018-08-01", f"model={mine}"]
    with pytest.raises(ConfigError) as caught:
        job.parse(job.load("train")["Arguments"], words)
    assert len(caught.value.problems) == 2
    assert "rules.0: got amuont, expected a feature of the set" in caught.value.problems[0]
    assert "did you mean amount?" in caught.value.problems[0]
    assert "rules.1: got hour, expected a feature of the set" in caught.value.problems[1]


def test_a_category_is_no_number():
    contender = RulesContender(kind="rules", rules=RULES)
    types = dict.fromkeys(FEATURES, "double") | {"f3": "string"}
    assert contender.misfits(types) == [
        ": rules.2: got f3, expected a feature that is a number: this one is a category"
    ]


def test_a_fit_writes_down_what_was_written():
    fitted = fit(None, FEATURES, RulesContender(kind="rules", rules=RULES), 1, "")
    assert fitted.early == fitted.final
    x = rows(50)
    expected = bundle.load(packed("rules", json.dumps({"rules": RULES}).encode())).margins(x)
    np.testing.assert_array_equal(bundle.load(packed("rules", fitted.final)).margins(x), expected)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (b"{}", "expected JSON: rules"),
        (b'{"rules": [{"when": "exit() > 0", "score": 1}]}', "expected JSON: rules"),
        (b'{"rules": [{"when": "amount > 0", "score": 1}]}', "got rules over amount, expected"),
    ],
)
def test_weights_that_are_no_rules_are_not_opened(weights, said):
    with pytest.raises(BundleError, match=said):
        bundle.load(packed("rules", weights))
