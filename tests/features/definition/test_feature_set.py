"""Feature sets: names, hashes, and the sentence for everything that is refused."""

from datetime import timedelta

import pytest

from fraudlake import resources
from fraudlake.datasets import Dataset, load_dataset
from fraudlake.errors import ConfigError
from fraudlake.features.batch.compute import feature_columns
from fraudlake.features.definition import feature_set as definition
from fraudlake.features.definition.feature_set import FeatureSet, load_feature_set

BOOK = [
    "amount",
    "weekend",
    "night",
    "customer_count_1d",
    "customer_mean_amount_1d",
    "customer_count_7d",
    "customer_mean_amount_7d",
    "customer_count_30d",
    "customer_mean_amount_30d",
    "terminal_count_1d_delay7d",
    "terminal_rate_fraud_1d_delay7d",
    "terminal_count_7d_delay7d",
    "terminal_rate_fraud_7d_delay7d",
    "terminal_count_30d_delay7d",
    "terminal_rate_fraud_30d_delay7d",
]
HANDBOOK = """
features:
  - column: amount
  - entity: terminal
    operations: [count, {rate: fraud}]
    windows: [7d]
    delay: 7d
"""
WINDOW = "features:\n  - {entity: card, windows: [1d], operations: "
SAME_IN_OTHER_WORDS = """
# a comment
features:
  - {column: "amount"}
  - delay: 168h
    windows: [168h]
    empty: 0.0
    operations:
      - count
      - rate: fraud
    entity: terminal
"""


def write(folder, text):
    path = folder / "some.yaml"
    path.write_text(text)
    return str(path)


def load(folder, text):
    return load_feature_set(write(folder, text))


def problems(folder, text):
    with pytest.raises(ConfigError) as caught:
        load(folder, text)
    return caught.value.problems


def test_every_shipped_feature_set_loads():
    names = resources.names("features")
    assert "handbook" in names
    for name in names:
        assert load_feature_set(name).features


def test_handbook_has_the_books_features_in_the_books_order():
    feature_set = load_feature_set("handbook")
    assert [feature.name for feature in feature_set.features] == BOOK
    assert feature_set.lookback == timedelta(days=37)
    assert feature_set.hash == "c589b8f8ebad2064"  # models were trained on it
    assert feature_set.check_against(load_dataset("handbook")) == []
    types = feature_columns(feature_set)
    assert list(types) == BOOK
    assert (types["amount"], types["night"]) == ("double", "int")
    assert types["customer_count_1d"] == "bigint"
    assert types["terminal_rate_fraud_1d_delay7d"] == "double"


@pytest.mark.parametrize(
    ("block", "name"),
    [
        ({"windows": ["36h"], "operations": ["count"]}, "card_count_36h"),
        ({"windows": ["90m"], "operations": [{"sum": "amount"}]}, "card_sum_amount_90m"),
        (
            {"windows": [30], "operations": [{"mean": "fee"}], "delay": "12h"},
            "card_mean_fee_30d_delay12h",
        ),
        (
            {
                "windows": ["1d"],
                "operations": [{"decay": "fee", "half_life": "360m"}],
                "entity": ["card", "country"],
            },
            "card_country_decay6h_fee_1d",
        ),
        (
            {
                "windows": ["365d"],
                "operations": [{"speed": ["latitude", "longitude"]}],
                "current": False,
            },
            "card_speed_365d",
        ),
        ({"windows": ["30s"], "operations": [{"distinct": "shop"}]}, "card_distinct_shop_30s"),
    ],
)
def test_name_formula(feature_set, block, name):
    assert [f.name for f in feature_set({"entity": "card", **block}).features] == [name]


def test_last_values_are_as_many_features(feature_set):
    block = {"entity": "card", "operations": [{"last": "amount", "k": 2}], "windows": ["1d"]}
    found = feature_set(block).features
    assert [f.name for f in found] == ["card_last1_amount_1d", "card_last2_amount_1d"]


def test_a_combination_is_not_an_entity_of_the_same_name(feature_set):
    """Their features have one name, so that a set can hold only one of them; their keys differ."""
    block = {"operations": ["count"], "windows": ["1d"]}
    one, two = ({"entity": e, **block} for e in ("card_shop", ["card", "shop"]))
    with pytest.raises(ValueError, match="got card_shop_count_1d twice"):
        feature_set(one, two)
    assert feature_set(one).hash != feature_set(two).hash
    entities = {"card_shop": "x", "card": "card_id"}
    assert feature_set(one).columns(entities) == ["x"]
    assert feature_set(two).columns(entities) == ["card_id", "shop"]


