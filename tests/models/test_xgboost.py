"""Trees: what comes out is what XGBoost says."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import xgboost
from scipy.special import expit, log_expit
from sklearn.metrics import log_loss, roc_auc_score

from fraudlake.launch.checkpoints import Checkpoints
from fraudlake.models import bundle
from fraudlake.models.xgboost.boost import focal
from fraudlake.models.xgboost.contender import XGBoostContender
from fraudlake.models.xgboost.fit import fit

from .conftest import FEATURES, LINE, labels, packed, rows


def test_margins_and_contributions_are_xgboosts(booster, bundles):
    x = rows(300, seed=3)
    x[::5, 0] = np.nan
    scorer = bundle.load(bundles["xgboost"])
    matrix = xgboost.DMatrix(x.astype(np.float32))
    np.testing.assert_array_equal(scorer.margins(x), booster.predict(matrix, output_margin=True))
    values = booster.predict(matrix, pred_contribs=True).astype(np.float64)
    np.testing.assert_array_equal(scorer.contributions(x), LINE.slope * values[:, :-1])
    assert scorer.base() == LINE.slope * values[0, -1] + LINE.intercept


def test_a_booster_with_named_features_scores_plain_matrices(booster):
    named = booster.copy()
    named.feature_names = [f"name {i}" for i in range(7)]
    scorer = bundle.load(packed("xgboost", named.save_raw("ubj")))
    x = rows(10)
    assert np.isfinite(scorer.contributions(x)).all()
    assert np.isfinite(scorer.score(x)).all()


def test_what_features_are_called_changes_no_tree(spread, tmp_path):
    """XGBoost's own estimator takes columns of these names for weights, groups and margins."""
    x = rows(600, seed=5)
    fitted = {}
    for names in (
        [f"feature{i}" for i in range(7)],
        ["qid", "weight", "baseMargin", "validationIndicator", "values", "features", "prediction"],
    ):
        contender = XGBoostContender(kind="xgboost", workers=1, rounds=4)
        booster = xgboost.Booster()
        found = fit(spread(x, labels(x), names), names, contender, 1, str(tmp_path / "fit"))
        booster.load_model(bytearray(found.final))
        assert booster.feature_names == names
        booster.feature_names = None
        fitted[names[0]] = booster.save_raw("ubj")
    assert fitted["feature0"] == fitted["qid"]


def contender(**settings):
    return XGBoostContender(kind="xgboost", **({"workers": 2, "rounds": 12} | settings))


def grown(found):
    booster = xgboost.Booster(model_file=bytearray(found.final))
    booster.feature_names = None
    return booster


def margins(found, x):
    return grown(found).predict(xgboost.DMatrix(x.astype(np.float32)), output_margin=True)


def test_one_task_grows_what_xgboost_grows(spread, tmp_path):
    x = rows(2000, seed=5)
    y = labels(x)
    found = fit(spread(x, y, held_out=500), FEATURES, contender(workers=1), 1, f"{tmp_path}/fit")
    order = np.arange(len(x))
    parameters = {**contender().parameters.model_dump(exclude={"monotone_constraints"})}
    parameters |= {"objective": "binary:logistic", "tree_method": "hist", "seed": 1, "nthread": 1}
    for chosen, weights in ((order[:-500], found.early), (order, found.final)):
        matrix = xgboost.QuantileDMatrix(x[chosen].astype(np.float32), y[chosen], max_bin=4096)
        theirs = xgboost.train(parameters, matrix, 12)
        ours = xgboost.Booster(model_file=bytearray(weights))
        ours.feature_names = None
        assert ours.get_dump() == theirs.get_dump()
    assert found.metrics == {"rounds": 12}


def test_two_tasks_are_as_good_and_the_same_each_time(spread, tmp_path):
    x, y = rows(4000, seed=5), labels(rows(4000, seed=5))
    test, truth = rows(4000, seed=6), labels(rows(4000, seed=6))
    frame = spread(x, y, workers=2)
    found = [fit(frame, FEATURES, contender(), 1, f"{tmp_path}/fit") for _ in range(2)]
    assert found[0] == found[1]
    one = fit(spread(x, y), FEATURES, contender(workers=1), 1, f"{tmp_path}/fit")
    ours, theirs = (roc_auc_score(truth, margins(each, test)) for each in (found[0], one))
    assert ours > theirs - 0.01
    assert not (tmp_path / "fit").exists()


def test_a_fit_goes_on_where_it_was(spread, tmp_path):
    """From a state that was kept, as after a task was lost: the same trees."""
    x, y = rows(2000, seed=5), labels(rows(2000, seed=5))
    frame, settings = spread(x, y, workers=2), contender(rounds=20)
    whole = fit(frame, FEATURES, settings, 1, f"{tmp_path}/fit")
    before = xgboost.Booster(model_file=bytearray(whole.final))[:8]
    before.feature_names = None
    assert before.num_boosted_rounds() == 8
    kept = Checkpoints(f"file://{tmp_path}/fit", "final")
    kept.save(8, bytes(before.save_raw("ubj")))
    again = fit(frame, FEATURES, settings, 1, f"{tmp_path}/fit")
    assert grown(again).num_boosted_rounds() == 20
    np.testing.assert_allclose(margins(again, x), margins(whole, x), atol=1e-4)


