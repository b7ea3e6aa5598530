"""Searches as MLflow knows them: a run for each, and in it a run for each trial that ended."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

_STUDY, _TRIAL, _TOLD = "study", "trial", "told"


@dataclass(frozen=True)
class Tried:
    """One trial of a search.

    Attributes
    ----------
    number
        From 0.
    drawn
        Setting → value, as the search drew it.
    scores
        Measure on each fold, of as many as it was tried on.
    pruned
        Whether it was given up before the last fold.
    """

    number: int
    drawn: Mapping[str, Any]
    scores: tuple[float, ...]
    pruned: bool

    @property
    def mean(self) -> float:
        """Mean over its folds."""
        return sum(self.scores) / len(self.scores)


class Study:
    """The trials of one search, found again by its fingerprint.

    Parameters
    ----------
    experiment
        Id of the experiment that has its runs.
    fingerprint
        Names everything that a trial hangs on.
    """

    def __init__(self, client: MlflowClient, experiment: str, fingerprint: str) -> None:
        self._client = client
        self._experiment = experiment
        self._fingerprint = fingerprint

    def open(self, name: str, config: Mapping[str, Any]) -> Sequence[Tried]:
        """Trials that have ended, in order; where there is none yet, make the run for them."""
        self._parent = self._found(self._fingerprint, "none") or self._make(name, config)
        runs = self._runs(f"tags.{_STUDY} = '{self._fingerprint}' and tags.{_TRIAL} != 'none'")
        # One that was cut off while it was noted is tried again.
        told = [json.loads(run.data.tags[_TOLD]) for run in runs if run.info.status == "FINISHED"]
        by_number = {one["number"]: one for one in told}
        found: list[Tried] = []
        while (one := by_number.get(len(found))) is not None:
            found.append(Tried(one["number"], one["drawn"], tuple(one["scores"]), one["pruned"]))
        return found

    def note(self, tried: Tried, measure: str) -> None:
        """Keep a trial that has ended."""
        told = {
            "number": tried.number,
            "drawn": dict(tried.drawn),
            "scores": tried.scores,
            "pruned": tried.pruned,
        }
        tags = {
            _STUDY: self._fingerprint,
            _TRIAL: str(tried.number),
            _TOLD: json.dumps(told),
            MLFLOW_PARENT_RUN_ID: self._parent,
            MLFLOW_RUN_NAME: f"trial {tried.number}" + " (pruned)" * tried.pruned,
        }
        run = self._client.create_run(self._experiment, tags=tags).info.run_id
        now = int(datetime.now(UTC).timestamp() * 1000)
        by_fold = [Metric(f"{measure}_fold", s, now, k) for k, s in enumerate(tried.scores)]
        self._client.log_batch(
            run,
            metrics=[Metric(measure, tried.mean, now, 0), *by_fold],
            params=[Param(name, str(value)) for name, value in tried.drawn.items()],
        )
        self._client.set_terminated(run)

    def close(self, best: Tried, measure: str) -> None:
        """Note what the search came to."""
        now = int(datetime.now(UTC).timestamp() * 1000)
        tags = [RunTag("best_trial", str(best.number))]
        tags += [RunTag(f"best.{name}", str(value)) for name, value in best.drawn.items()]
        self._client.log_batch(
            self._parent, metrics=[Metric(measure, best.mean, now, 0)], tags=tags
        )
        self._client.set_terminated(self._parent)

    def _make(self, name: str, config: Mapping[str, Any]) -> str:
        tags = {_STUDY: self._fingerprint, _TRIAL: "none", MLFLOW_RUN_NAME: f"search {name}"}
        run = self._client.create_run(self._experiment, tags=tags).info.run_id
        self._client.log_dict(run, dict(config), "config.yaml")
        return run

    def _found(self, fingerprint: str, trial: str) -> str | None:
        runs = self._runs(f"tags.{_STUDY} = '{fingerprint}' and tags.{_TRIAL} = '{trial}'")
        return runs[0].info.run_id if runs else None

    def _runs(self, condition: str) -> list[Any]:
        found: list[Any] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], condition, ViewType.ACTIVE_ONLY, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found
