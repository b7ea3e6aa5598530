"""What features take of transactions, of every type, through the tasks of batch and stream."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.features.test_plans import ENTITIES, TYPES, bits, blocks

from fraudlake.features.batch.addresses import AsTheyCame, EntityWindows
from fraudlake.features.batch.fan_out import FanOutTask
from fraudlake.features.batch.home import HomeTask
from fraudlake.features.batch.partition import PartitionTask
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import Exchange, PackTask, unpacked
from fraudlake.features.oracle import oracle
from fraudlake.features.rows import key_of
from fraudlake.features.stages import Result, stages
from fraudlake.features.state import run_files, single
from fraudlake.features.state.entities import WindowsTask
from fraudlake.features.state.sorted_runs import Run
from fraudlake.features.state.stores import RunPaths

CHOSEN = FeatureSet.model_validate(
    {"features": [b for b in blocks() if {"rate": "fraud"} not in b.get("operations", [])]}
)
PARTITIONS = 3
LARGEST = 10**18 - 1

# Few instants, around 1970, at midnights and to the microsecond.
instants = st.builds(
    lambda hours, micros: (
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=hours, microseconds=micros)
    ),
    st.integers(-100, 40),
    st.integers(-1, 1),
)
cents = st.one_of(st.integers(-LARGEST, LARGEST), st.sampled_from([0, 1, -1, 2**53 + 1, LARGEST]))
text = st.one_of(st.text(max_size=3), st.sampled_from(["", "a", "1:a", "a\0"]))
doubles = st.floats(width=64)
VALUES = {
    "event_time": instants,
    "card_id": st.one_of(st.none(), st.sampled_from([0, -1, 2**63 - 1, -(2**63)])),
    "shop": st.one_of(st.none(), text),
    "zone": st.one_of(st.none(), st.sampled_from([0, -1, 1, 11, 2**31 - 1])),
    "night": st.one_of(st.none(), st.integers(-(2**48), 2**48)),
    "weekend": st.one_of(st.none(), doubles),
    "price": st.one_of(st.none(), st.integers(-(2**48), 2**48).map(lambda c: Decimal(c) / 100)),
    "fee": st.one_of(st.none(), cents.map(lambda c: Decimal(c) / 100)),
    "points": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
    "chip": st.one_of(st.none(), st.booleans()),
    "text": st.one_of(st.none(), text),
    "home": st.one_of(st.none(), text),
    "home_zone": st.one_of(st.none(), st.sampled_from([0, -1, 1, 2**62 + 1])),
    "made": st.one_of(st.none(), instants),
    "latitude": st.one_of(st.none(), st.sampled_from([math.nan, -0.0, 48.85, -90.0])),
    "longitude": st.one_of(st.none(), st.sampled_from([2.35, 180.0])),
}
rows = st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=12).map(
    lambda found: [row | {"tx_id": n - 3} for n, row in enumerate(found)]
)

# What one payment adds to a decayed sum the other takes away, but for a seventh.
CANCELLING = [
    dict.fromkeys(TYPES)
    | {"tx_id": tx_id, "card_id": -1, "price": price}
    | {"event_time": datetime(1970, 1, 1, tzinfo=UTC) - timedelta(hours=hours)}
    for tx_id, hours, price in (
        (0, 0, None),
        (1, 3, Decimal("44365.12")),
        (2, 15, Decimal("-85553.52")),
    )
]


def table(rows):
    kinds = single._ARROW
    return pa.table({n: pa.array([r[n] for r in rows], kinds[k]) for n, k in TYPES.items()})


def chain_of():
    result = Result({"tx_id": "tx_id"}, tuple(CHOSEN.features))
    by_entity = CHOSEN.by_entity()
    return stages(
        by_entity,
        {
            e: Exchange(e, tuple(fs[0].keys(ENTITIES)), PARTITIONS, PARTITIONS)
            for e, fs in by_entity.items()
        },
        result,
    )


def shuffled(packed):
    return pa.Table.from_batches(packed).sort_by("_bucket").to_batches() if packed else []


def by_batch(rows):
    """As Spark would run it, without Spark."""
    result = Result({"tx_id": "tx_id"}, tuple(CHOSEN.features))
    windows = {
        n: EntityWindows(tuple(fs[0].keys(ENTITIES)), tuple(fs), PARTITIONS)
        for n, fs in enumerate(CHOSEN.by_entity().values())
    }
    out = FanOutTask(AsTheyCame(1), tuple(result.reads), windows)
    moving = PartitionTask(windows)(out(iter(table(rows).to_batches(3))))
    return pa.Table.from_batches(HomeTask(windows, result.batches)(moving)).to_pylist()


def by_stream(rows, folder):
    """Half of the rows are remembered, the others come in a micro-batch."""
    late = {row["tx_id"] for row in rows[len(rows) // 2 :]}
    found = []
    for new, known, part in (
        ("w0", (), [row for row in rows if row["tx_id"] not in late]),
        ("b0", ("w0",), [row for row in rows if row["tx_id"] in late]),
    ):
        chain = chain_of()
        packed = list(PackTask(chain[0].exchange)(iter(table(part).to_batches())))
        for number, stage in enumerate(chain):
            buckets = dict(unpacked(iter(shuffled(packed))))
            runs = RunPaths(str(folder / str(number)), known, new, PARTITIONS)
            task = WindowsTask(runs, stage, answers=True)
            packed = [
                batch for p in range(PARTITIONS) for batch in task._on(p, buckets.get(p))
            ]  # fmt: skip
        found += pa.Table.from_batches(packed).to_pylist() if known else []
    return found


def by_single(rows, folder):
    """All but the last are remembered; the last is asked for."""
    *_, last = rows
    runs = {}
    for number, stage in enumerate(chain_of()):
        store = RunPaths(str(folder / str(number)), (), "w0", PARTITIONS)
        packed = list(PackTask(stage.exchange)(iter(table(rows[:-1]).to_batches())))
        buckets = dict(unpacked(iter(shuffled(packed))))
        task = WindowsTask(store, stage, answers=False)
        for partition in range(PARTITIONS):
            list(task._on(partition, buckets.get(partition)))
        paths = [store._path(partition, "w0") for partition in range(PARTITIONS)]
        runs[stage.exchange.entity] = [Run(run_files.read(path)) for path in paths]
    found = single.features_of_each([last], CHOSEN, ENTITIES, TYPES, runs).to_pylist()
    return [{"tx_id": last["tx_id"]} | found[0]]


def differences(found, expected):
    def slack(feature):
        """A decay's weights are rounded: what is left where its parts cancel out is off by more."""
        if feature.operation.name != "decay":
            return 1e-9
        return 1e-9 * sum(abs(float(row[feature.column] or 0)) for row in expected.values())

    for row in found:
        for feature in CHOSEN.features:
            got, wanted = row[feature.name], expected[row["tx_id"]][feature.name]
            if feature.operation is None or feature.operation.exact:
                if bits(got) != bits(wanted):
                    yield feature.name, row["tx_id"], got, wanted
            elif not math.isclose(got or 0, wanted or 0, rel_tol=1e-9, abs_tol=slack(feature)):
                yield feature.name, row["tx_id"], got, wanted


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=rows)
@example(rows=CANCELLING)
def test_every_type_means_the_same_in_all_plans(rows, tmp_path_factory):
    order = sorted(rows, key=lambda r: (r["event_time"], r["tx_id"]))
    expected = {r["tx_id"]: r for r in oracle(order, [], CHOSEN, ENTITIES)}
    assert not list(differences(by_batch(order), expected))
    folder = tmp_path_factory.mktemp("state")
    assert not list(differences(by_stream(order, folder / "a"), expected))
    assert not list(differences(by_single(order, folder / "b"), expected))


def test_keys():
    rows = pa.table({"a": pa.array([1, None, -5], pa.int32()), "b": ["x", "y", None]})
    assert key_of(rows, ["a"]).to_pylist() == [1, None, -5]
    assert key_of(rows, ["a"]).type == pa.int64()
    assert key_of(rows, ["b"]).to_pylist() == ["1:x", "1:y", None]
    assert key_of(rows, ["a", "b"]).to_pylist() == ["1:11:x", None, None]
    odd = pa.table({"a": ["1:", "1", "ü"], "b": ["", ":", "é"]})
    assert len(set(key_of(odd, ["a", "b"]).to_pylist())) == 3
    assert key_of(odd, ["a"])[2].as_py() == "1:ü"


@pytest.mark.parametrize("cents", [2**53 + 1, 10**18 - 1, -(10**18) + 7, 5, 0])
def test_money_becomes_the_nearest_double(cents):
    row = dict.fromkeys(TYPES) | {
        "tx_id": 1,
        "event_time": datetime(1960, 2, 29, 7, tzinfo=UTC),
        "fee": Decimal(cents) / 100,
    }
    (got,) = by_batch([row])
    assert np.float64(got["fee"]).tobytes() == np.float64(cents / 100).tobytes()