def test_it_stops_where_held_out_rows_gain_no_more(spread, tmp_path):
    x, y = rows(1500, seed=5), labels(rows(1500, seed=5))
    settings = contender(rounds=200, patience=5, parameters={"learning_rate": 0.5})
    found = fit(spread(x, y, workers=2, held_out=500), FEATURES, settings, 1, f"{tmp_path}/fit")
    rounds = found.metrics["rounds"]
    assert 0 < rounds < 100
    assert grown(found).num_boosted_rounds() == rounds
    early = xgboost.Booster(model_file=bytearray(found.early))
    early.feature_names = None
    held_out = xgboost.DMatrix(x[1000:].astype(np.float32))
    losses = [
        log_loss(y[1000:], early.predict(held_out, iteration_range=(0, k)))
        for k in range(1, rounds + 1)
    ]
    assert min(losses) == losses[-1] == pytest.approx(found.metrics["held_out_loss"], rel=1e-5)


def test_a_score_only_rises_where_that_is_asked(spread, tmp_path):
    x, y = rows(3000, seed=5), labels(rows(3000, seed=5))
    free = fit(spread(x, y), FEATURES, contender(workers=1), 1, f"{tmp_path}/fit")
    signs = {"monotone_constraints": {"f2": 1}}
    bound = contender(workers=1, parameters=signs)
    found = fit(spread(x, y), FEATURES, bound, 1, f"{tmp_path}/fit")
    sweep = np.tile(x[:50], (41, 1, 1))
    sweep[..., 2] = np.linspace(-2, 2, 41)[:, None]
    rising = [
        (np.diff(margins(each, sweep.reshape(-1, 7)).reshape(41, 50), axis=0) >= 0).all()
        for each in (found, free)
    ]
    assert rising == [True, False]
    assert bound.misfits({"f2": "double"}) == []
    assert "got 'f2', expected one of f0" in bound.misfits({"f0": "double"})[0]


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("label", [0, 1])
def test_the_focal_loss_is_its_own_derivative(gamma, label):
    z, step = np.linspace(-6, 6, 41), 1e-4
    sign = 2 * label - 1

    def loss(margin):
        return -(expit(-sign * margin) ** gamma) * log_expit(sign * margin)

    matrix = SimpleNamespace(get_label=lambda: np.full(z.shape, float(label)))
    slope, curve = focal(gamma)(z, matrix)
    np.testing.assert_allclose(slope, (loss(z + step) - loss(z - step)) / (2 * step), atol=1e-7)
    second = (loss(z + step) - 2 * loss(z) + loss(z - step)) / step**2
    np.testing.assert_allclose(curve, np.maximum(second, 1e-6), atol=1e-5)


def test_a_focal_loss_of_gamma_0_is_the_log_loss(spread, tmp_path, monkeypatch):
    x, y = rows(1500, seed=5), labels(rows(1500, seed=5))
    frame = spread(x, y, workers=2)
    plain, tiny, focused = (
        margins(fit(frame, FEATURES, contender(focal_gamma=g), 1, f"{tmp_path}/fit"), x)
        for g in (0.0, 1e-9, 2.0)
    )
    np.testing.assert_allclose(plain, tiny, atol=1e-4)
    assert np.abs(plain - focused).max() > 0.1


LOST = """
import glob, os, signal, sys, threading, time
import numpy as np, pandas as pd, psutil
from fraudlake import session
from fraudlake.models.xgboost.contender import XGBoostContender
from fraudlake.models.xgboost.fit import fit

master, victim, scratch = sys.argv[1:]
spark = session.open_spark("lost", **{
    "spark.master": master, "spark.driver.memory": "1g", "spark.ui.enabled": "false",
    "spark.executor.memory": "1g", "spark.default.parallelism": "2",
})
random = np.random.default_rng(0)
table = pd.DataFrame(random.normal(size=(15000, 10)).astype(np.float32))
table.columns = [f"f{n}" for n in range(10)]
table["label"] = (random.random(15000) < 1 / (1 + np.exp(2 - table.f0 * table.f1))).astype("int32")
table["held_out"] = False
frame = spark.createDataFrame(table).repartition(2).cache()
frame.count()
contender = XGBoostContender(kind="xgboost", workers=2, rounds=80, parameters={"max_depth": 5})

def command(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""

def kill():
    while not glob.glob(scratch + "/early-*"):
        time.sleep(0.02)
    word = {"worker": "pyspark.daemon", "executor": "CoarseGrainedExecutorBackend"}[victim]
    ours = psutil.Process().children(recursive=True)
    # The newest of Python's is a worker: they come from a daemon of the same name.
    one = max((p for p in ours if word in command(p)), key=lambda p: p.create_time())
    one.send_signal(signal.SIGKILL)
    print("lost", victim, one.pid, file=sys.stderr)

threading.Thread(target=kill, daemon=True).start()
started = time.monotonic()
found = fit(frame, [f"f{n}" for n in range(10)], contender, 1, scratch)
import xgboost
booster = xgboost.Booster(model_file=bytearray(found.final))
from sklearn.metrics import roc_auc_score
booster.feature_names = None
matrix = xgboost.DMatrix(table[[f"f{n}" for n in range(10)]].to_numpy())
auc = roc_auc_score(table.label, booster.predict(matrix))
print(booster.num_boosted_rounds(), round(auc, 4), round(time.monotonic() - started, 1))
"""


def survived(tmp_path, master, victim):
    """Rounds and AUC of a fit of which a process was killed."""
    command = [sys.executable, "-c", LOST, master, victim, str(tmp_path / "fit")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert f"lost {victim}" in ended.stderr
    rounds, auc, _ = ended.stdout.split()
    return int(rounds), float(auc)


def test_a_fit_survives_a_lost_python_worker(tmp_path):
    rounds, auc = survived(tmp_path, "local[2,4]", "worker")
    assert rounds == 80
    assert auc > 0.8


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "executor"])
def test_a_fit_survives_on_a_cluster(tmp_path, victim):
    rounds, auc = survived(tmp_path, "local-cluster[2,1,1024]", victim)
    assert rounds == 80
    assert auc > 0.8
