"""What a data set's YAML may say; no Spark."""

import pytest
from tests.conftest import ROOT

from fraudlake.columns import Column
from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.writing import Writing

# ruff: noqa: E501
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


def test_an_id_that_is_text_has_a_column_more(load):
    dataset = load(GOOD.replace("id, type: bigint", "[shop, id], type: string"))
    types = dataset.column_types()
    assert (types["tx_id"], types["tx_ref"]) == ("bigint", "string")
    assert dataset.flag_types() == {"tx_ref": "string", "card_id": "string"}
    assert load(GOOD).flag_types() == {"card_id": "string"}
    assert dataset.required_fields() == ["shop", "id", "time", "amount"]


def test_a_card_may_be_left_out(load):
    assert load(GOOD.replace("card: card_id\nlabel", "label")).card is None


def test_events_without_amounts_have_no_features_of_amounts(load):
    dataset = load("\n".join(line for line in GOOD.splitlines() if "amount" not in line))
    assert "amount" not in dataset.column_types()
    (problem,) = load_feature_set("handbook").only(["amount"]).check_against(dataset)
    assert problem == (
        f"features: amount: got column 'amount', expected one of tx_id, event_time, card_id (data set {dataset.name})"
    )
    for wrong in ("double", '"decimal(18,2)", required: false'):
        with pytest.raises(ConfigError, match="columns with amount"):
            load(GOOD.replace('"decimal(18,2)"', wrong))


def test_a_table_of_ranges_lies_beside_the_yaml(load, tmp_path):
    (tmp_path / "ranges.csv").write_text("cidr,country\n")
    text = GOOD.replace("required: false", "required: false, ranges: {file: ranges.csv, column: a}")
    found = load(text.replace("ranges.csv", "./ranges.csv")).columns["card_id"].ranges
    assert found.file == str(tmp_path / "ranges.csv")


def test_words_stay_as_they_are_written(load):
    """YAML takes Yes for true, NULL for nothing and -1 for a number."""
    label = "true: [Yes, on], false: [No, -1], unknown: [NULL, ~, 1e3]"
    dataset = load(GOOD.replace("delay", f"{label}, delay") + "nulls: [NULL, 007]\n")
    assert (dataset.label.true, dataset.label.false) == (("Yes", "on"), ("No", "-1"))
    assert dataset.label.unknown == ("NULL", "~", "1e3")
    assert dataset.nulls == ("NULL", "007")
    given = {"source": "x", "type": "boolean", True: [True, "Y"], False: -1}
    assert Column.model_validate(given).flags() == (["true", "y"], ["-1"])


def test_several_fields_make_one_value(load):
    text = GOOD.replace("source: time", "source: [day, clock]").replace("known_at: known", "X")
    dataset = load(text.replace("X", "known_at: {source: [kd, kc], unit: ms, origin: 2013-09-01}"))
    assert dataset.required_fields() == ["id", "day", "clock", "amount"]
    assert dataset.raw_fields()[-2:] == ["kd", "kc"]
    assert dataset.label.known_at.forms()[0].origin == "2013-09-01"


def test_all_that_is_wrong_with_the_writing_of_columns_is_told_at_once(load):
    text = GOOD.replace("id, type: bigint", "id, type: bigint, scale: 2, unit: ms")
    text = text.replace("time, type: timestamp", "time, type: timestamp, pattern: [iso, MMdd, QQ]")
    text = text.replace("amount, type", "amount, round: up, strip: 5, thousands: ',', type")
    text = text.replace("delay: 3d", "true: [0], unknown: [0], delay: soon")
    with pytest.raises(ConfigError) as caught:
        load(text)
    places = [problem.split(": ")[1] for problem in caught.value.problems]
    assert places == [
        "columns.tx_id", "columns.tx_id", "columns.event_time.pattern", "columns.amount.strip",
        "columns.amount.round", "label.delay",
    ]  # fmt: skip


