"""Every feature can be said in words, from the command line too."""

import pytest

from fraudlake import cli, resources
from fraudlake.features.definition.explain import cost, meaning
from fraudlake.features.definition.feature_set import load_feature_set


@pytest.mark.parametrize("name", resources.names("features"))
def test_every_shipped_feature_is_explained(name):
    feature_set = load_feature_set(name)
    texts = [meaning(f) + cost(f, feature_set) for f in feature_set.features]
    assert len({meaning(f) for f in feature_set.features}) == len(texts)
    assert not any("{" in text or "None" in text for text in texts)


def test_words():
    found = {f.name: f for f in load_feature_set("full").features}
    assert meaning(found["card_last2_amount_90d"]) == (
        "transactions of the card in the 90d up to this one, itself left out: amount of the last "
        "but 1 that has any; null where there is none"
    )
    assert meaning(found["merchant_category_ratio_amount_7d"]) == (
        "transactions of the merchant_category in the 7d before this one, none of the same "
        "instant: the amount of this one over the mean amount; null where there is none"
    )
    assert meaning(found["card_merchant_category_count_90d"]) == (
        "transactions of the card and merchant_category in the 90d up to this one, itself left "
        "out: how many"
    )


def test_cost_counts_the_searches():
    feature_set = load_feature_set("full")
    found = {f.name: cost(f, feature_set) for f in feature_set.features}
    assert found["amount"] == "no shuffle, no search, no memory"
    assert "; 6 searches a transaction; 24 bytes" in found["card_decay6h_amount_1d"]
    assert found["terminal_rate_fraud_1d_delay7d"] == (
        "1 shuffle, shared by 6 features; 2 searches a transaction; 0 bytes an event"
    )


def test_list_and_explain(capsys):
    cli.main(["list", "features/handbook"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 15
    assert lines[3].startswith("customer_count_1d  bigint  transactions of the customer in the 1d")
    cli.main(["explain", "terminal_rate_fraud_7d_delay7d", "features=handbook"])
    assert capsys.readouterr().out.splitlines() == [
        (
            "terminal_rate_fraud_7d_delay7d: transactions of the terminal in the 7d that end 7d "
            "before this one: share known to be fraud at this time; 0 where there is none"
        ),
        "type:  double",
        "needs: terminal",
        "costs: 1 shuffle, shared by 6 features; 2 searches a transaction; 0 bytes an event",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("list handbook", "list: got 'handbook', expected nothing or features/NAME"),
        ("list features/handbok", "did you mean handbook?"),
        ("explain card_speed_90d", "got 'card_speed_90d', expected FEATURE features=NAME"),
        ("explain card_sped_90d features=full", "did you mean card_speed_90d?"),
    ],
)
def test_refusals(words, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(words.split())
    assert sentence in capsys.readouterr().err
