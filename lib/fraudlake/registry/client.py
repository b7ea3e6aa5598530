"""The one registered model, `fraudlake`: versions, their bundles, metrics and plots, aliases."""

from __future__ import annotations

import fcntl
import getpass
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from fraudlake import __version__
from fraudlake.errors import FraudlakeError
from fraudlake.models import bundle, golden
from fraudlake.registry import common, location, pyfunc
from fraudlake.registry.aliases import Aliases, Change
from fraudlake.registry.studies import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fraudlake.models.scorer import Scorer

CHAMPION = "champion"
_APPROVAL = "approval."
_METRICS_AT_ONCE = 1000

for _noisy in ("mlflow", "alembic"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)


def approvals(tags: Mapping[str, Any]) -> list[dict[str, str]]:
    """Who agreed that a version may decide, from its tags: `by`, `at` (UTC), `why`, `sha256`."""
    return [json.loads(tags[tag]) for tag in sorted(tags) if tag.startswith(_APPROVAL)]


class Registry:
    """Model versions of one lake.

    Without `MLFLOW_TRACKING_URI`, the database and the artefacts are in `<lake>-mlflow`, made on
    first use (some seconds). Several processes may open it at the same time.

    Attributes
    ----------
    lake
        The lake's root, as it was given.
    uri
        Address of the MLflow server or database.
    name
        Name of the registered model and of the experiment (`location.model_name`).
    shared
        Whether other lakes may keep models at the same address.

    Examples
    --------
    >>> registry = Registry("build/lake")
    >>> registry.champion() is None
    True
    """

    def __init__(self, lake_root: str) -> None:
        self.lake = lake_root
        self.uri = location.tracking_uri(lake_root)
        self.name = location.model_name(lake_root)
        self._folder = location.folder_beside(lake_root)
        self.shared = self._folder is None
        if self._folder:
            self._folder.mkdir(parents=True, exist_ok=True)
        # MLflow creates the tables on first use and does not expect company while it does.
        with self._locked():
            self._client = MlflowClient(self.uri, self.uri)
        self._aliases = Aliases(self._client, self.name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes of this lake out; on a server nothing can."""
        if self._folder is None:
            yield
            return
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def find(self, fingerprint: str) -> int | None:
        """The newest version with this fingerprint; None where there is none."""
        versions = self._search(f" and tags.fingerprint = '{fingerprint}'")
        return max((int(version.version) for version in versions), default=None)

    def study(self, fingerprint: str) -> Study:
        """The search with this fingerprint, whose trials are runs beside those of the versions."""
        return Study(self._client, self._experiment(), fingerprint)

    def register(
        self,
        files: Mapping[str, bytes],
        *,
        contender: str,
        fingerprint: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        tags: Mapping[str, str | None],
        plots: Mapping[str, Figure],
        config: Mapping[str, Any],
        curves: Mapping[str, Sequence[float]] | None = None,
    ) -> int:
        """Log one run with its model and make the model the next version; returns its number.

        The version appears last and with all its tags: a run that was cut off leaves no version.

        Parameters
        ----------
        files
            The bundle.
        contender
            Name of the contender.
        fingerprint
            Names everything the model was made from; `find` looks for it.
        parameters, metrics
            Of the run. Metric names hold letters, digits, `_ - . : /` and spaces.
        tags
            Of the run and the version (table versions, windows); `contender`, `fingerprint`,
            `definition` and `sha256` of the bundle are added, `golden`, its scores on the golden
            batch, and `trained_by`, the user of this process.
        plots
            Kept as `figures/NAME.png`.
        config
            The job's resolved arguments, kept as `config.yaml`.
        curves
            Values by epoch, counted from 1, of metrics or beside them.
        """
        digest = bundle.digest(files)
        scorer = bundle.load(files, digest)
        all_tags = {
            **{key: str(value) for key, value in tags.items() if value is not None},
            "contender": contender,
            "fingerprint": fingerprint,
            "definition": scorer.definition,
            "sha256": digest,
            "golden": json.dumps(golden.scores(scorer)),
            "trained_by": getpass.getuser(),
        }
        client = self._client
        run = client.create_run(self._experiment(), tags=all_tags, run_name=contender)
        run_id = run.info.run_id
        try:
            self._log(run_id, parameters, metrics, curves or {})
            for name, figure in plots.items():
                client.log_figure(run_id, figure, f"figures/{name}.png")
            client.log_dict(run_id, dict(config), "config.yaml")
            logged = pyfunc.log(client, run, files, scorer)
        except BaseException:
            client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id)
        self._ensure_model()
        # Not `models:/ID` as the source: a database store looks that up at the global tracking URI.
        version = client.create_model_version(
            self.name, logged.artifact_location, run_id, tags=all_tags, model_id=logged.model_id
        )
        return int(version.version)

    def resolve(self, model: str) -> int:
        """The version number behind an alias (`champion`) or a version number (`3`).

        Raises
        ------
        FraudlakeError
            No such version or alias; the message lists what there is.
        """
        aliases = self._aliases.now()
        if model in aliases:
            return aliases[model]
        versions = self.versions()
        if model.isdigit() and int(model) in versions:
            return int(model)
        known = ", ".join(map(str, versions))
        named = ", ".join(f"{alias} ({version})" for alias, version in sorted(aliases.items()))
        expected = f"one of the versions {known} or of the aliases {named or '(none yet)'}"
        raise FraudlakeError(
            f"model: got {model!r}, expected "
            + (expected if versions else f"a model at {self.uri}, which has none; run train first")
        )

    def files(self, version: int) -> dict[str, bytes]:
        """The bundle of a version, compared with the SHA-256 it was registered with.

        Raises
        ------
        FraudlakeError
            There is no such version, or its files are not those that were registered.
        """
        record = self._version(version)
        source = self._client.get_model_version_download_uri(self.name, str(version))
        with tempfile.TemporaryDirectory() as folder:
            path = mlflow.artifacts.download_artifacts(
                f"{source}/artifacts/bundle", dst_path=folder, tracking_uri=self.uri
            )
            files = {file.name: file.read_bytes() for file in Path(path).iterdir()}
        # Here and not only in `load`: batch and stream ship these bytes to their workers.
        bundle.load(files, record.tags.get("sha256", "none"))
        return files

    def load(self, version: int) -> Scorer:
        """The scorer of a version, opened by our own loader after its SHA-256 was compared."""
        return bundle.load(self.files(version))

    def versions(self) -> list[int]:
        """Numbers of all versions, ascending."""
        return sorted(int(version.version) for version in self._search())

    def champion(self) -> int | None:
        """Version with the alias `champion`, None where no version has it."""
        return self._aliases.now().get(CHAMPION)

    def promote(
        self, version: int, alias: str = CHAMPION, *, by: str | None = None, why: str = ""
    ) -> Change:
        """Give an alias to a version, and note who did, when and why.

        Parameters
        ----------
        by
            Who gives it; left out: the user of this process.

        Raises
        ------
        FraudlakeError
            There is no such version, its files are not those that were registered, or it does not
            say on the golden batch what it said then.
        """
        return self._give(version, alias, by, why, rollback=False)

    def rollback(self, alias: str = CHAMPION, *, by: str | None = None, why: str = "") -> Change:
        """Give an alias back to the version that had it before; once more, to the one before that.

        Raises
        ------
        FraudlakeError
            No version had it before, or as `promote` says.
        """
        return self._give(self._aliases.before(alias), alias, by, why, rollback=True)

    def changes(self) -> list[Change]:
        """What has become of the aliases, oldest change first."""
        return self._aliases.changes()

    def check(self, version: int) -> None:
        """Open a version and ask it for what it said on the golden batch.

        Raises
        ------
        FraudlakeError
            As `promote` says.
        """
        tags = self._version(version).tags
        golden.check(self.load(version), json.loads(tags.get("golden", "null")))

    def _give(
        self, version: int, alias: str, by: str | None, why: str, *, rollback: bool
    ) -> Change:
        self.check(version)
        tags = self._version(version).tags
        digest, by = tags.get("sha256"), by or getpass.getuser()
        return self._aliases.give(alias, version, by=by, why=why, sha256=digest, rollback=rollback)

    def approve(self, version: int, *, by: str, why: str = "", trainer: bool = True) -> list[str]:
        """Note that a person agrees that a version may decide; returns all who did, in order.

        Parameters
        ----------
        by
            Who agrees. Names that differ by case or spaces around them alone are one person.
        why
            The reason, kept beside the name and the time.
        trainer
            Whether the one who trained the version may agree.

        Raises
        ------
        FraudlakeError
            There is no such version, this person agreed before, or trained it and may not agree.
        """
        with self._locked():
            tags = self._version(version).tags
            person = by.strip()
            known = approvals(tags)
            if person.casefold() in (one["by"].casefold() for one in known):
                raise FraudlakeError(
                    f"by: got {person}, who has approved version {version} already, expected "
                    "another person"
                )
            if not trainer and person.casefold() == tags.get("trained_by", "").casefold():
                raise FraudlakeError(
                    f"by: got {person}, who trained version {version}, expected another person: "
                    "the gate says trainer_approves: false"
                )
            at = datetime.now(UTC).isoformat(timespec="microseconds")
            told = json.dumps({"by": person, "at": at, "why": why, "sha256": tags.get("sha256")})
            tag = f"{_APPROVAL}{len(known):03}"
            self._client.set_model_version_tag(self.name, str(version), tag, told)
            return [*(one["by"] for one in known), person]

    def take_over(self, version: int, champion: int | None, why: str) -> bool:
        """Give a version the alias `champion`, which it won from the version that had it.

        Parameters
        ----------
        champion
            The version that it won from; None where none had the alias.
        why
            What was found, for the log of changes.

        Returns
        -------
        bool
            False where another version has the alias by now: nothing is done.
        """
        with self._locked():
            if self.champion() != champion:
                return False
            self.promote(version, by="train", why=why)
            return True

    def note(self, version: int, tags: Mapping[str, str | None]) -> None:
        """Set tags of a version; those that are None are taken away."""
        existing = self._version(version).tags
        for name, value in tags.items():
            if value is not None:
                self._client.set_model_version_tag(self.name, str(version), name, value)
            elif name in existing:
                self._client.delete_model_version_tag(self.name, str(version), name)

    def metrics(self, version: int) -> dict[str, float]:
        """The metrics that were registered with a version."""
        return dict(self._run(self._version(version)).data.metrics)

    def describe(self, version: int) -> dict[str, Any]:
        """`version`, `run_id`, `created_at` (UTC), `aliases`, `parameters`, `metrics`, all tags."""
        record = self._version(version)
        run = self._run(record).data
        created = datetime.fromtimestamp(record.creation_timestamp / 1000, UTC)
        return {
            **record.tags,
            "version": version,
            "run_id": record.run_id,
            "created_at": created.isoformat(),
            "aliases": sorted(a for a, v in self._aliases.now().items() if v == version),
            "parameters": dict(run.params),
            "metrics": dict(run.metrics),
        }

    def _version(self, version: int) -> ModelVersion:
        try:
            return self._client.get_model_version(self.name, str(version))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        known = ", ".join(map(str, self.versions())) or "none yet; run train first"
        raise FraudlakeError(f"model: got version {version}, expected one of: {known}")

    def _run(self, version: ModelVersion) -> Run:
        return self._client.get_run(str(version.run_id))

    def _search(self, condition: str = "") -> list[ModelVersion]:
        versions = self._client.search_model_versions(f"name = '{self.name}'{condition}")
        if condition and not versions:
            self._search()
        elif not versions and self.shared:
            common.refuse(self._client, self.lake, self.uri)
        return list(versions)

    def _experiment(self) -> str:
        if experiment := self._client.get_experiment_by_name(self.name):
            return experiment.experiment_id
        artifacts = str(self._folder / "artifacts") if self._folder else None
        try:
            return self._client.create_experiment(self.name, artifact_location=artifacts)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        # Another process was faster.
        return self._experiment()

    def _ensure_model(self) -> None:
        try:
            self._client.create_registered_model(
                self.name, tags={"lake": location.canonical(self.lake)}
            )
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _log(
        self,
        run_id: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        curves: Mapping[str, Sequence[float]],
    ) -> None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        steps = [
            Metric(name, float(value), now, step)
            for name, curve in curves.items()
            for step, value in enumerate(curve, 1)
        ]
        for start in range(0, len(steps), _METRICS_AT_ONCE):
            self._client.log_batch(run_id, metrics=steps[start : start + _METRICS_AT_ONCE])
        self._client.log_batch(
            run_id,
            metrics=[
                Metric(name, float(value), now, 0)
                for name, value in metrics.items()
                if name not in curves
            ],
            params=[Param(name, str(value)) for name, value in parameters.items()],
            tags=[RunTag("fraudlake", __version__)],
        )
