"""Why a transaction has its score: sums that hold, words that fit, whatever became of it."""

from __future__ import annotations

import math
import re
from itertools import combinations

import numpy as np
import pytest
from scipy.special import logit
from tests.worlds import CUTOVER, END

from fraudlake import job
from fraudlake.errors import ConfigError, DataError
from fraudlake.instants import time_range
from fraudlake.lake.tables import FEATURES, LABELS
from fraudlake.models import bundle
from fraudlake.scoring import why
from fraudlake.scoring.why import Reason, verdict


def reasons(*contributions):
    return [Reason(f"f{n}", n, size, f"f{n} is {n}") for n, size in enumerate(contributions)]


def test_reasons_add_up_to_the_score(model):
    scorer = bundle.load(model)
    row = dict.fromkeys(scorer.features, 3.0) | {"amount": None, "weekend": 1}
    score, found = why.reasons_of_row(scorer, row)
    total = scorer.base() + math.fsum(reason.contribution for reason in found)
    assert total == pytest.approx(logit(score), abs=1e-4)
    sizes = [reason.contribution for reason in found]
    assert sizes == sorted(sizes, reverse=True)
    said = {reason.feature: reason.sentence for reason in found}
    assert said["amount"] == "amount is not known"
    assert said["customer_count_7d"] == "3 transactions of this customer in the last 7 days"


def test_features_of_an_unknown_definition_go_by_their_names(model, monkeypatch):
    monkeypatch.setattr(why, "feature_set_of", lambda _: None)
    scorer = bundle.load(model)
    _, found = why.reasons_of_row(scorer, dict.fromkeys(scorer.features, 2.0))
    assert all(reason.sentence == f"{reason.feature} is 2.0" for reason in found)


@pytest.mark.parametrize(
    ("score", "is_fraud", "what"),
    [
        (0.9, True, "a fraud that was caught"),
        (0.9, False, "a false alarm"),
        (0.9, None, "flagged"),
        (0.1, True, "a missed fraud"),
        (0.1, False, "rightly not flagged"),
        (0.1, None, "not flagged"),
    ],
)
def test_what_became_of_it(score, is_fraud, what):
    assert verdict(reasons(1.0, -1.0), score, 0.5, is_fraud).startswith(f"{what}: ")


@pytest.mark.parametrize("seed", range(200))
def test_the_fewest_that_decide(seed):
    """No fewer reasons would do: tried with all sets of them."""
    random = np.random.default_rng(seed)
    sizes = random.normal(0, 1, 6).round(2)
    score, threshold = random.random(2)
    said = verdict(reasons(*sizes), score, threshold, None)
    flag = score >= threshold
    needed = abs(logit(score) - logit(threshold))
    against = [size if flag else -size for size in sizes]
    enough = [
        count
        for count in range(1, 7)
        if any(sum(some) > needed for some in combinations(against, count))
    ]
    named = len(re.findall(r"f\d is \d", said))
    assert named == (enough[0] if enough else 0)
    assert ("whatever is left out" in said) == (not enough)


def test_of_a_flag_and_of_a_missed_fraud(expected, model):
    lake, scorer = expected.lake, bundle.load(model)
    threshold = scorer.threshold(4)
    tx, (score, amount, flagged) = next(iter(expected.flags.items()))
    told = why.explain(lake, scorer, 1, "fraudlake", threshold, str(tx))
    assert told["flag"]
    assert (told["score"], told["flagged"]["score"]) == (score, score)
    assert told["transaction"]["amount"] == amount
    assert told["transaction"]["event_time"].utcoffset().total_seconds() == 0
    first = [(r["feature"], r["contribution"]) for r in told["reasons"][: len(flagged)]]
    assert first == [(reason.feature, reason.contribution) for reason in flagged]
    day = told["transaction"]["event_time"].date()
    rows = lake.read(FEATURES).where(time_range(CUTOVER, END)).select("tx_id", "event_time")
    scores = [expected.scores[r.tx_id] for r in rows.collect() if r.event_time.date() == day]
    assert told["rank"] == 1 + sum(other > score for other in scores)
    assert told["rank_of"] == len(scores)

    frauds = {r.tx_id for r in lake.read(LABELS).where("is_fraud").collect()}
    missed = min(frauds & expected.scores.keys() - expected.flags.keys())
    told = why.explain(lake, scorer, 1, "fraudlake", threshold, str(missed))
    assert (told["flag"], told["flagged"], told["label"]["is_fraud"]) == (False, None, True)
    assert told["verdict"].startswith("a missed fraud: ")


def test_ids_that_nobody_has(expected, model):
    scorer = bundle.load(model)
    for tx, error, said in (("999999999", DataError, "none in"), ("abc", ConfigError, "whole")):
        with pytest.raises(error, match=said):
            why.explain(expected.lake, scorer, 1, "fraudlake", 0.5, tx)


def test_a_bare_word_is_the_transaction():
    arguments = job.load("why")["Arguments"]
    assert job.parse(arguments, ["17", "alerts=5"]).tx == "17"
    with pytest.raises(ConfigError, match="18: got a bare word"):
        job.parse(arguments, ["17", "18"])
    with pytest.raises(ConfigError, match="tx: missing"):
        job.parse(arguments, [])
