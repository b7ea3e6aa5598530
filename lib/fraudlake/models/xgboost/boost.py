"""What one task does to grow trees together with the others."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake.launch.checkpoints import Checkpoints

if TYPE_CHECKING:
    import pyarrow as pa
    import xgboost

    from fraudlake.launch.barrier import Task

_CHECKPOINTS = 10  # of one fit, at most
_SMALLEST_HESSIAN = 1e-6


def train(
    task: Task,
    table: pa.Table,
    features: Sequence[str],
    parameters: Mapping[str, Any],
    rounds: int,
    patience: int,
    focal_gamma: float,
    uri: str,
) -> dict[str, bytes]:
    """Grow two boosters, each on the rows of all tasks together.

    `early` on the rows that are not held out, then `final` on all. With `patience`, the early one
    stops where so many rounds have not lowered the log loss of the held-out rows, and both have as
    many rounds as were best.

    Parameters
    ----------
    table
        This task's rows: features, `label` (1, 0) and `held_out`.
    parameters
        Of `xgboost.train`.
    rounds
        Rounds, or the most of them.
    patience
        0: all rounds.
    focal_gamma
        Of the focal loss; 0: log loss.
    uri
        Folder of checkpoints.

    Returns
    -------
    dict
        `early` and `final`, UBJ, and `metrics`: JSON with `rounds` and, with `patience`,
        `held_out_loss`.
    """
    x = np.empty((table.num_rows, len(features)), dtype=np.float32)
    for place, name in enumerate(features):
        x[:, place] = table[name].to_numpy()
    label = table["label"].to_numpy().astype(np.float32)
    held_out = table["held_out"].to_numpy().astype(bool)
    settings = {**parameters, "nthread": task.threads}
    if settings.get("device") == "cuda":
        settings["device"] = f"cuda:{task.gpu()}"
    metrics: dict[str, float] = {}
    with _together(task):
        early, losses = _grow(
            task, x, label, ~held_out, settings, rounds, patience, focal_gamma,
            Checkpoints(uri, "early"),
        )  # fmt: skip
        if patience:
            rounds = int(np.argmin(losses)) + 1
            metrics["held_out_loss"] = losses[rounds - 1]
            early = early[:rounds]
        everything = np.ones(len(x), dtype=bool)
        final, _ = _grow(
            task, x, label, everything, settings, rounds, 0, focal_gamma, Checkpoints(uri, "final")
        )
    found = {}
    for name, booster in (("early", early), ("final", final)):
        booster.feature_names = list(features)
        found[name] = bytes(booster.save_raw("ubj"))
    metrics["rounds"] = rounds
    return {**found, "metrics": json.dumps(metrics).encode()}


@contextmanager
def _together(task: Task) -> Iterator[None]:
    """Connect XGBoost's collective: rank 0 has the tracker, ranks are the tasks' own."""
    import xgboost
    from xgboost.collective import CommunicatorContext
    from xgboost.tracker import RabitTracker

    arguments: dict[str, Any] = {}
    if task.rank == 0:
        tracker = RabitTracker(task.size, socket.gethostbyname(task.host), sortby="task")
        tracker.start()
        Thread(target=tracker.wait_for, daemon=True).start()
        arguments = tracker.worker_args()
    arguments = json.loads(task.share(json.dumps(arguments)))
    with (
        xgboost.config_context(verbosity=0),
        CommunicatorContext(**arguments, dmlc_task_id=str(task.rank)),
    ):
        yield


def _grow(
    task: Task,
    x: np.ndarray,
    label: np.ndarray,
    chosen: np.ndarray,
    settings: Mapping[str, Any],
    rounds: int,
    patience: int,
    focal_gamma: float,
    checkpoints: Checkpoints,
) -> tuple[xgboost.Booster, list[float]]:
    """A booster on the chosen rows, and with `patience` the loss of the others after each round."""
    import xgboost

    before, losses = _kept(task, checkpoints)
    train = xgboost.QuantileDMatrix(
        x[chosen], label[chosen], max_bin=settings["max_bin"], nthread=task.threads
    )
    evals = []
    if patience:
        others = xgboost.DMatrix(x[~chosen], label[~chosen], nthread=task.threads)
        evals = [(others, "held_out")]
    every = max(1, rounds // _CHECKPOINTS)
    booster = xgboost.train(
        dict(settings),
        train,
        rounds - (before.num_boosted_rounds() if before else 0),
        evals=evals,
        obj=focal(focal_gamma) if focal_gamma else None,
        xgb_model=before,
        callbacks=[_after_rounds(losses, patience, checkpoints if task.rank == 0 else None, every)],
        verbose_eval=False,
    )
    booster.set_attr(losses=None)
    return booster, losses


def _kept(task: Task, checkpoints: Checkpoints) -> tuple[xgboost.Booster | None, list[float]]:
    """The booster to go on from, the one that rank 0 finds, and its losses."""
    import xgboost

    step = int(task.share(str(checkpoints.newest()[0])))
    if not step:
        return None, []
    booster = xgboost.Booster(model_file=bytearray(checkpoints.read(step)))
    return booster, json.loads(booster.attr("losses") or "[]")


def _after_rounds(
    losses: list[float], patience: int, checkpoints: Checkpoints | None, every: int
) -> Any:
    """A callback that notes losses, keeps the booster on rank 0, and ends the fit in time."""
    import xgboost

    class AfterRound(xgboost.callback.TrainingCallback):
        def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
            if patience:
                losses.append(evals_log["held_out"]["logloss"][-1])
            done = model.num_boosted_rounds()
            if checkpoints and done % every == 0:
                model.set_attr(losses=json.dumps(losses))
                checkpoints.save(done, bytes(model.save_raw("ubj")))
            return bool(patience) and len(losses) - 1 - int(np.argmin(losses)) >= patience

    return AfterRound()


def focal(gamma: float) -> Callable[[np.ndarray, Any], tuple[np.ndarray, np.ndarray]]:
    """Gradient and Hessian of the focal loss -(1 - q)^gamma · log q in the margin.

    q is the probability given to the true class. Well classified rows count for less, the more so
    the larger gamma; at 0 it is the log loss. The Hessian, which may be negative, is kept positive.

    References
    ----------
    Lin, Goyal, Girshick, He, Dollár (2017), Focal loss for dense object detection. Wang, Deng, Wang
    (2020), Imbalance-XGBoost: leveraging weighted and focal losses for binary label-imbalanced
    classification with XGBoost.
    """

    def objective(margin: np.ndarray, matrix: Any) -> tuple[np.ndarray, np.ndarray]:
        from scipy.special import expit, log_expit

        sign = 2.0 * matrix.get_label() - 1.0
        toward = sign * margin.astype(np.float64)  # the margin of the true class
        q, log_q, rest = expit(toward), log_expit(toward), expit(-toward)
        inner = gamma * q * log_q - rest
        slope = rest**gamma * inner
        inner_slope = gamma * log_q + gamma + 1
        curve = q * rest * (rest**gamma * inner_slope) - gamma * q * rest**gamma * inner
        return sign * slope, np.maximum(curve, _SMALLEST_HESSIAN)

    return objective
