"""What is in the transactions; no Spark."""

import hashlib
from datetime import date

import numpy as np
import pytest

from fraudlake.simulate import KINDS, World
from fraudlake.simulate.behaviour import DAY, transactions, visits
from fraudlake.simulate.fraud import PROBES
from fraudlake.simulate.world import CARDS_PER_CUSTOMER, TERMINALS_PER_MERCHANT

FIRST = (date(2026, 1, 5) - date(1970, 1, 1)).days  # a Monday


def generate(world, days, customers=None):
    customers = np.arange(world.customers) if customers is None else customers
    parts = [transactions(world, visits(world, customers, FIRST + day)) for day in days]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


@pytest.fixture(scope="module")
def world():
    return World(seed=3, customers=4000, merchants=1600)


@pytest.fixture(scope="module")
def columns(world):
    return generate(world, range(28))


def test_rows_do_not_depend_on_who_computes_them_with_whom(world):
    whole = generate(world, [9])
    order = np.argsort(whole["transaction_id"])
    for parts in (2, 7):
        split = [generate(world, [9], c) for c in np.array_split(np.arange(world.customers), parts)]
        again = {name: np.concatenate([s[name] for s in split]) for name in whole}
        reorder = np.argsort(again["transaction_id"])
        for name, column in whole.items():
            np.testing.assert_array_equal(column[order], again[name][reorder])


def test_ids_are_distinct_exact_in_json_and_tell_nothing(columns):
    ids, fraud = columns["transaction_id"], columns["fraud_kind"] > 0
    assert len(np.unique(ids)) == len(ids)
    assert ids.min() >= 0
    assert ids.max() < 2**53
    for other in (fraud, columns["event_time"], columns["customer_id"]):
        assert abs(np.corrcoef(ids, other)[0, 1]) < 0.01
    low_bits = [fraud[ids % 2 == bit].mean() for bit in (0, 1)]
    assert low_bits[0] == pytest.approx(low_bits[1], rel=0.15)


def test_another_seed_gives_other_rows(world, columns):
    other = generate(World(seed=4, customers=4000, merchants=1600), [0])
    assert np.isin(other["transaction_id"], columns["transaction_id"]).mean() < 0.001


def test_fraud_of_every_kind_at_about_the_rate_asked_for(world, columns):
    kinds = np.bincount(columns["fraud_kind"], minlength=len(KINDS))
    assert 0.005 < kinds[1:].sum() / kinds.sum() < 0.010
    assert (kinds[1:] > 30).all(), dict(zip((k.name for k in KINDS), kinds, strict=True))
    none = generate(World(seed=3, customers=4000, merchants=1600, fraud=0.0), range(5))
    assert not none["fraud_kind"].any()
    much = generate(World(seed=3, customers=4000, merchants=1600, fraud=0.03), range(28))
    assert 0.02 < (much["fraud_kind"] > 0).mean() < 0.04


def test_labels_become_known_within_seven_days_after_the_event(columns):
    delay, fraud = columns["label_known_at"] - columns["event_time"], columns["fraud_kind"] > 0
    assert (delay[~fraud] == 7 * DAY).all()
    assert delay[fraud].min() >= 2 * DAY // 24
    assert delay[fraud].max() <= 7 * DAY
    assert 1 * DAY < np.median(delay[fraud]) < 6 * DAY


