"""A bundle as MLflow logs it: with the code that scores it, and a signature of its columns."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from fraudlake import __version__
from fraudlake.registry.location import COMMON_NAME

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run

    from fraudlake.models.scorer import Scorer

_CODE = Path(__file__).with_name("pyfunc_scorer.py")


def log(client: MlflowClient, run: Run, files: Mapping[str, bytes], scorer: Scorer) -> LoggedModel:
    """Log a bundle with a run, so that MLflow's own loaders score the feature table with it.

    By the client alone: MLflow's own `log_model` works on the process's global tracking URI.
    """
    run_id = run.info.run_id
    logged = client.create_logged_model(run.info.experiment_id, COMMON_NAME, run_id)
    # The names alone are signed. `long` takes no missing value, which pandas and Spark give as NaN
    # among floats; `double` takes no whole numbers of 64 bits; `string` takes no column of NaN.
    inputs = Schema([ColSpec(AnyType(), name) for name in scorer.features])
    example = {name: ["" if name in scorer.encodings else 0.0] for name in scorer.features}
    with tempfile.TemporaryDirectory() as folder:
        content = Path(folder) / "bundle"
        content.mkdir()
        for name, data in files.items():
            (content / name).write_bytes(data)
        mlflow.pyfunc.save_model(
            f"{folder}/model",
            python_model=str(_CODE),
            artifacts={"bundle": str(content)},
            model_config={"sha256": scorer.digest},
            signature=ModelSignature(inputs, Schema([ColSpec(DataType.double, "score")])),
            input_example=pd.DataFrame(example),
            pip_requirements=[f"fraudlake=={__version__}"],
            mlflow_model=Model(run_id=run_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, f"{folder}/model")
    client.finalize_logged_model(logged.model_id, "READY")
    return logged
