"""Versions of earlier releases, registered under `fraudlake` by every lake of a shared server."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from mlflow.exceptions import MlflowException

from fraudlake.errors import FraudlakeError
from fraudlake.registry.location import COMMON_NAME, NAME_VARIABLE, canonical, own_name

if TYPE_CHECKING:
    from mlflow import MlflowClient


def refuse(client: MlflowClient, lake_root: str, uri: str) -> None:
    """Refuse to begin with version 1 where a lake may have versions under the common name.

    To be called where the lake's own model has none. A lake none of whose versions are there goes
    on, and so does one whose user has said which name it is to have.

    Raises
    ------
    FraudlakeError
        Versions of this lake, or of one that nobody noted; the message says what to do.
    """
    if os.environ.get(NAME_VARIABLE):
        return
    versions = client.search_model_versions(f"name = '{COMMON_NAME}'")
    lakes = {int(version.version): _lake_of(client, str(version.run_id)) for version in versions}
    root = canonical(lake_root)
    mine = sorted(number for number, lake in lakes.items() if lake in (None, root))
    if mine:
        raise FraudlakeError(
            f"model: got versions {', '.join(map(str, mine))} of `{COMMON_NAME}` at {uri}, made by "
            f"this lake ({root}) or by one that they do not name, when all lakes shared that name; "
            f"expected to be told: {NAME_VARIABLE}={COMMON_NAME} goes on with them, where no other "
            f"lake does; {NAME_VARIABLE}={own_name(lake_root)} begins with version 1"
        )


def _lake_of(client: MlflowClient, run_id: str) -> str | None:
    """Root of the lake that a run was made for, as its configuration has it; None: not noted."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = client.download_artifacts(run_id, "config.yaml", folder)
            config = yaml.safe_load(Path(path).read_text())
        return canonical(config["lake"])
    except (MlflowException, OSError, KeyError, TypeError, yaml.YAMLError):
        return None