def test_ratio_of_two_features(feature_set):
    counts = {"entity": "card", "operations": ["count"], "windows": ["1d", "30d"]}
    ratio = {"ratio": ["card_count_1d", "card_count_30d"]}
    assert feature_set(ratio, counts).features[0].name == "card_count_1d_over_card_count_30d"
    with pytest.raises(ValueError, match="got ratio of 'card_count_7d', expected a number of"):
        feature_set({"ratio": ["card_count_1d", "card_count_7d"]}, counts)


def test_hash_is_of_what_is_said_and_not_of_how(tmp_path):
    first, second = load(tmp_path, HANDBOOK), load(tmp_path, SAME_IN_OTHER_WORDS)
    assert first.hash == second.hash
    assert len(first.hash) == 16
    assert int(first.hash, 16)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("windows: [7d]", "windows: [8d]"),
        ("delay: 7d", "delay: 8d"),
        ("delay: 7d", "delay: 7d\n    empty: -1"),
        ("[count, {rate: fraud}]", "[{rate: fraud}, count]"),
        ("column: amount", "column: fee"),
    ],
)
def test_hash_changes_with_any_value_a_feature_can_have(tmp_path, old, new):
    assert old in HANDBOOK
    assert load(tmp_path, HANDBOOK).hash != load(tmp_path, HANDBOOK.replace(old, new)).hash


def test_hash_changes_with_ties_half_life_and_columns(feature_set):
    def hash_of(operation, **more):
        block = {"entity": "card", "operations": [operation], "windows": ["1d"], "current": False}
        return feature_set(block | more).hash

    hashes = [
        hash_of("count"),
        hash_of("count", ties=False),
        hash_of({"min": "amount"}, empty=0),
        hash_of({"min": "amount"}, empty=None),
        hash_of({"decay": "amount", "half_life": "1h"}),
        hash_of({"decay": "amount", "half_life": "2h"}),
        hash_of({"speed": ["a", "b"]}),
        hash_of({"speed": ["a", "c"]}),
    ]
    assert len({*hashes}) == len(hashes)
    assert hash_of("count", ties=True) == hash_of("count")


def test_hash_changes_with_current_and_with_the_kernels(feature_set, monkeypatch):
    block = {"entity": "card", "operations": ["count"], "windows": ["1d"]}
    first, second = feature_set(block), feature_set(block | {"current": False})
    assert first.hash != second.hash
    monkeypatch.setattr(definition, "KERNEL_VERSION", definition.KERNEL_VERSION + 1)
    assert first.hash != feature_set(block).hash


def test_all_problems_come_at_once(tmp_path):
    text = """
features:
  - calendar: noon
  - entity: customer
    operations: [mode, {mean: amount}]
    windows: [fortnight]
  - entity: terminal
    operation: [count]
    windows: [1d]
"""
    found = "\n".join(problems(tmp_path, text))
    assert "features.0.calendar.calendar: got 'noon', expected 'weekend' or 'night'" in found
    assert "got 'mode', expected age, since, count, " in found
    assert "got 'fortnight', expected a length of time such as 30s, 15m, 12h or 7d" in found
    assert "features.2.window.operation: unknown key" in found
    assert "features.2.window.operations: missing" in found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}", "features: missing, expected list of features"),
        (HANDBOOK + "extra: 1", "extra: unknown key, expected one of name, features"),
        (HANDBOOK + "  - column: amount", "features: got amount twice, expected each name once"),
        (
            HANDBOOK.replace("    delay: 7d", ""),
            (
                "got rate of fraud without a delay, expected a delay of at least the data set's "
                "label delay: whether a transaction is fraud is not known when it is made"
            ),
        ),
        (HANDBOOK + "    current: false", "expected no `current` beside a delay"),
        (
            HANDBOOK.replace("rate: fraud", "rate: amount"),
            "got rate of 'amount', expected rate of fraud",
        ),
        (
            HANDBOOK.replace("count,", "{count: amount},"),
            "got count of 'amount', expected count without",
        ),
        (HANDBOOK.replace("windows: [7d]", "windows: [0d]"), "expected greater than"),
        (HANDBOOK.replace("windows: [7d]", "windows: [200000d]"), "7d, of at most 36500d"),
        (HANDBOOK.replace("windows: [7d]", "windows: []"), "at least 1 item"),
        (HANDBOOK + "    empty: .nan", "finite number"),
        (HANDBOOK + "    ties: false", "expected no `ties` beside a delay"),
        (HANDBOOK.replace("terminal", "[terminal, terminal]"), "expected each name once"),
        (HANDBOOK.replace("terminal", "Terminal"), "should match pattern"),
        (WINDOW + "[count], ties: false}", "expected current: false beside it"),
        (WINDOW + "[since]}", "it would be compared with itself"),
        (WINDOW + "[{zscore: amount}]}", "it would be compared with itself"),
        (WINDOW + "[{speed: latitude}]}", "speed with two columns, speed: [latitude, longitude]"),
        (WINDOW + "[{decay: amount}]}", "got decay without half_life, expected half_life with"),
        (WINDOW + "[{last: amount}]}", "got last without k, expected k with last and nothing else"),
        (WINDOW + "[{sum: amount, k: 3}]}", "got sum with k, expected k with last"),
        (WINDOW + "[{last: amount, k: 0}]}", "greater than or equal to 1"),
        (
            WINDOW + "[{decay: amount, half_life: 10m}]}",
            "got a window of 1d with a half-life of 10m, expected at most 32 half-lives",
        ),
        ("- a list", "expected YAML keys and values"),
    ],
)
def test_refusals(tmp_path, text, sentence):
    assert sentence in "\n".join(problems(tmp_path, text))


