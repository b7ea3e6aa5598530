"""Packed rows through the kernels, however they are cut: the same bits, and only what is needed."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from fraudlake.features import exchange
from fraudlake.features.batch import partition
from fraudlake.features.batch.addresses import AsTheyCame, EntityWindows, TimeSlicing
from fraudlake.features.batch.fan_out import FanOutTask
from fraudlake.features.batch.home import HomeTask
from fraudlake.features.batch.partition import PartitionTask
from fraudlake.features.stages import Result
from fraudlake.features.windows import windows

DAY = 86_400_000_000


@pytest.fixture
def features(feature_set):
    return feature_set(
        {"entity": "customer", "operations": ["count", {"sum": "amount"}], "windows": ["1h", "2d"]}
    )


@pytest.fixture
def rows(world):
    rows, _ = world(3, rows=600)
    for row in rows[::20]:
        row["customer_id"] = None
    return rows


def table(rows):
    return pa.table(
        {
            "tx_id": [r["tx_id"] for r in rows],
            "event_time": pa.array([r["event_time"] for r in rows], pa.timestamp("us", "UTC")),
            "customer_id": pa.array([r["customer_id"] for r in rows], pa.int64()),
            "amount": pa.array([r["amount"] for r in rows], pa.decimal128(18, 2)),
        }
    )


SIZES: list[int] = []


def recorded(events, targets, features):
    """Remembers how many events each chunk held."""
    SIZES.append(len(events.time))
    return windows(events, targets, features)


def placed(moving, batch):
    return pa.Table.from_batches(moving).to_batches(batch)


@pytest.mark.parametrize(
    ("chunk", "batch", "gathered"), [(1, 1, 1), (7, 3, 50), (64, 50, 1000), (10_000, 999, 10_000)]
)
def test_any_cut_gives_equal_bits_and_chunks_hold_only_what_windows_reach(
    rows, kernel, features, monkeypatch, chunk, batch, gathered
):
    monkeypatch.setattr(partition, "_CHUNK_ROWS", chunk)
    monkeypatch.setattr(exchange, "_ROWS", gathered)
    monkeypatch.setattr(partition, "windows_of", recorded)
    SIZES.clear()
    windows = {0: EntityWindows(("customer_id",), tuple(features.features), 4)}
    moving = []
    for target in (True, False):
        some = table([r for r in rows if (r["tx_id"] % 3 > 0) == target])
        homes = AsTheyCame(2) if target else None
        moving += FanOutTask(homes, ("tx_id",), windows)(iter(some.to_batches(batch)))
    moving += FanOutTask(None, (), windows)(iter(table(rows[::7]).to_batches()))  # doubles
    moving = list(PartitionTask(windows)(iter(placed(moving, batch))))
    result = Result({"tx_id": "tx_id"}, tuple(features.features))
    home = HomeTask(windows, result.batches)
    found = pa.Table.from_batches(home(iter(placed(moving, batch)))).to_pylist()
    expected = kernel(rows, [], features)
    wanted = [{"tx_id": r["tx_id"]} | expected[r["tx_id"]] for r in rows if r["tx_id"] % 3]
    assert sorted(found, key=lambda r: r["tx_id"]) == sorted(wanted, key=lambda r: r["tx_id"])
    held = Counter((r["customer_id"], r["event_time"].date()) for r in rows)
    assert max(SIZES) <= 2 * max(chunk, 3 * max(held.values()))


@pytest.mark.parametrize("years", [0, 3, 100_000])
def test_order_is_by_entity_then_time_then_transaction(years):
    """Also where entity and time do not fit into one integer; of doubles the first target stays."""
    random = np.random.default_rng(years)
    entity = random.integers(-1, 300_000, 5000) // 1000
    time = random.integers(0, 40, 5000) * (1 + years * 365 * DAY // 40) - DAY
    tx_id = random.permutation(5000)
    twice = random.integers(0, 5000, 500)
    entity, time, tx_id = (np.append(a, a[twice]) for a in (entity, time, tx_id))
    address = np.where(random.random(5500) < 0.5, random.permutation(5500), -1)
    found = partition._order(entity, time, tx_id, address)
    all_of_them = np.lexsort((address.view(np.uint64), tx_id, time, entity))
    first = np.unique(tx_id[all_of_them], return_index=True)[1]
    for values in (entity, time, tx_id, address):
        assert (values[found] == values[all_of_them[np.sort(first)]]).all()


def test_keys_of_several_columns_and_missing_ones():
    rows = pa.table({"a": ["x", "x", None, "x", "y"], "b": pa.array([1, 2, 1, 1, None])})
    one, two, missing, again, lacking = partition._numbers(rows, EntityWindows(("a", "b"), (), 1))
    assert one == again != two
    assert missing == lacking == -1
    assert min(one, two) >= 0


def test_slices_of_a_key_are_apart():
    rows = pa.table({"a": [7, 7, None, 7, 8], "_slice": pa.array([0, 3, 0, 3, 0], pa.int32())})
    way = EntityWindows(("a",), (), 1, TimeSlicing((7,), 10, 10))
    one, two, missing, again, other = partition._numbers(rows, way)
    assert two == again
    assert missing == -1
    assert len({one, two, other}) == 3
    assert min(one, two, other) >= 0
