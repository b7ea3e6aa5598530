"""Both kinds of contender, from tables to registered versions, on two tasks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fraudlake import job
from fraudlake.errors import ConfigError, DataError
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, LABELS, METRICS, SCORES, TRANSACTIONS
from fraudlake.models import kinds
from fraudlake.models.gate import COMPARED, Comparison
from fraudlake.registry import Registry

START, DAY = datetime(2020, 1, 1, tzinfo=UTC), timedelta(days=1)


@pytest.fixture(scope="module")
def lake(spark, make_lake, made_up):
    """A lake of its own, with amounts: these tests add labels to it."""
    lake = make_lake(made_up)
    rows = spark.createDataFrame(made_up).selectExpr(
        "tx_id",
        "event_time",
        "CAST(amount AS decimal(18,2)) AS amount",
        "customer_id",
        "event_time AS ingested_at",
        "'made up' AS source_file",
    )
    lake.insert_missing(TRANSACTIONS, rows)
    return lake


@pytest.fixture(scope="module", autouse=True)
def gate(tmp_path_factory):
    """A gate that measures money and groups, one of them no feature."""
    path = tmp_path_factory.mktemp("gate") / "gate.yaml"
    path.write_text(
        "alert_cost: 2.5\ncalibration_error: 0.02\nfalse_positive_ratio: 10\n"
        "groups: {night: [], amount: [20], customer_id: [500, 1000]}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAUDLAKE_GATE", str(path))
        yield


@pytest.fixture(scope="module")
def train(spark, lake, conf, day):
    """Train in that lake: days 0 to 5, labels known by day 7, test days 7 to 12."""

    def call(contender, **changes):
        keys = {
            "lake": lake.root,
            "features": conf["features"],
            "model": conf[contender],
            "train_from": day(0),
            "train_to": day(5),
            "alerts": 10,
        }
        return job.call("train", spark, **(keys | changes))

    return call


@pytest.fixture(scope="module")
def registry(lake):
    return Registry(lake.root)


@pytest.fixture(scope="module")
def first(train):
    """The first version of each contender, XGBoost's before the network's."""
    return {name: train(name) for name in ("xgboost", "mlp")}


@pytest.mark.parametrize("contender", ["xgboost", "mlp"])
def test_a_contender_learns_is_calibrated_and_registered(first, registry, lake, contender, conf):
    result = first[contender]
    assert result["trained"]
    assert result["contender"] == conf[contender]
    assert result["auc"] > 0.8
    assert result["average_precision"] > 0.45
    assert result["log_loss"] < 0.37
    assert result["rows_test"] == sum(result[name] for name in ("tp", "fp", "fn", "tn"))
    assert result["frauds_test"] == result["tp"] + result["fn"]
    assert result["unlabelled_train"] == 0

    scorer = registry.load(result["model_version"])
    assert scorer.definition == result["definition"]
    assert scorer.threshold(10) == result["threshold"]
    assert scorer.manifest.alert_days == 2
    described = registry.describe(result["model_version"])
    assert described["labels_version"] == "1"
    assert described["parameters"]["contender.workers"] == "2"
    recorded = {r.name: r.value for r in lake.read(METRICS).where("job = 'train'").collect()}
    assert set(recorded) >= {"auc", "average_precision", "threshold", "seconds"}


def test_the_alias_goes_to_the_first_and_then_to_what_passes_the_gate(first, registry):
    told = first["xgboost"]["comparison"]
    assert first["xgboost"]["champion"] == first["xgboost"]["model_version"], told
    compared = Comparison.read(registry.describe(first["mlp"]["model_version"])[COMPARED])
    assert compared.own == first["mlp"]["average_precision"]
    assert compared.theirs == first["xgboost"]["average_precision"]
    assert compared.error > 0
    better = first["mlp"]["champion"] == first["mlp"]["model_version"]
    assert ("the new version takes over" in first["mlp"]["comparison"]) is better
    assert better or "expected a" in first["mlp"]["comparison"]


def test_what_analysts_would_see_is_measured(first):
    """Alerts 10 a day on five days, in the limits that hold whatever the scores are."""
    found = first["xgboost"]
    assert found["alerts_a_day"] == pytest.approx((found["tp"] + found["fp"]) / 5)
    assert found["recall"] == pytest.approx(found["tp"] / found["frauds_test"])
    assert found["recall_possible"] == pytest.approx(50 / found["frauds_test"])
    assert 0 < found["saved_amount"] < found["saved_amount_possible"] < found["fraud_amount"]
    lost = found["fraud_amount"] - found["expected_cost"]
    assert lost == pytest.approx(found["saved_amount"])
    assert 0 < found["fraud_money_at_1_to_5"] <= 1
    assert 0 < found["first_fraud_recall"] < 1
    assert found["card_precision_at_100"] <= found["card_precision_at_100_possible"] <= 1
    assert found["recall_at_fpr_0.001"] <= found["recall_at_fpr_0.01"] <= 1
    assert found["average_precision_by_day_error"] > 0
    assert found["nan_scores"] == 0
    for column, groups in {
        "night": ("0", "1"),
        "amount": ("below 20", "20 and more"),
        "customer_id": ("below 500", "500 to 1000", "1000 and more"),
    }.items():
        rows = sum(found[f"rows.{column}.{group}"] for group in groups)
        assert rows == found["rows_test"]
    assert found["false_positive_rate.amount.below 20"] < found["false_positive_rate"]


def test_nothing_is_left_of_the_snapshot(first, lake):
    assert not list(Path(lake.folder("snapshots")).iterdir())


@pytest.mark.parametrize("contender", ["xgboost", "mlp"])
def test_the_same_run_again_registers_nothing(first, train, registry, lake, contender):
    commits = lake.version(METRICS)
    champion = registry.champion()
    again = train(contender)
    assert not again["trained"]
    assert again["comparison"]
    same = set(again) - {"trained", "seconds", "champion"}
    assert {k: again[k] for k in same} == {k: first[contender][k] for k in same}
    assert (registry.champion(), lake.version(METRICS)) == (champion, commits)


@pytest.fixture(scope="module")
def other(spark, lake, made_up, write_features):
    """A second feature table of the lake, with categories, and nulls in every column."""
    table = Lake(spark, lake.root, "features_other")
    holes = made_up.assign(
        amount=made_up["amount"].where(made_up.index % 11 > 0),
        night=made_up["night"].astype("Int32").where(made_up.index % 13 > 0),
        customer_count_1d=made_up["customer_count_1d"].astype("Int64").where(made_up.index % 7 > 0),
    )
    write_features(table, holes, "categories")
    return table


def test_a_version_of_another_feature_set_stands_beside_the_champion(
    first, train, registry, other, conf
):
    """A stream of the champion's feature set goes on with the version that it has."""
    champion = registry.champion()
    for trained in (True, False):
        result = train("xgboost", features=conf["categories"], table=other.features)
        assert (result["trained"], result["champion"]) == (trained, champion)
        assert result["model_version"] > champion
        sentence = f"not compared: champion {champion} has features of another definition"
        assert sentence in result["comparison"]
        assert "version=VERSION by=NAME" in result["comparison"]


