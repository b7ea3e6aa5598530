"""What came beside what stands, in an increment's tasks: the rows of a first build, to the bit."""

from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from fraudlake.features.batch.addresses import AsTheyCame, EntityWindows, TimeSlicing
from fraudlake.features.batch.changing import Changing, needed
from fraudlake.features.batch.fan_out import FanOutTask
from fraudlake.features.batch.home import HomeTask
from fraudlake.features.batch.partition import PartitionTask
from fraudlake.features.exchange import packed_table
from fraudlake.features.labels import JoinChangesTask, changes_said
from fraudlake.features.rows import micros
from fraudlake.features.stages import Result
from fraudlake.features.table import layout
from fraudlake.features.table.arrivals import WholeBuildError
from fraudlake.features.table.changed import (
    ByDayNumber,
    ChangeTask,
    StandingTask,
    changed_rows,
    ranges,
)
from fraudlake.lake.scan import TableFile

HOUR = 3_600_000_000
DAY = 24 * HOUR
TYPES = {
    "tx_id": pa.int64(),
    "event_time": pa.timestamp("us", "UTC"),
    "customer_id": pa.int64(),
    "terminal_id": pa.int64(),
    "amount": pa.decimal128(18, 2),
}
SAID = pa.schema(
    {
        "tx_id": pa.int64(),
        "known_at": pa.timestamp("us", "UTC"),
        "source": pa.string(),
        "is_fraud": pa.bool_(),
    }
)


def table(rows):
    return pa.table({n: pa.array([r[n] for r in rows], kind) for n, kind in TYPES.items()})


def sent(blob):
    """As a broadcast."""
    return SimpleNamespace(value=packed_table(blob))


class World:
    """A feature set, and tasks over transactions and statements."""

    def __init__(self, features, slicing):
        self.features = features.features
        self.windows = {
            n: EntityWindows(tuple(f"{e}_id" for e in entity.split(",")), tuple(some), 3, cut)
            for n, (entity, some) in enumerate(features.by_entity().items())
            for cut in [slicing.get(entity)]
        }
        names = ("tx_id", "event_time", "customer_id", "terminal_id")
        self.result = Result({name: name for name in names}, self.features)

    def out(self, rows, statements, task):
        changes = changes_said(pa.Table.from_pylist(statements, SAID))
        return list(JoinChangesTask(sent(changes), task)(iter(table(rows).to_batches(50))))

    def whole(self, rows, statements):
        task = FanOutTask(AsTheyCame(2), tuple(self.result.reads), self.windows)
        moving = list(PartitionTask(self.windows)(iter(self.out(rows, statements, task))))
        home = HomeTask(self.windows, self.result.batches)
        return pa.Table.from_batches(home(iter(moving)))

    def increment(self, before, added, statements, said):
        """Rows new or other now, of transactions that stand, some that came, and what was said."""
        standing = self.whole(before, [s for s in statements if s not in said])
        standing = standing.append_column("definition", pa.repeat("old", len(standing)))
        standing = standing.slice(0, 0) if not before else standing
        known = {}
        for one in said:
            known[one["tx_id"]] = min(one["known_at"], known.get(one["tx_id"], one["known_at"]))
        known = pa.table(
            {
                "tx_id": pa.array(known.keys(), pa.int64()),
                "known": pa.array(known.values(), pa.timestamp("us", "UTC")).cast("int64"),
            }
        )
        about = dict(zip(*known.to_pydict().values(), strict=True))
        told = [r for r in before + added if r["tx_id"] in about]
        sources = {False: (table(added), micros(table(added)))}
        sources[True] = table(told), np.array([about[r["tx_id"]] for r in told], np.int64)
        needs = {
            n: sent(
                needed(
                    [v for k, v in sources.items() if not k or w.over_labels], w.keys, w.features
                )
            )
            for n, w in self.windows.items()
        }
        changing = Changing(sent(known), needs)
        homes = ByDayNumber(4)
        new = FanOutTask(homes, tuple(self.result.reads), self.windows, changing)
        others = FanOutTask(None, (), self.windows, changing)
        moving = self.out(added, statements, new) if added else []
        # Those that came stand among the others too, as in files that were put together since.
        moving += self.out(before + added[::2], statements, others)
        moving = list(PartitionTask(self.windows, homes)(iter(moving)))
        moving += list(StandingTask(homes)(iter(standing.to_batches(40))))
        task = ChangeTask(self.windows, self.result, standing.schema, "old", None, changed_rows)
        schema = standing.schema.append(pa.field("_existed", pa.bool_()))
        made = pa.Table.from_batches(task(iter(moving)), schema)
        return standing, made


