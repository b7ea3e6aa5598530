"""Names that nobody else can have are refused at once; names beside them go all the way."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import yaml
from pyspark.sql import DataFrame

from fraudlake import cli, job, reserved
from fraudlake.datasets import EVENT_COLUMNS, load_dataset
from fraudlake.features.batch import survey
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.state.stores import Store
from fraudlake.ingest import checks, pipeline
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, FLAGGED, SCORES
from fraudlake.models import bundle
from fraudlake.registry import Registry
from fraudlake.reports import feature_review
from fraudlake.scoring.batch import provenance
from fraudlake.stream.history import History
from fraudlake.stream.scorer import StreamScorer
from fraudlake.training import train

EVENT = {"tx_id": "bigint", "event_time": "timestamp", "amount": "decimal(18,2)"}


def described(types, entities, card):
    """Content of a data set's YAML: column → type, raw fields of the same names."""
    return {
        "format": "jsonl",
        "columns": {name: {"source": name, "type": kind} for name, kind in types.items()},
        "entities": entities,
        "card": card,
        "label": {"source": "said", "delay": "2d"},
    }


@pytest.fixture
def refusal(tmp_path, capsys):
    """A function: what `fraudlake validate` says of the features job with more names than usual."""

    def said(columns=(), entities=(), features=()):
        types = EVENT | {"card_id": "bigint"} | dict.fromkeys(columns, "bigint")
        entities = {"card": "card_id"} | dict.fromkeys(entities, "card_id")
        contents = {
            "dataset": described(types, entities, "card_id"),
            "features": {"features": [{"calendar": "night"}, *features]},
        }
        for name, content in contents.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
        words = [f"{name}={tmp_path / name}.yaml" for name in contents]
        with pytest.raises(SystemExit) as ended:
            cli.main(["validate", "features", *words])
        assert ended.value.code == 2
        return capsys.readouterr().err

    return said


def over(entity):
    return {"entity": entity, "operations": ["count"], "windows": ["1d"]}


@pytest.mark.parametrize("name", reserved.COLUMNS.names)
@pytest.mark.parametrize("written", [str.lower, str.upper])
def test_a_column(refusal, name, written):
    said = refusal(columns=[written(name)])
    expected = f"columns: got {written(name)}, expected a name that nothing else keeps"
    assert f"{expected} ({reserved.COLUMNS.names[name]}): give the column another name" in said
    assert "1 problem:" in said


@pytest.mark.parametrize("name", reserved.ENTITIES.names)
def test_an_entity(refusal, name):
    keeper = reserved.ENTITIES.names[name]
    expected = f"got {name}, expected a name that nothing else keeps ({keeper}): give the entity"
    assert f"entities: {expected}" in refusal(entities=[name])
    assert f"entities: got {name.upper()}, expected" in refusal(entities=[name.upper()])
    # A column may be taken for an entity by its own name.
    assert f"features: {expected}" in refusal(features=[over(name)])
    assert f"features: {expected}" in refusal(features=[over(["card", name])])


@pytest.mark.parametrize("name", reserved.FEATURE_NAMES.names)
@pytest.mark.parametrize("kind", ["column", "category"])
def test_a_feature(refusal, name, kind):
    said = refusal(features=[{kind: name.title()}])
    expected = f"features: got {name.title()}, expected a name that nothing else keeps"
    assert f"{expected} ({reserved.FEATURE_NAMES.names[name]}): give the column another" in said


def test_everything_is_told_at_once(refusal):
    said = refusal(
        columns=[*reserved.COLUMNS.names, "shop", "SHOP"],
        entities=[*reserved.ENTITIES.names, "Card"],
        features=[*({"column": name} for name in reserved.FEATURE_NAMES.names), over("labels")],
    )
    number = sum(
        len(r.names) for r in (reserved.COLUMNS, reserved.ENTITIES, reserved.FEATURE_NAMES)
    )
    assert f"{number + 3} problems:" in said
    differ = "expected names that differ by more than case: give the"
    assert f"columns: got shop and SHOP, {differ} column another name" in said
    assert f"entities: got card and Card, {differ} entity another name" in said


def test_features_that_differ_by_case(refusal):
    said = refusal(columns=["NIGHT"], features=[{"column": "NIGHT"}])
    assert "features: got night and NIGHT, expected names that differ by more than case" in said
    said = refusal(columns=["Card_ID"], features=[{"column": "card_id"}])
    assert "columns: got card_id and Card_ID, expected names that differ by more than" in said


def test_what_is_used_is_kept():
    """The stores of a stream's state, and what a scorer adds to its rows."""
    assert {*Store} <= {*reserved.ENTITIES.names}
    assert {*provenance("fraudlake", 1, "d", 0.5)} <= {*reserved.COLUMNS.names}
    assert {*EVENT_COLUMNS}.isdisjoint(reserved.COLUMNS.names)


