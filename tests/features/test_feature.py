"""One feature: what the hash of a definition covers, and what follows from its operation."""

from dataclasses import field, fields, make_dataclass

import pytest

from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.feature import Feature


def over(operation, **more):
    return {"entity": "card", "operations": [operation], "windows": ["1d"], **more}


def compared(operation, **more):
    return over(operation, current=False, **more)


# Models were trained on such definitions: what they are and their hashes stay as they are.
HASHES = {
    "column": ({"column": "amount"}, "ced8c9c8f671bded"),
    "category": ({"category": "country"}, "11228e812e111d1b"),
    "same": ({"same": ["country", "home"]}, "95719a829c5a37f3"),
    "calendar": ({"calendar": "night"}, "5d27fa0cb7b33f35"),
    "window": (over("count"), "ff21e8769b079f87"),
    "current": (compared("count"), "32f0fb124146f401"),
    "delay": (over({"rate": "fraud"}, delay="7d"), "c45aa886d5dba02b"),
    "empty": (compared({"min": "amount"}, empty=None), "f31410ddb0edff80"),
    "ties": (compared("count", ties=False), "96a83167f4716961"),
    "half_life": (compared({"decay": "amount", "half_life": "6h"}), "8ae82f199c361fec"),
    "nth": (compared({"last": "amount", "k": 2}), "e9137bf6ba241b19"),
    "other": (compared({"speed": ["latitude", "longitude"]}), "06744a47148e065e"),
    "combination": (
        compared({"distinct": "device_id"}, entity=["card", "country"]),
        "930ac4ecaed282cf",
    ),
}


@pytest.mark.parametrize(("block", "expected"), HASHES.values(), ids=HASHES)
def test_hashes_stay(feature_set, block, expected):
    assert feature_set(block).hash == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("handbook", "c589b8f8ebad2064"), ("full", "87b9775247ac4396")]
)
def test_hashes_of_shipped_sets_stay(name, expected):
    assert load_feature_set(name).hash == expected


def test_hash_of_a_ratio_stays(feature_set):
    ratio = {"ratio": ["card_count_1d", "card_count_30d"], "empty": None}
    found = feature_set(over("count"), compared("count", windows=["30d"]), ratio)
    assert found.hash == "8cf2b033e473f8a3"


def test_content_does_not_hang_on_the_order_of_fields(feature_set):
    (feature,) = feature_set(over({"rate": "fraud"}, delay="7d")).features
    backwards = make_dataclass(
        "Backwards",
        [(f.name, f.type, field(default=f.default, kw_only=True)) for f in fields(Feature)[::-1]],
    )
    other = backwards(**{f.name: getattr(feature, f.name) for f in fields(Feature)})
    assert Feature.content(other) == feature.content()


def test_a_feature_without_an_operation_has_no_windows():
    with pytest.raises(TypeError, match="amount: got kind column, expected a window feature"):
        Feature("amount", "column", "amount").over(None)