def test_mlflows_own_loaders_score_the_feature_table_as_the_batch_does(
    spark, first, train, registry, other, conf, monkeypatch
):
    import mlflow

    result = train("xgboost", features=conf["categories"], table=other.features)
    version = result["model_version"]
    scorer = registry.load(version)
    assert scorer.encodings.keys() == {"shop"}
    job.call("score", spark, lake=other.root, model=version, table=other.features)
    scores = {
        row.tx_id: row.score
        for row in other.read(SCORES).where(f"model_version = {version}").collect()
    }
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.uri)
    address = f"models:/{registry.name}/{version}"
    features = other.read(FEATURES)
    frame = features.toPandas()
    predicted = mlflow.pyfunc.load_model(address).predict(frame)
    assert dict(zip(frame["tx_id"], predicted.tolist(), strict=True)) == scores
    score = mlflow.pyfunc.spark_udf(spark, address, env_manager="local")
    rows = features.select("tx_id", score().alias("score")).collect()
    assert {row.tx_id: row.score for row in rows} == scores
    assert len(scores) == frame["tx_id"].nunique() > 1000


def test_trained_again_no_version_takes_an_alias_that_nobody_has(first, train, registry):
    champion = registry.champion()
    registry._client.delete_registered_model_alias("fraudlake", "champion")
    try:
        for contender in first:
            assert train(contender)["champion"] is None
    finally:
        registry.promote(champion)


def test_a_contest_goes_on_with_what_is_trained(spark, first, lake, registry, conf, day, capsys):
    champion = registry.champion()
    arguments = {
        "lake": lake.root,
        "features": conf["features"],
        "models": f"{conf['xgboost']},logistic,{conf['mlp']}",
        "from": day(0),
        "to": day(12),
        "train_for": "5d",
        "test_for": "5d",
        "alerts": 10,
    }
    results = [job.call("compete", spark, **arguments) for _ in range(2)]
    assert [result["trained"] for result in results] == [1, 0]
    versions = {one["contender"]: one["versions"] for one in results[0]["contenders"]}
    assert list(versions) == ["logistic", conf["xgboost"], conf["mlp"]]
    for name, result in first.items():
        assert versions[conf[name]] == [result["model_version"]]
    assert results[0]["choice"] == results[1]["choice"]
    assert "the simplest first" in capsys.readouterr().out
    assert registry.champion() == champion


