"""The model that MLflow logs: this file and a bundle. Scores come out, not class labels."""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
from mlflow.pyfunc import PythonModel, PythonModelContext

from fraudlake.errors import FraudlakeError
from fraudlake.models import bundle
from fraudlake.models.encoding import to_matrix


class PyfuncScorer(PythonModel):
    """Columns of the feature table → calibrated probability of fraud, one for each row.

    Numbers of any type and words of categories, null, NaN and NA among them.
    """

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
        features, encodings = self.scorer.features, self.scorer.encodings
        columns = {name: _column(model_input[name], name in encodings) for name in features}
        return self.scorer.score(to_matrix(pa.table(columns), features, encodings))


def _column(values: pd.Series, is_category: bool) -> pa.Array:
    """Words or numbers in whatever form pandas has them; NaN and NA are null.

    A column without a single word comes as one of nulls or of numbers.
    """
    expected = pa.string() if is_category else pa.float64()
    try:
        return pa.Array.from_pandas(values).cast(expected)
    except (pa.ArrowException, TypeError) as error:
        raise FraudlakeError(
            f"{values.name}: got {values.dtype} ({' '.join(str(error).split())}), expected "
            + ("words" if is_category else "numbers, or nothing")
        ) from None


mlflow.models.set_model(PyfuncScorer())
