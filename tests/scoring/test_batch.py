from __future__ import annotations

import pytest
from tests.worlds import CUTOVER, END

from fraudlake.datasets import load_dataset
from fraudlake.errors import ConfigError, DataError
from fraudlake.instants import time_range
from fraudlake.lake.tables import FEATURES, FLAGGED, SCORES
from fraudlake.models import bundle
from fraudlake.scoring.apply import REASONS_PER_FLAG, score_rows
from fraudlake.scoring.batch import score_range

pytestmark = pytest.mark.usefixtures("planned_at_once")

HANDBOOK = load_dataset("handbook")


def test_every_row_has_one_score_and_flags_have_reasons(expected, world):
    assert set(expected.scores) == set(world.live["TRANSACTION_ID"])
    threshold = expected.result["threshold"]
    above = {tx for tx, score in expected.scores.items() if score >= threshold}
    assert set(expected.flags) == above
    assert 0 < len(above) < len(expected.scores)
    amounts = dict(zip(world.live["TRANSACTION_ID"], world.live["TX_AMOUNT"], strict=True))
    for tx, (score, amount, reasons) in expected.flags.items():
        assert score == expected.scores[tx]
        assert float(amount) == amounts[tx]
        assert 1 <= len(reasons) <= REASONS_PER_FLAG
        contributions = [r.contribution for r in reasons]
        assert contributions == sorted(contributions, reverse=True)


def test_reasons_are_the_largest_of_all_contributions(expected, model):
    scorer = bundle.load(model)
    rows = (
        expected.lake.read(FEATURES).where(time_range(CUTOVER, END)).toPandas().set_index("tx_id")
    )
    for tx, (_, _, reasons) in list(expected.flags.items())[:20]:
        x = rows.loc[[tx], list(scorer.features)].to_numpy(float)
        best = scorer.contributions(x)[0]
        assert reasons[0].contribution == best.max()
        assert reasons[0].feature == scorer.features[best.argmax()]
        assert reasons[0].value == x[0, best.argmax()]


def test_scores_do_not_depend_on_the_cut(spark, expected, model):
    features = expected.lake.read(FEATURES).where(time_range(CUTOVER, END))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "7")
    try:
        rows = score_rows(features.repartition(5, "amount"), model, None, ["tx_id"]).collect()
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    assert {r.tx_id: r.score for r in rows} == expected.scores


def test_a_second_run_makes_no_commit(expected, model):
    lake = expected.lake
    before = {table.name: lake.version(table) for table in (SCORES, FLAGGED)}
    again = score_range(lake, HANDBOOK, model, 1, 4, CUTOVER, END, 1)
    assert (again["scores"], again["flags"]) == (0, 0)
    assert again["flagged"] == len(expected.flags)
    assert before == {table.name: lake.version(table) for table in (SCORES, FLAGGED)}


def test_other_definition_is_refused(expected, model):
    import json

    other = json.loads(model["scorer.json"])
    other["definition"] = "0" * 16
    files = {**model, "scorer.json": json.dumps(other).encode()}
    with pytest.raises(DataError, match=r"trained on feature definition 0000.*, got"):
        score_range(expected.lake, HANDBOOK, files, 2, 4, CUTOVER, END, 2)


def test_empty_range_and_impossible_budget_are_refused(expected, model):
    with pytest.raises(DataError, match="got no rows"):
        score_range(expected.lake, HANDBOOK, model, 1, 4, END, None, 1)
    with pytest.raises(ConfigError, match="alerts: got 5"):
        score_range(expected.lake, HANDBOOK, model, 1, 5, CUTOVER, END, 1)
