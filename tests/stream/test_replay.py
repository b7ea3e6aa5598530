"""Recorded input cut into slices of event time; `test_scorer` has a stream go through them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from tests.ingest.conftest import LONG

from fraudlake.datasets import Dataset
from fraudlake.ingest import sources
from fraudlake.stream import replay

CARD = 4111111111111111
GOOD = {"id": 1, "time": "2018-04-01T00:00:31Z", "customer": 5, "amount": 5.5, "channel": "web"}


@pytest.mark.usefixtures("spark")
def test_slices_hold_no_card_number(spark, tmp_path):
    bad = [{"customer": CARD}, {"note": str(CARD)}, {"weight": 4.111111111111111e15}]
    kept = [{"token": CARD}, {"amount": "much"}, {"time": "soon"}]
    lines = [json.dumps(GOOD | {"id": n} | more) for n, more in enumerate([{}, *bad, *kept])]
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "some.jsonl").write_text("\n".join([*lines, "{", ""]))
    records = sources.read(spark, dataset := Dataset.model_validate(LONG), str(tmp_path / "raw"))
    before = {row.raw: row for row in records.collect()}
    folder = str(tmp_path / "slices")
    replay.slices(records, dataset, timedelta(hours=6), folder, None, None)
    cut = spark.read.schema(records.schema).parquet(folder)
    after = cut.select(*records.columns).collect()
    timeless = {row.raw for row in cut.where("event_slice = 0").collect()}
    assert len(after) == len(before) == 8
    held = [row for row in after if row.raw not in before]
    assert timeless == {"{", lines[6]}
    assert [row.fields for row in held] == [None] * len(bad)
    assert all("got a card number, expected no card" in row.corrupt for row in held)
    assert "4111111111111111" not in str(held)
    assert "4.111111111" not in str(held)
    for row in after:
        assert row in held or row == before[row.raw]
