"""Measures by day against scikit-learn's, and the noise that days show."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from tests.training.test_measures import draw

from fraudlake.training import days


@pytest.mark.parametrize("levels", [3, 10**9], ids=["ties", "hardly a tie"])
def test_each_day_is_scikit_learns(spark, levels):
    frame = draw(3000, 7, levels)
    frame["day"] = frame.event_time.dt.date
    first, last = min(frame.day), max(frame.day)
    frame.loc[frame.day == first, "label"] = 0
    found = days.by_day(spark.createDataFrame(frame.drop(columns="day")).repartition(3))
    assert list(found) == sorted(set(frame.day) - {first})
    for day, rows in frame[frame.day > first].groupby("day"):
        assert found[day] == pytest.approx(
            {
                "auc": roc_auc_score(rows.label, rows.score),
                "average_precision": average_precision_score(rows.label, rows.score),
            },
            abs=1e-12,
        )
    told = days.intervals(found)
    values = [one["auc"] for one in found.values()]
    assert told["auc_by_day"] == pytest.approx(np.mean(values))
    assert told["auc_by_day_error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(5))
    assert days.intervals({last: found[last]}) == {}
    assert days.difference_error(found, {last: found[last]}, "auc") is None
