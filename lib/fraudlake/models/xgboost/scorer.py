"""Boosted trees: a booster in XGBoost's UBJ format, scored on one thread."""

from __future__ import annotations

import numpy as np

from fraudlake.models.scorer import Scorer


class XGBoostScorer(Scorer):
    """Trees of a booster; NaN is a missing value.

    A row's margin is base score + leaf of each tree, added in float32 in the order of the trees:
    log-odds with the objective `binary:logistic`, the share of frauds in a forest's leaves with
    `reg:squarederror`. Contributions are exact TreeSHAP values (Lundberg et al. 2020). Both look at
    one row at a time.
    """

    def _open(self, weights: bytes) -> None:
        import xgboost

        # On the CPU and one thread: a Spark task owns one core, and a GPU adds in another order.
        self._booster = xgboost.Booster({"device": "cpu", "nthread": 1})
        # XGBoost guesses the format, and aborts the process on an empty file.
        if not weights.startswith(b"{L"):
            raise ValueError("got content that is not UBJ, expected Booster.save_raw('ubj')")
        try:
            self._booster.load_model(bytearray(weights))
        except xgboost.core.XGBoostError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"got {reason!r}, expected Booster.save_raw('ubj')") from None
        self._booster.set_param({"device": "cpu", "nthread": 1})
        if self._booster.num_features() != len(self.features):
            raise ValueError(
                f"got trees over {self._booster.num_features()} features, expected "
                f"{len(self.features)}: {', '.join(self.features)}"
            )
        self._booster.feature_names = None
        row = np.zeros((1, len(self.features)), dtype=np.float32)
        self._bias = float(self._explained(row)[0, -1])

    def _margins(self, x: np.ndarray) -> np.ndarray:
        return self._booster.inplace_predict(x, predict_type="margin").astype(np.float64)

    def _contributions(self, x: np.ndarray) -> np.ndarray:
        return self._explained(x)[:, :-1]

    def _base(self) -> float:
        return self._bias

    def _explained(self, x: np.ndarray) -> np.ndarray:
        import xgboost

        matrix = xgboost.DMatrix(x, nthread=1)
        return self._booster.predict(matrix, pred_contribs=True).astype(np.float64)