START, DAYS, ROWS = datetime(2020, 1, 1, tzinfo=UTC), 14, 2800
LIVE = 11  # the day on which the stream takes over

# Names that Spark, SQL, XGBoost, pydantic and our own aggregates have, and names close to those
# which are kept.
DOUBLES = (
    *("weight", "qid", "baseMargin", "validationIndicator", "values", "prediction", "probability"),
    *("score_", "threshold1", "expected", "newest", "x_0", "margin", "held", "position"),
)
WHOLE = (
    *("key", "count", "time", "rank", "day", "hour", "month", "card", "known", "change", "bucket"),
    *("bin", "feature", "features", "rows", "pairs", "partition", "offset", "batch", "labels"),
)
TEXTS = (
    *("n", "frauds", "window", "kind", "word", "topic", "source", "dataset", "record", "fields"),
    *("corrupt", "broken", "parsed", "select", "order", "group", "from", "table", "name", "job"),
    *("run", "model_dump", "model_config", "copy", "json", "transactions", "raws", "t", "s"),
)
OTHERS = {"value": "decimal(18,2)", "fraud": "boolean", "timestamp": "timestamp", "first": "int"}
ENTITIES = {"label": "key", "count": "count", "transaction": "time", "batch": "source"}
CATEGORIES = ("n", "frauds", "window", "select")
SET = {
    "features": [
        *({"column": name} for name in ("amount", "value", "fraud", "first", *DOUBLES, "month")),
        *({"category": name} for name in CATEGORIES),
        {"calendar": "night"},
        {"same": ["window", "group"]},
        {
            "entity": "label",
            "operations": ["count", {"sum": "value"}, {"distinct": "window"}, {"mean": "rank"}],
            "windows": ["1d", "5d"],
        },
        {"entity": "count", "operations": ["age", {"mean": "features"}], "windows": ["5d"]},
        {"entity": ["label", "kind"], "operations": ["count"], "windows": ["2d"]},
        {"entity": "transaction", "operations": [{"last": "labels", "k": 2}], "windows": ["3d"]},
        {"entity": "order", "operations": [{"distinct": "timestamp"}], "windows": ["3d"]},
        {
            "entity": "batch",
            "operations": ["count", {"rate": "fraud"}],
            "windows": ["3d"],
            "delay": "2d",
        },
        {"ratio": ["label_count_1d", "label_count_5d"]},
    ]
}


def day(number):
    return (START + timedelta(days=number)).date().isoformat()


@pytest.fixture(scope="module")
def rows():
    """Records whose large values at night are mostly fraud."""
    random = np.random.default_rng(5)
    seconds = np.sort(random.integers(0, DAYS * 86400, ROWS))
    time = pd.Timestamp(START) + pd.to_timedelta(seconds, unit="s")
    amount = np.round(random.lognormal(3, 1, ROWS), 2)
    odds = 1.5 * (np.log(amount) - 4.5) + 2 * (seconds % 86400 < 7 * 3600)
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ")
    frame = {"tx_id": np.arange(ROWS), "event_time": text, "amount": amount}
    frame |= {name: np.round(random.random(ROWS), 6) for name in DOUBLES}
    frame |= {name: random.integers(0, 40, ROWS) for name in (*WHOLE, "first")}
    frame |= {name: random.choice(["a", "b", "c"], ROWS) for name in TEXTS}
    frame["key"] = random.integers(0, 500, ROWS)
    frame["count"] = np.where(random.random(ROWS) < 0.8, 7, frame["count"])  # a key with most rows
    frame |= {"value": amount, "fraud": random.random(ROWS) < 0.5, "timestamp": text}
    frame["said"] = random.random(ROWS) < 1 / (1 + np.exp(-odds))
    return pd.DataFrame(frame)


@pytest.fixture(scope="module")
def conf(tmp_path_factory, rows):
    """YAML files of the data set and the features, and the raw files `history` and `live`."""
    folder = tmp_path_factory.mktemp("odd")
    types = EVENT | dict.fromkeys(DOUBLES, "double") | dict.fromkeys(WHOLE, "bigint")
    types |= dict.fromkeys(TEXTS, "string") | OTHERS
    contents = {"dataset": described(types, ENTITIES, "key"), "features": SET}
    contents["trees"] = {"kind": "xgboost", "workers": 2, "rounds": 8}
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    before = rows["event_time"] < day(LIVE)
    for name, part in (("history", rows[before]), ("live", rows[~before])):
        (folder / name).mkdir()
        part.to_json(folder / name / "rows.jsonl", orient="records", lines=True)
    return folder


