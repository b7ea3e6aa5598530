"""Runs, model versions and aliases in MLflow. Nothing outside this package imports MLflow."""

import os

# Before MLflow is imported. Standard output carries a job's result and nothing else; a model is
# opened by our own loader, never unpickled; nothing is sent anywhere but to the tracking server.
os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

from fraudlake.registry.client import Registry
from fraudlake.registry.location import tracking_uri

__all__ = ["Registry", "tracking_uri"]