@pytest.fixture
def features(feature_set):
    return feature_set(
        {"column": "amount"},
        {
            "entity": "customer",
            "operations": ["count", {"mean": "amount"}, {"distinct": "terminal_id"}],
            "windows": ["6h", "2d"],
        },
        {
            "entity": "terminal",
            "operations": ["count", {"rate": "fraud"}],
            "windows": ["1d", "3d"],
            "delay": "7d",
        },
        {"entity": ["customer", "terminal"], "operations": ["count"], "windows": ["5d"]},
        {"ratio": ["amount", "customer_mean_amount_2d"]},
    )


@pytest.mark.parametrize("seed", range(8))
def test_an_increment_gives_the_rows_of_a_first_build_to_the_bit(world, features, seed):
    transactions, statements = world(seed, rows=500, customers=30, terminals=20)
    random = np.random.default_rng(seed)
    reach = {"customer": 2 * DAY, "terminal": 10 * DAY}
    slicing = {e: TimeSlicing((0, 1), 11 * DAY, length) for e, length in reach.items()}
    if seed % 2:
        slicing = {}
    late = set(random.choice(500, 12, replace=False).tolist())
    end = sorted(r["event_time"] for r in transactions)[-20 * (seed % 3) - 1]
    added = [r for r in transactions if r["tx_id"] in late or r["event_time"] > end]
    before = [r for r in transactions if r not in added]
    here = {r["tx_id"] for r in transactions}
    said = [s for s in statements if s["tx_id"] in here][:: 7 + seed]
    made = World(features, slicing)
    right = {r["tx_id"]: r for r in made.whole(transactions, statements).to_pylist()}
    standing, found = made.increment(before, added, statements, said)
    old = {r["tx_id"]: r for r in standing.drop("definition").to_pylist()}
    got = {r["tx_id"]: r for r in found.drop(["definition", "_existed"]).to_pylist()}
    assert len(got) == len(found)
    assert old | got == right
    assert all(old.get(tx_id) != row for tx_id, row in got.items())
    existed = dict(zip(*found.select(["tx_id", "_existed"]).to_pydict().values(), strict=True))
    assert existed == {tx_id: tx_id in old for tx_id in got}
    assert sum(existed.values()) > 0


def test_nothing_that_came_changes_nothing(world, features):
    transactions, statements = world(1, rows=80)
    _, found = World(features, {}).increment(transactions, [], statements, [])
    assert not len(found)


def file(name, first, last, rows=10):
    return TableFile(name, f"/{name}", rows, first, last)


def test_homes_are_files_that_overlap_together_and_days_between_them(monkeypatch):
    monkeypatch.setattr(layout, "_FILE_ROWS", 100)
    files = [
        file("c", 40 * DAY, 41 * DAY - 1),
        file("a", 10 * DAY, 12 * DAY - 1),
        file("b", 11 * DAY, 13 * DAY - 1),
        file("far", 90 * DAY, 91 * DAY),
    ]
    days = {9: 60, 11: 10, 13: 60, 39: 60, 40: 10, 41: 60}
    homes, standing = ranges(files, 9 * DAY, 60 * DAY, days)
    assert {n: {f.name for f in some} for n, some in standing.items()} == {0: {"a", "b"}, 1: {"c"}}
    times = [9 * DAY, 11 * DAY, 13 * DAY, 39 * DAY + 5, 40 * DAY, 41 * DAY, 41 * DAY + HOUR]
    rows = pa.table({"event_time": pa.array(times, pa.timestamp("us", "UTC"))})
    found = homes.of(rows, 0).tolist()
    # Those between never share a home with those before or after a file that stands.
    assert found[1] == 0
    assert found[4] == 1
    assert found[5] == found[6]
    assert len({found[0], found[2], found[5]}) == 3
    assert len({found[0], found[2], found[3], found[5]}) <= homes.number - 2
    assert max(found) < homes.number


def test_files_that_all_overlap_are_built_whole():
    many = [file(str(n), 0, 99 * DAY, 3_000_000) for n in range(2)]
    with pytest.raises(WholeBuildError, match="6000000 rows lie together"):
        ranges(many, 5 * DAY, 6 * DAY, {})
    unknown = [file("x", None, None, 9), file("y", 1, 2, 9)]
    homes, standing = ranges(unknown, 5 * DAY, 6 * DAY, {5: 1})
    assert (homes.number, len(standing[0])) == (1, 2)


def test_a_row_that_lacks_its_place_is_told(world, features):
    transactions, statements = world(2, rows=200)
    later = max(r["event_time"] for r in transactions) - timedelta(days=20)
    new = [r for r in transactions if r["event_time"] < later]
    stood = [r for r in transactions if r not in new]
    made = World(features, {})
    made.whole = lambda *_: World(features, {}).whole(transactions[:1], [])  # the others are lost
    with pytest.raises(ValueError, match="have no row; build the table whole"):
        made.increment(stood, new, statements, [])
