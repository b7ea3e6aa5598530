"""What the train job refuses before Spark starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudlake import job
from fraudlake.errors import ConfigError

WINDOWS = ["train_from=2018-07-25", "train_to=2018-08-01"]


@pytest.fixture(scope="module")
def arguments():
    return job.load("train")["Arguments"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["train_from=2018-07-25"], "train_to: missing, expected end of training"),
        ([*WINDOWS, "test_from=2018-07-31"], "test_from: got 2018-07-31, expected no earlier than"),
        ([*WINDOWS, "delay=9d", "test_from=2018-08-08"], "expected no earlier than 2018-08-10"),
        ([*WINDOWS, "dataset=handbook", "delay=6d"], "delay: got 6d, expected at least"),
        ([*WINDOWS, "dataset=handbook", "test_from=2018-08-05"], "no earlier than 2018-08-08"),
        ([*WINDOWS, "alerts=1001"], "alerts: got '1001', expected less than or equal to 1000"),
    ],
)
def test_what_cannot_be_is_refused_before_spark_starts(arguments, words, sentence):
    with pytest.raises(ConfigError) as caught:
        job.parse(arguments, words)
    assert sentence in str(caught.value)


def test_a_card_that_is_no_entity_is_refused_before_spark_starts(arguments, conf, tmp_path):
    text = Path(conf["dataset"]).read_text().replace("card: customer_id", "card: shop")
    mine = tmp_path / "mine.yaml"
    mine.write_text(text.replace("entities:", "  shop: {source: shop, type: string}\nentities:"))
    with pytest.raises(ConfigError, match="got card 'shop', expected the column of one of its"):
        job.parse(arguments, [*WINDOWS, f"dataset={mine}"])


def test_the_handbooks_week_is_accepted(arguments):
    words = ["delay=7d", "test_from=2018-08-08", "test_to=2018-08-15", "model=mlp"]
    assert job.parse(arguments, [*WINDOWS, *words]).alerts == 100