def test_the_example_of_the_documentation(load):
    page = (ROOT / "docs" / "data-sets.md").read_text()
    blocks = [block.split("```")[0] for block in page.split("```yaml\n")[1:]]
    dataset = load(next(block for block in blocks if "\nentities:" in block and "NULL" in block))
    assert dataset.nulls == ("NULL", "NA", "\\N")
    keys = {*Writing.model_fields, "unknown"}
    assert [key for key in keys if f"`{key}`" not in page and f"`{key}: " not in page] == []


def test_how_records_lie(load):
    text = GOOD.replace("format: csv", "format: jsonl\nrecord:\n  path: items[].payment\n"
                        "  where: {kind: [paid, true, 1], $.live: false}")  # fmt: skip
    dataset = load(text)
    assert dataset.record.parts() == [["items"], ["payment"]]
    assert dataset.record.where == {"kind": ("paid", "true", "1"), "$.live": ("false",)}
    assert dataset.raw_fields()[-2:] == ["kind", "$.live"]
    assert dataset.required_fields() == ["id", "time", "amount"]


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
        ("format: csv", "format: csv\nearliest: 1969-12-31", "earliest: got datetime.date(1969"),
        ("format: csv", "format: csv\nearliest: soon", "earliest: got 'soon', expected a day (2018"),
        ("format: csv", "format: csv\ntimezone: Paris", "Europe/Paris"),
        ("entities:", "entitis:", "entitis: unknown key"),
        (
            "source: id",
            "source: []",
            "tx_id.source: got [], expected the name of a field, or a lis",
        ),
        ("string, required: false", "string, required: false, address: number", "address beside subnet or ranges"),
        ("amount, type:", "amount, digits: {ISK: 2}, type:", "got digits, expected them beside `scale`"),
        ("amount, type:", "amount, digits: {ISK: two}, type:", "expected codes of currencies with 0 to 8"),
        (
            "bigint",
            "bigint, unit: ms",
            "tx_id: got unit on a bigint, expected it on timestamp alon",
        ),
        (
            "string,",
            "string, round: half_up,",
            "got round on a string, expected it on decimal(18,2)",
        ),
        (
            "timestamp",
            "timestamp, unit: sec",
            "unit: got 'sec', expected one of ns, us, ms, s, min, h, d, month, or so many of one",
        ),
        (
            "timestamp",
            "timestamp, unit: s, pattern: iso",
            "got unit and pattern, expected one of th",
        ),
        (
            "timestamp",
            "timestamp, origin: 2013-09-01",
            "got origin without unit, expected the unit",
        ),
        (
            "timestamp",
            "timestamp, unit: h, origin: noon",
            "origin: got 'noon', expected a day (2013",
        ),
        (
            "timestamp",
            "timestamp, pattern: HH:mm",
            "pattern: got 'HH:mm', expected a pattern with a",
        ),
        (
            "timestamp",
            "timestamp, pattern: MMdd",
            "MMdd without a year, expected year: arrival too",
        ),
        (
            "timestamp",
            "timestamp, year: arrival",
            "year: arrival, expected a pattern without a year",
        ),
        (
            "timestamp",
            "timestamp, timezone: Paris",
            "timezone: got 'Paris', expected the name of a",
        ),
        ("timestamp", "timestamp, gap: skip", "gap: got 'skip', expected 'refuse' or 'shift'"),
        ('18,2)"', '18,2)", decimal: ",", thousands: ","', "got ',' as thousands and as decimal"),
        (
            '18,2)"',
            '18,2)", scale: two',
            "amount: got scale two, expected digits or a required col",
        ),
        ('18,2)"', '18,2)", scale: 2.5', "amount.scale: got 2.5, expected a number of digits"),
        ('18,2)"', '18,2)", strip: (x)', "strip: got '(x)', expected signs and words such as $"),
        ('18,2)"', '18,2)", negative: red', "negative: got 'red', expected brackets (12.50)"),
        (
            "delay: 3d",
            "true: [1], unknown: [1], delay: 3d",
            "label: got 1 twice, expected a word on",
        ),
        ("known_at: known", "known_at: {source: k, unit: x}", "label.known_at.unit: got 'x'"),
        (
            "amount: {",
            'tip: {source: tip, type: "decimal(18,2)", signed: true}\n  amount: {',
            "columns: tip: got signed, expected it on amount alone",
        ),
        ("id, type: bigint", "id, type: bigint, repeats: in_file", "columns: tx_id: got repeats"),
        ("card, type: string", "card, type: string, repeats: in_file", "columns: card_id: got repeats"),
        ("id, type: bigint", "id, type: string, repeats: often", "columns.tx_id.repeats: got 'often'"),
        ("card, type: string", "card, type: string, hash: true", "secret: got none and card_id with hash: true"),
        ("format: csv", "format: csv\nsecret: {env: KEY}", "secret: got one and no column with hash: true"),
        ("format: csv", "format: csv\nsecret: {}", "secret: expected env or file"),
        ("id, type: bigint", "id, type: string, hash: true", "columns: tx_id: got hash"),
        ("card, type: string", "[a, b], type: string, hash: true", "hash on a string of one field"),
        ("card: card_id\nlabel", "card: tx_id\nlabel", "tx_id is not one"),
        ("id, type: bigint", "id, type: double", "columns with tx_id of type bigint or string"),
        ("  tx_id", "  tx_ref: {source: id, type: string}\n  tx_id", "columns: got tx_ref, expected a name"),
        ("format: csv", "format: csv\nfiles: {delimiter: ';;'}", "files.delimiter: got ';;', expected one"),
        ("format: csv", "format: csv\nfiles: {header: false}", "files: got header: false without names"),
        ("format: csv", "format: csv\nfiles: {names: [a, a]}", "files: got names beside a header"),
        ("format: csv", "format: csv\nfiles: {names: [a, a]}", "files: got a twice in names"),
        ("format: csv", "format: csv\nfiles: {encoding: klingon}", "files.encoding: got 'klingon', expected an"),
        ("format: csv", "format: csv\nfiles: {seperator: a}", "files.seperator: unknown key"),
        ("format: csv", "format: parquet\nfiles: {quote: a, encoding: utf-16}", "files.quote: got format parquet, expected csv"),
        ("format: csv", "format: parquet\nfiles: {quote: a, encoding: utf-16}", "files.encoding: got format parquet"),
        ("format: csv", "format: csv\nrecord: {path: a.b}", "record.path: got 'a.b', expected none"),
        ("format: csv", "format: jsonl\nrecord: {path: a..b}", "record.path: got 'a..b', expected a path"),
        ("format: csv", "format: jsonl\nrecord: {path: 'a[x]'}", "record.path: got 'a[x]', expected a path"),
        ("format: csv", "format: jsonl\nrecord: {}", "record: expected a path, where, or both"),
        ("format: csv", "format: csv\nrecord: {where: {a: []}}", "values of a, a list of words"),
        ("format: csv", "format: csv\nrecord: {where: {a: [{}]}}", "values of a, a list of words"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(load, old, new, said):
    assert old in GOOD
    with pytest.raises(ConfigError) as caught:
        load(GOOD.replace(old, new))
    assert said in str(caught.value)


@pytest.mark.parametrize("version", ["amount", "weather", "card_id"])
def test_a_version_is_a_required_column_with_an_order(load, version):
    with pytest.raises(ConfigError, match="version"):
        load(GOOD + f"version: {version}\n")


def test_a_label_may_be_presumed_alone(load):
    label = "label: {source: fraud, known_at: known, delay: 3d}"
    presumed = load(GOOD.replace(label, "label: {presumed: true, delay: 3d}"))
    assert "fraud" not in presumed.raw_fields()
    for wrong in ("{delay: 3d}", "{presumed: true, known_at: known, delay: 3d}"):
        with pytest.raises(ConfigError, match="source"):
            load(GOOD.replace(label, f"label: {wrong}"))
