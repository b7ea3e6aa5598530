"""A feed of verdicts: what its YAML may say."""

import pytest
from pydantic import ValidationError
from tests.ingest.conftest import SHOP

from fraudlake.datasets import Dataset
from fraudlake.verdicts import Verdicts, usual


def test_what_is_left_out_is_as_usual():
    feed = Verdicts.model_validate({"columns": {"tx_id": {"source": "payment"}}})
    assert feed.raw_fields() == ["payment", "verdict", "known_at", "source"]
    assert feed.required_fields() == ["payment"]
    assert usual("desk", "string").columns["tx_ref"].type == "string"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"columns": {"amount": {"source": "a"}}}, "got amount, expected one of tx_id, is_fraud"),
        ({"columns": {"known_at": {"source": "a", "type": "string"}}}, "expected timestamp"),
        ({"columns": {"tx_id": {"source": "a", "type": "double"}}}, "expected bigint or string"),
        ({"label": {"source": "a", "delay": "1d"}}, "expected is_fraud among columns"),
        ({"trust": -1}, "greater than or equal to 0"),
    ],
)
def test_what_is_wrong_is_refused(given, words):
    with pytest.raises((ValidationError, ValueError), match=words):
        Verdicts.model_validate(given)


def test_a_data_set_names_its_feeds():
    dataset = Dataset.model_validate(SHOP | {"verdicts": {"bank": {"trust": 2}, "desk": {}}})
    assert dataset.trust() == {"shop": 0, "bank": 2, "desk": 1}
    assert dataset.verdicts["bank"].name == "bank"
    text = {"columns": {"tx_id": {"source": "a", "type": "string"}}}
    with pytest.raises((ValidationError, ValueError), match="tx_id of type bigint, as its own"):
        Dataset.model_validate(SHOP | {"verdicts": {"bank": text}})
