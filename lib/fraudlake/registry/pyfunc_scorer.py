"""The model that MLflow logs: this file and a bundle. Scores come out, not class labels."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc import PythonModel, PythonModelContext

from fraudlake.models import bundle


class PyfuncScorer(PythonModel):
    """Feature columns (double) → calibrated probability of fraud, one for each row."""

    def load_context(self, context: PythonModelContext) -> None:
        """Open the bundle; raises `FraudlakeError` where its SHA-256 is another."""
        folder = Path(context.artifacts["bundle"])
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        self.scorer = bundle.load(files, context.model_config["sha256"])

    def predict(
        self,
        context: PythonModelContext,  # noqa: ARG002
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> np.ndarray:
        """Scores of rows that have the model's feature columns, in any order."""
        return self.scorer.score(model_input[list(self.scorer.features)].to_numpy(np.float64))


mlflow.models.set_model(PyfuncScorer())