def test_unknown_name_lists_what_exists():
    with pytest.raises(
        ConfigError, match=r"got 'handbok', expected one of .*did you mean handbook"
    ):
        load_feature_set("handbok")


def dataset(**changes):
    kinds = {
        "tx_id": "bigint",
        "event_time": "timestamp",
        "amount": "decimal(18,2)",
        "customer_id": "bigint",
        "place": "double",
        "comment": "string",
    }
    content = {
        "name": "shop",
        "format": "csv",
        "columns": {name: {"source": name, "type": kind} for name, kind in kinds.items()},
        "entities": {"customer": "customer_id", "place": "place"},
        "card": "customer_id",
        "label": {"source": "fraud", "delay": "7d"},
    }
    return Dataset.model_validate(content | changes)


def over(entity, *operations, **more):
    return {"entity": entity, "operations": list(operations), "windows": ["1d"], **more}


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (
            over("device", "count"),
            "got entity 'device', expected one of customer, place or another column (data",
        ),
        (
            over("place", "count"),
            "got entity 'place' with the double column place, expected one of bigint",
        ),
        (
            over("customer", {"rate": "fraud"}, delay="3d"),
            (
                "customer_rate_fraud_1d_delay3d: got delay 3d, expected at least 7d, the label "
                "delay of data set shop: the labels of younger transactions are not known yet, and "
                "would be counted as honest"
            ),
        ),
        (
            over("customer", {"mean": "fee"}),
            (
                "customer_mean_fee_1d: got column 'fee', expected one of tx_id, "
                "event_time, amount, customer_id, place, comment (data set shop)"
            ),
        ),
        (
            over("customer", {"sum": "place"}),
            (
                "customer_sum_place_1d: got the double column place, expected one of "
                "decimal(18,2), bigint, int; doubles are neither added nor told apart exactly"
            ),
        ),
        ({"column": "comment"}, "comment: got the string column comment, expected one of"),
        (
            {"same": ["comment", "customer_id"]},
            "same_comment_customer_id: got a text and a number, expected two columns of text or",
        ),
        (
            over("customer_id", "count"),
            "got entity 'customer_id', expected one of customer, place or another column",
        ),
        (
            over(["customer", "event_time"], "count"),
            "got entity 'event_time' with the timestamp column event_time, expected one of bigint",
        ),
        (
            over("customer", {"distinct": "place"}),
            "customer_distinct_place_1d: got the double column place, expected one of decimal",
        ),
        (
            over("customer", {"speed": ["place", "amount"]}, current=False),
            "customer_speed_1d: got the decimal(18,2) column amount, expected one of double",
        ),
        (
            {"column": "customer_id"},
            "customer_id: got a column that every feature table has as a key",
        ),
    ],
)
def test_what_does_not_fit_a_data_set(feature_set, block, sentence):
    found = feature_set(block).check_against(dataset())
    assert len(found) == 1
    assert sentence in found[0]


def test_any_column_with_keys_is_an_entity(feature_set):
    block = over(["customer", "comment"], "count", {"distinct": "comment"})
    assert feature_set(block, over("comment", "count")).check_against(dataset()) == []


def test_rate_needs_a_data_set_with_a_label(feature_set):
    block = over("customer", {"rate": "fraud"}, delay="7d")
    assert feature_set(block).check_against(dataset()) == []
    assert "data set shop has no label" in feature_set(block).check_against(dataset(label=None))[0]


def test_feature_set_is_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_feature_set("handbook").name = "other"


def test_a_block_by_itself_is_checked_too():
    with pytest.raises(ValueError, match="expected a column"):
        FeatureSet.model_validate({"features": [over("customer", {"mean": ""})]})
