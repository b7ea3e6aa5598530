"""Where a lake keeps its models, and what they are called there.

Beside the lake, in a registry of its own, the registered model is `fraudlake`. On a server that
lakes share, each has a model of its own: its name is made of the lake's root and of nothing else,
so that every job and service of the lake finds it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from fraudlake.errors import ConfigError
from fraudlake.options import is_catalog

COMMON_NAME = "fraudlake"
NAME_VARIABLE = "FRAUDLAKE_MODEL_NAME"
_NAME = re.compile(r"[A-Za-z0-9][\w .-]{0,199}")
# Hadoop's names of one and the same store.
_STORES = {"s3": "s3a", "s3n": "s3a"}


def tracking_uri(lake_root: str) -> str:
    """Where runs and models are kept: `MLFLOW_TRACKING_URI`, else SQLite beside the lake.

    Raises
    ------
    ConfigError
        Neither is possible: the variable is not set and the lake is not a folder.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI") or _uri_beside(lake_root):
        return uri
    problem = (
        f"lake: got {lake_root!r} and no MLFLOW_TRACKING_URI, expected the address of an "
        "MLflow server in it: only a lake that is a folder can keep its models beside it"
    )
    raise ConfigError([problem])


def folder_beside(lake_root: str) -> Path | None:
    """Folder of the registry beside the lake; None where its models are on a server."""
    return _folder(lake_root) if tracking_uri(lake_root) == _uri_beside(lake_root) else None


def model_name(lake_root: str) -> str:
    """Name of the lake's registered model and of its experiment.

    `fraudlake` beside the lake. On a server, `fraudlake`, the end of the lake's root and eight hex
    digits of the whole root; or what `FRAUDLAKE_MODEL_NAME` says.

    Raises
    ------
    ConfigError
        `FRAUDLAKE_MODEL_NAME` is no name that MLflow takes.
    """
    if folder_beside(lake_root):
        return COMMON_NAME
    name = os.environ.get(NAME_VARIABLE)
    if not name:
        return own_name(lake_root)
    if not _NAME.fullmatch(name):
        raise ConfigError(
            [f"{NAME_VARIABLE}: got {name!r}, expected letters, digits, spaces and _ . -"]
        )
    return name


def own_name(lake_root: str) -> str:
    """What a lake's model is called on a server, where nobody says otherwise.

    >>> own_name("s3://bucket/bank/lake/") == own_name("s3a://bucket/bank/lake")
    True
    >>> own_name("main.fraud")
    'fraudlake-main-fraud-a642a57f'
    """
    root = canonical(lake_root)
    parts = root.split("." if is_catalog(root) else "/")[-2:]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", " ".join(parts)).strip("-")[-60:]
    return f"{COMMON_NAME}-{readable}-{hashlib.sha256(root.encode()).hexdigest()[:8]}"


def canonical(lake_root: str) -> str:
    """A lake's root in the one way of writing it: two roots name one lake where this is equal."""
    root = lake_root.rstrip("/") or "/"
    if is_catalog(root):
        return root.lower()
    scheme, sign, rest = root.partition("://")
    if not sign or scheme.lower() == "file":
        return str(Path(rest if sign else root).resolve())
    return f"{_STORES.get(scheme.lower(), scheme.lower())}://{rest}"


def _uri_beside(lake_root: str) -> str | None:
    folder = _folder(lake_root)
    return f"sqlite:///{folder}/mlflow.db" if folder else None


def _folder(lake_root: str) -> Path | None:
    if "://" in lake_root or is_catalog(lake_root):
        return None
    return Path(f"{Path(lake_root).resolve()}-mlflow")