@pytest.fixture(scope="module")
def taken_back(first, lake):
    """Every training label is taken back a minute after the training date."""
    flipped = lake.read(LABELS).selectExpr(
        "tx_id",
        "NOT is_fraud AS is_fraud",
        "TIMESTAMP '2020-01-08 00:01:00' AS known_at",
        "'taken back' AS source",
    )
    lake.insert_missing(LABELS, flipped.where("known_at > '2020-01-01' AND tx_id < 2400"))


@pytest.mark.usefixtures("taken_back")
@pytest.mark.parametrize("contender", ["xgboost", pytest.param("mlp", marks=pytest.mark.slow)])
def test_labels_of_after_the_training_date_change_no_weight(first, train, registry, contender):
    """Weights keep their bits, so both fits are also the same from run to run."""
    champion = registry.champion()
    again = train(contender)
    assert again["trained"]
    assert again["champion"] == champion, "equal average precision takes nothing over"
    files = [
        registry.files(version)
        for version in (first[contender]["model_version"], again["model_version"])
    ]
    weights = kinds.kind_of(contender).weights
    assert files[0][weights] == files[1][weights]
    manifests = [json.loads(each["scorer.json"]) for each in files]
    for each in manifests:
        each["settings"].pop("labels_version")
    assert manifests[0] == manifests[1]


def test_a_window_without_labels_is_refused(train, day):
    with pytest.raises(DataError, match="test window: got 0 rows"):
        train("xgboost", test_from=day(40), test_to=day(41))


def test_features_of_another_definition_are_refused(train):
    with pytest.raises(DataError, match=r"features: got rows of definition .*, expected"):
        train("xgboost", features="handbook")


def test_an_alert_budget_above_the_rows_set_aside_is_refused(train):
    with pytest.raises(DataError, match="lower alerts"):
        train("xgboost", alerts=900)


def test_a_delay_below_that_of_the_lakes_data_set_is_refused(train):
    with pytest.raises(ConfigError, match=r"delay: got 1d, expected at least .* 2d"):
        train("xgboost", delay="1d")


@pytest.fixture(scope="module")
def shuffled(spark, make_lake, made_up, conf, day):
    """Two trainings on shuffled labels, the first one forgotten in between; and the scorer."""
    lake = make_lake(
        made_up.assign(is_fraud=made_up.is_fraud.sample(frac=1, random_state=1).to_numpy())
    )
    registry, keys = Registry(lake.root), {"features": conf["features"], "model": conf["xgboost"]}
    keys |= {"train_from": day(0), "train_to": day(5), "alerts": 40, "alerts_by": "card"}
    results = []
    for _ in range(2):
        results.append(job.call("train", spark, lake=lake.root, **keys))
        told = registry.describe(results[-1]["model_version"])
        results[-1]["sha256"] = told["sha256"]
        scorer = registry.load(told["version"])
        registry._client.delete_registered_model_alias("fraudlake", "champion")
        registry._client.delete_model_version("fraudlake", str(told["version"]))
    return results, scorer


def test_shuffled_labels_tell_nothing(shuffled):
    for result in shuffled[0]:
        assert result["auc"] == pytest.approx(0.5, abs=0.06)  # three standard errors


def test_two_trainings_with_one_seed_have_one_digest(shuffled):
    one, other = shuffled[0]
    assert one["trained"]
    assert other["trained"]
    assert one["sha256"] == other["sha256"]


def test_a_budget_of_cards_is_of_cards_once_a_day(shuffled, made_up):
    """On the days set aside, of which the model keeps the scores, in pandas."""
    results, scorer = shuffled
    gap = made_up[(made_up.event_time >= START + 5 * DAY) & (made_up.event_time < START + 7 * DAY)]
    scores = scorer.score(gap[list(scorer.features)].to_numpy(float))
    best = gap.assign(score=scores, day=gap.event_time.dt.date)
    best = best.groupby(["customer_id", "day"]).score.max().sort_values(ascending=False)
    assert list(scorer.manifest.alert_scores) == best.tolist()
    assert len(best) < len(gap)
    assert results[0]["cards_a_day"] <= results[0]["alerts_a_day"]