def test_days_and_weeks_have_a_rhythm(columns):
    time = columns["event_time"]
    assert ((time // DAY >= FIRST) & (time // DAY < FIRST + 28)).all()
    for online, busiest in ((False, range(11, 19)), (True, range(18, 24))):
        hours = np.bincount(time[columns["online"] == online] % DAY // 3_600_000, minlength=24)
        assert hours.argmax() in busiest
        assert hours[1:5].sum() < 0.1 * hours.sum() < hours[list(busiest)].sum()
    weekdays = np.bincount((time // DAY - FIRST) % 7)
    assert weekdays[4] > 1.2 * weekdays[0]
    assert weekdays[6] < 0.9 * weekdays[0]


def test_entities_belong_together(world, columns):
    assert (columns["card_id"] // CARDS_PER_CUSTOMER == columns["customer_id"]).all()
    assert (columns["terminal_id"] // TERMINALS_PER_MERCHANT == columns["merchant_id"]).all()
    assert columns["merchant_id"].min() >= 0
    assert columns["merchant_id"].max() < world.merchants
    cards = len(np.unique(columns["card_id"])) / len(np.unique(columns["customer_id"]))
    assert 1.2 < cards < 2
    for place in ("terminal_id", "merchant_id"):
        present = ~columns["online"]
        order = np.argsort(columns[place][present], kind="stable")
        ids = columns[place][present][order]
        same = ids[1:] == ids[:-1]
        for name in ("category", "country") + (("latitude",) if place == "terminal_id" else ()):
            values = columns[name][present][order]
            assert (values[1:] == values[:-1])[same].all(), (place, name)
    assert not np.isnan(columns["latitude"]).any()
    assert np.abs(columns["latitude"]).max() <= 90


def test_amounts_follow_category_and_customer(columns):
    honest = columns["fraud_kind"] == 0
    amount = np.log(columns["amount"])
    medians = [
        np.median(amount[honest & (columns["category"] == c)])
        for c in np.unique(columns["category"])
    ]
    assert np.ptp(medians) > 2
    assert columns["amount"].min() >= 1
    owner, count = np.unique(columns["customer_id"][honest], return_counts=True)
    mean = np.bincount(columns["customer_id"][honest], amount[honest])[owner] / count
    assert mean[count > 50].std() > 0.25


def test_skew_is_the_merchants_zipf_exponent():
    def online_shares(skew):
        world = World(seed=5, customers=4000, merchants=1600, skew=skew)
        columns = generate(world, range(7))
        count = world.areas.merchants[0]
        return np.bincount(columns["merchant_id"][columns["online"]], minlength=count) / sum(
            columns["online"]
        )

    flat, skewed = online_shares(0.0), online_shares(1.4)
    assert flat.max() < 0.02
    assert skewed[0] > 0.2
    slope = np.polyfit(np.log([1, 40]), np.log([skewed[0], skewed[38:42].mean()]), 1)[0]
    assert slope == pytest.approx(-1.4, abs=0.25)


def test_thieves_are_partly_visible(columns):
    """Each kind shows in the columns it should show in, and hides in others."""
    kind = columns["fraud_kind"]
    amount = np.log(columns["amount"])
    typical = amount[kind == 0].mean()
    names = [k.name for k in KINDS]
    take, test = kind == names.index("account_takeover"), kind == names.index("card_testing")
    assert columns["online"][take | test].all()
    assert amount[take].mean() > typical + 0.8
    assert (columns["amount"][test] <= 300).mean() > 0.3
    seen = {}
    for name in ("device_id", "ip_address"):
        honest = columns["online"] & (kind == 0)
        usual = set(zip(columns["customer_id"][honest], columns[name][honest], strict=True))
        pairs = zip(columns["customer_id"][take], columns[name][take], strict=True)
        seen[name] = np.mean([pair in usual for pair in pairs])
    assert 0.05 < seen["device_id"] < 0.5
    assert seen["ip_address"] < 0.05
    foreign = columns["country"] != "FR"
    assert foreign[take].mean() > 5 * foreign[kind == 0].mean() > 0
    hit = np.unique(columns["terminal_id"][kind == names.index("compromised_terminal")])
    there = np.isin(columns["terminal_id"], hit)
    assert (kind[there] > 0).mean() > 10 * (kind > 0).mean()


def test_card_tests_are_small_and_quick_before_they_spend(columns):
    test = columns["fraud_kind"] == [k.name for k in KINDS].index("card_testing")
    for customer in np.unique(columns["customer_id"][test]):
        own = test & (columns["customer_id"] == customer)
        for day in np.unique(columns["event_time"][own] // DAY):
            rows = own & (columns["event_time"] // DAY == day)
            order = np.argsort(columns["event_time"][rows])[:PROBES]
            assert columns["amount"][rows][order].max() <= 300
            assert np.ptp(columns["event_time"][rows][order]) <= 5 * 60 * 1000


def test_the_rows_are_pinned():
    """Where this fails on purpose, raise `files.ROWS`: old folders no longer hold these rows."""
    columns = generate(World(customers=50, merchants=200), range(3))
    text = b"".join(columns[n].tobytes() for n in ("transaction_id", "event_time", "amount"))
    assert hashlib.sha256(text).hexdigest()[:16] == "34827db449861916"
