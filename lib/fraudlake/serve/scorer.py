"""Scores of single transactions: the features that a stream would give them, and its scorer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fraudlake.features.state.single import features_of_each
from fraudlake.feeds import TX_REF
from fraudlake.models.encoding import to_matrix
from fraudlake.scoring.apply import reasons_of, scorer_of

if TYPE_CHECKING:
    from fraudlake.datasets import Dataset
    from fraudlake.features.definition.feature_set import FeatureSet
    from fraudlake.serve.state_reader import StateSnapshot
    from fraudlake.service.admission import Model


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SingleScorer:
    """Scores transactions that do not count for each other; remembers none of them.

    Parameters
    ----------
    snapshot
        Asked for what the stream remembers.
    model
        Asked for the model in service.
    """

    dataset: Dataset
    feature_set: FeatureSet
    snapshot: Callable[[], StateSnapshot]
    model: Callable[[], Model]

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Answers, ready to be written as JSON, in the order of the transactions.

        Parameters
        ----------
        rows
            At least one, as `request.TransactionReader` gives them.

        Returns
        -------
        list of dict
            `tx_id`; `tx_ref`, where ids are text; `score`; `flag`: score ≥ `threshold`; `reasons`
            (as in the table `flagged`, strongest first; None where there is no flag);
            `model_version`; `definition` of the features; `as_of`: the stream's last `batch` that
            counts (−1: history alone) and the latest `event_time` that counts (ISO 8601, None where
            nothing does).
        """
        snapshot, model = self.snapshot(), self.model()
        dataset = self.dataset
        features = features_of_each(
            rows, self.feature_set, dataset.entities, dataset.column_types(), snapshot.runs
        )
        scorer = scorer_of(model.files, model.digest)
        matrix = to_matrix(features, scorer.features, scorer.encodings)
        scores = scorer.score(matrix)
        flags = scores >= model.threshold
        reasons = reasons_of(scorer, matrix, flags).to_pylist()
        for reason in (reason for why in reasons for reason in why or ()):
            if math.isnan(reason["value"]):
                reason["value"] = None  # JSON has no word for it
        newest = None
        if snapshot.newest is not None:
            newest = (_EPOCH + timedelta(microseconds=snapshot.newest)).isoformat()
        return [
            {
                "tx_id": row["tx_id"],
                **({TX_REF: row[TX_REF]} if TX_REF in row else {}),
                "score": float(score),
                "flag": bool(flag),
                "threshold": model.threshold,
                "reasons": why,
                "model_version": model.version,
                "definition": self.feature_set.hash,
                "as_of": {"batch": snapshot.batch, "event_time": newest},
            }
            for row, score, flag, why in zip(rows, scores, flags, reasons, strict=True)
        ]
