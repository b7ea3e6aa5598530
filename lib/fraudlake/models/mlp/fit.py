"""A network on many processes at once: its ranks under a launcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake.launch import horovod_spark, snapshot
from fraudlake.models.kind import Fitted
from fraudlake.models.mlp import ranks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.mlp.contender import MlpContender


def fit(
    rows: DataFrame, features: Sequence[str], contender: MlpContender, seed: int, scratch: str
) -> Fitted:
    """Two fits in one launch (`kind.Fit`): starting the ranks takes longer than many a fit."""
    with snapshot.written(rows, scratch) as folder:
        arguments = (folder, features, contender, seed)
        first, *_ = horovod_spark.launch(
            rows.sparkSession, ranks.train, contender.workers, arguments
        )
    return Fitted(first["early"], first["final"], {"train_loss": first["losses"][-1]})
