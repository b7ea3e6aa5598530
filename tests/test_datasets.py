"""What a data set's YAML may say; no Spark."""

import pytest

from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError

GOOD = """
format: csv
columns:
  tx_id: {source: id, type: bigint}
  event_time: {source: time, type: timestamp}
  card_id: {source: card, type: string, required: false}
  amount: {source: amount, type: "decimal(18,2)"}
entities: {card: card_id}
card: card_id
label: {source: fraud, known_at: known, delay: 3d}
"""


@pytest.fixture
def load(tmp_path):
    def from_text(text):
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return load_dataset(str(path))

    return from_text


def test_a_data_set_from_a_path_is_found_again_by_its_name(load, tmp_path, monkeypatch):
    dataset = load(GOOD)
    assert dataset.name == str(tmp_path / "mine.yaml")
    monkeypatch.chdir(tmp_path)
    assert load_dataset("mine.yaml") == load_dataset(dataset.name) == dataset
    assert load_dataset("handbook").name == "handbook"


def test_fields(load):
    dataset = load(GOOD)
    assert dataset.required_fields() == ["id", "time", "amount"]
    assert dataset.raw_fields() == ["id", "time", "card", "amount", "fraud", "known"]
    assert dataset.column_types()["card_id"] == "string"


def test_a_table_of_ranges_lies_beside_the_yaml(load, tmp_path):
    (tmp_path / "ranges.csv").write_text("cidr,country\n")
    text = GOOD.replace("required: false", "required: false, ranges: {file: ranges.csv, column: a}")
    found = load(text.replace("ranges.csv", "./ranges.csv")).columns["card_id"].ranges
    assert found.file == str(tmp_path / "ranges.csv")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("time, type: timestamp", "time, type: string", "event_time of type timestamp"),
        ("id, type: bigint", "id, type: bigint, required: false", "tx_id required"),
        ("type: string,", "type: string, minimum: 1,", "not on a string"),
        ("string, required: false", "string, subnet: 24", "subnet on a string that is not"),
        ("required: false", "ranges: {file: mine.yaml, column: a}", "file: got 'mine.yaml'"),
        ("required: false", "ranges: {file: no.csv, column: a}", "csv or .parquet file that exis"),
        (
            "required: false",
            "subnet: 24, ranges: {file: s3://b/a.csv, column: a}",
            "one of the two",
        ),
        ("card_id", "_card", "columns: got _card, expected a name of letters, digits and _"),
        ("card_id", "card.id", "columns: got card.id, expected a name of letters, digits and _"),
        ("card_id", "straße", "columns: got straße, expected a name of letters, digits and _"),
        ("card_id", '"card_id\\n"', "expected a name of letters, digits and _"),
        ("card: card_id", "card: cart_id", "cart_id is not one"),
        ("card: card_id", "card: tx_id", "none of tx_id, event_time, amount; tx_id is not one"),
        ("{card: card_id}", "{card: card_id, tx: tx_id}", "tx_id is not one"),
        ("delay: 3d", "delay: soon", "label.delay: got 'soon', expected a length of time"),
        ("format: csv", "format: xml", "format: got 'xml'"),
        ("format: csv", "format: csv\ntimezone: Paris", "Europe/Paris"),
        ("entities:", "entitis:", "entitis: unknown key"),
    ],
)
def test_what_is_wrong_is_named(load, old, new, said):
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))
    assert said in str(caught.value)