@pytest.fixture
def frames(monkeypatch):
    """What goes in and out where jobs put columns of their own beside those of others."""
    seen = []

    def spy(owner, name):
        called = getattr(owner, name)

        def watched(*given, **named):
            found = called(*given, **named)
            parts = (*given, found, *getattr(found, "__dict__", {}).values())
            seen.extend(part for part in parts if isinstance(part, DataFrame))
            return found

        monkeypatch.setattr(owner, name, watched)

    spy(checks, "check")
    spy(pipeline, "classify")
    spy(train, "gather")
    spy(feature_review, "count")
    spy(History, "arrived")
    spy(StreamScorer, "_scored")
    return seen


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_the_way(spark, conf, rows, frames, monkeypatch):
    lake = Lake(spark, str(conf / "lake"))
    keys = {"lake": lake.root}
    here = {"dataset": conf / "dataset.yaml", "features": conf / "features.yaml"}
    history = job.call("ingest", spark, **keys, dataset=here["dataset"], input=conf / "history")
    assert history["transactions"] == history["records"] > 2000

    monkeypatch.setattr(survey, "_BURDEN", 40)
    built = job.call("features", spark, **keys, **here)
    assert built["rows"] == history["records"]
    trained = job.call(
        "train", spark, **keys, **here, model=conf / "trees.yaml", alerts=5,
        train_from=day(0), train_to=day(5),
    )  # fmt: skip
    assert trained["auc"] > 0.75
    live = {"from": day(LIVE), "alerts": 5}
    streamed = job.call("stream", spark, **keys, **here, **live, input=conf / "live", replay="1d")
    assert streamed["scored"] == streamed["records"] == ROWS - history["records"]
    assert streamed["flagged"]
    known = {"state": lake.folder("stream")}
    parity = job.call("parity", spark, **keys, **here, **known, **live)
    assert parity["rows"] == parity["equal"] == streamed["scored"]

    job.call("ingest", spark, **keys, dataset=here["dataset"], input=conf / "live")
    built = job.call("features", spark, **keys, **here)
    assert built["new"] == streamed["scored"]
    parity = job.call("parity", spark, **keys, **live)
    assert parity["rows"] == parity["equal"] == streamed["scored"]
    before = {"from": day(9), "to": day(LIVE), "alerts": 5}
    assert job.call("score", spark, **keys, **before)["flags"]
    reviewed = job.call("review", spark, **keys, features=here["features"], output=conf / "review")
    assert reviewed["rows"] == ROWS

    dataset = load_dataset(str(here["dataset"]))
    feature_set = load_feature_set(str(here["features"]))
    the_same_one_by_one(lake, dataset, feature_set, rows)
    ours = {*reserved.COLUMNS.names, *reserved.FEATURE_NAMES.names}
    theirs = {*dataset.columns, *(feature.name for feature in feature_set.features)}
    columns = [[n for n in frame.columns if not n.startswith("_")] for frame in frames]
    assert len({*map(tuple, columns)}) > 6
    for names in columns:
        assert {*names} <= ours | theirs
        assert len({name.lower() for name in names}) == len(names)


def the_same_one_by_one(lake, dataset, feature_set, rows):
    """`serve` and MLflow's own loader give the scores that stand."""
    import mlflow

    from fraudlake.serve.request import TransactionReader
    from fraudlake.serve.scorer import SingleScorer
    from fraudlake.serve.state_reader import StateReader
    from fraudlake.service.admission import Model

    registry = Registry(lake.root)
    files = registry.files(1)
    model = Model(1, files, bundle.digest(files), bundle.load(files).threshold(5))
    read = TransactionReader(dataset, feature_set)
    last = rows.tail(20).drop(columns="said").to_dict("records")
    asked = [read(json.dumps(row).encode()) for row in last]
    snapshot = StateReader(lake.folder("stream"), feature_set, 1).snapshot()
    answers = SingleScorer(dataset, feature_set, lambda: snapshot, lambda: model)(asked)
    stand = {r.tx_id: r.score for r in lake.read(SCORES).collect()}
    assert {a["tx_id"]: a["score"] for a in answers} == {
        row["tx_id"]: stand[row["tx_id"]] for row in last
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", registry.uri)
        loaded = mlflow.pyfunc.load_model(f"models:/{registry.name}/1")
        table = lake.read(FEATURES).where(f"event_time >= '{day(LIVE)}'").toPandas()
        assert dict(zip(table["tx_id"], loaded.predict(table), strict=True)) == {
            tx_id: stand[tx_id] for tx_id in table["tx_id"]
        }
    assert lake.read(FLAGGED).count()
