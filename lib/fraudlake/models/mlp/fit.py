"""A network on many processes at once: its ranks under a launcher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake.launch import checkpoints, ddp_spark, horovod_spark, snapshot
from fraudlake.models.kind import Fitted
from fraudlake.models.mlp import ranks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from fraudlake.models.mlp.contender import MlpContender

LAUNCHERS = {"horovod": horovod_spark.launch, "ddp": ddp_spark.launch}


def fit(
    rows: DataFrame, features: Sequence[str], contender: MlpContender, seed: int, scratch: str
) -> Fitted:
    """Two fits in one launch (`kind.Fit`): starting the ranks takes longer than many a fit.

    Of a training that was killed or failed, its checkpoints stay in `scratch`: the next with equal
    arguments goes on from them.
    """
    spark, launch = rows.sparkSession, LAUNCHERS[contender.launcher]
    with (
        checkpoints.folder(spark, scratch) as kept,
        snapshot.written(rows, f"{scratch}/rows") as folder,
    ):
        arguments = (folder, f"{kept}/checkpoints", features, contender, seed)
        first, *_ = launch(spark, ranks.train, contender.workers, arguments, contender.device)
    curves = {name: first[name] for name in ("train_loss", "held_out_loss")}
    metrics = {name: curve[-1] for name, curve in curves.items()}
    return Fitted(first["early"], first["final"], metrics, curves)
