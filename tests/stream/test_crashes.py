"""A kill of the long form, by the same code: `python benchmarks/crashes` has the others."""

from __future__ import annotations

import pytest
from tests.conftest import ROOT

pytestmark = pytest.mark.usefixtures("planned_at_once")

SEED = 6
KILLS = 1


@pytest.mark.slow
def test_killed_where_it_hurts_every_record_counts_once(spark, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.syspath_prepend(ROOT / "benchmarks" / "crashes")
    from campaign import PLACES, Campaign
    from payments import World
    from service import Service
    from verdict import differences

    world = World(tmp_path / "crashes")
    world.make(spark)
    world.begin(SEED, files=40)
    with Service(world, "local[2]", control=False) as service:
        campaign = Campaign(world, service, SEED)
        plan = campaign.random.choice(PLACES, KILLS, replace=False).tolist()
        campaign.run(plan, 300)
        campaign.finish(200)
    assert {kind for kind, _ in campaign.kills} == set(plan)
    assert not {name: rows for name, rows in differences(spark, world).items() if rows}
