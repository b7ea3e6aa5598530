"""One look over times and keys before a build: rows a day, and keys that are cut in time.

A busy merchant's rows would all meet in one task. Cut into slices of time they are worked on by
several; a slice brings along the rows before it that its windows reach, so values are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fraudlake.features.batch.addresses import TimeSlicing
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.exchange import bucket_of
from fraudlake.features.feature import reach_of
from fraudlake.features.kernels import xxhash
from fraudlake.features.rows import key_of, micros
from fraudlake.lake.scan import Scan

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

DAY = 86_400_000_000  # microseconds
# Below this many rows a key is no burden: NumPy takes them in about a second.
_BURDEN = 200_000
# Keys are counted in so many buckets.
_BUCKETS = 4096
# Rows that a task of a shuffle takes, where there are tasks enough, and at most.
_ROWS, _MOST_ROWS = 100_000, 1_000_000
_SEEN = (
    "rows bigint, which bigint, first bigint, last bigint, low bigint, high bigint, "
    "days binary, keys binary"
)


@dataclass(frozen=True)
class Survey:
    """What a look over rows finds.

    Attributes
    ----------
    rows
        How many they are.
    which
        Hashes of their `tx_id`s, one XOR the other: equal totals are not enough.
    first, last
        Their first and last `event_time`, in microseconds; 0 where there are none.
    days
        Day, counted from 1970 UTC → rows.
    ids
        Least and greatest `tx_id`, of those that only count too; None where there are none.
    partitions
        Into how many partitions a shuffle of them goes.
    slicing
        Entity → how to cut its keys with more rows than a partition of a shuffle would fairly get;
        entities without such a key, or with windows too long for a cut, are left out, and so are
        combinations of entities: their keys are smaller than their parts'.
    """

    rows: int
    which: int
    first: int
    last: int
    days: Mapping[int, int]
    ids: tuple[int, int] | None
    partitions: int
    slicing: Mapping[str, TimeSlicing]


def survey(
    rows: Scan, feature_set: FeatureSet, entities: Mapping[str, str], past: Scan | None = None
) -> Survey:
    """Look over the rows of a build in one pass, for all entities side by side.

    It counts buckets of keys. A hot key's bucket has at least its rows, so only the keys of such
    buckets, mostly none, are counted one by one in a second pass. The hot keys alone reach the
    driver.

    Parameters
    ----------
    rows
        Rows that will be computed, with `tx_id`, `event_time` and the entity columns.
    entities
        Entity → its column.
    past
        Rows that will only count: they matter for `slicing` alone.
    """
    import numpy as np

    windows = {
        entity: features
        for entity, features in feature_set.by_entity().items()
        if len(features[0].entities) == 1
    }
    keys = [features[0].keys(entities)[0] for features in windows.values()]
    task = _SurveyTask(tuple(keys), _BUCKETS)
    scans = [rows] if past is None else [rows, past]
    columns = list(dict.fromkeys(("tx_id", "event_time", *keys)))
    looks = [_looked(scan, columns, task) for scan in scans]
    total = sum(look.rows for look in looks)
    partitions = min(shuffle_partitions(rows.frame), total // _ROWS)
    partitions = max(1, partitions, -(-total // _MOST_ROWS))
    first = min((look.first for look in looks if look.rows), default=0)
    last = max((look.last for look in looks if look.rows), default=0)
    fair = max(total / partitions, _BURDEN)
    counts = np.sum([look.keys for look in looks], axis=0)
    slicing = {}
    for index, (entity, features) in enumerate(windows.items()):
        heavy = np.flatnonzero(counts[index] > fair)
        hot = _hot_keys(scans, keys[index], task.buckets, heavy, fair) if len(heavy) else ()
        reach = reach_of(features)
        length = max(reach, (last - first) // partitions + 1) if hot else 0
        # A slice brings its reach along: fewer than three would not be faster than one.
        if hot and last - first > 2 * length:
            slicing[entity] = TimeSlicing(hot, length, reach)
    own, ids = looks[0], [look.ids for look in looks if look.rows]
    both = (min(low for low, _ in ids), max(high for _, high in ids)) if ids else None
    return Survey(own.rows, own.which, own.first, own.last, own.days, both, partitions, slicing)


@dataclass(frozen=True)
class _Look:
    rows: int
    which: int
    first: int
    last: int
    ids: tuple[int, int]
    days: Counter[int]
    keys: NDArray[np.int64]  # entity × bucket: rows


def _looked(scan: Scan, columns: list[str], task: _SurveyTask) -> _Look:
    """The looks of all tasks put together."""
    import numpy as np

    found = scan.mapped(columns, task, _SEEN).collect()
    days: Counter[int] = Counter()
    keys = np.zeros((len(task.keys), task.buckets), np.int64)
    which = 0
    for seen in found:
        day, count = np.frombuffer(seen["days"], np.int64).reshape(2, -1)
        days.update(dict(zip(day.tolist(), count.tolist(), strict=True)))
        keys += np.frombuffer(seen["keys"], np.int64).reshape(keys.shape)
        which ^= seen["which"]
    first = min((seen["first"] for seen in found), default=0)
    last = max((seen["last"] for seen in found), default=0)
    low = min((seen["low"] for seen in found), default=0)
    high = max((seen["high"] for seen in found), default=0)
    return _Look(sum(seen["rows"] for seen in found), which, first, last, (low, high), days, keys)


@dataclass(frozen=True)
class _SurveyTask:
    """What looks over a partition."""

    keys: tuple[str, ...]
    buckets: int

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One row, of all the partition's rows; none where it has none."""
        import numpy as np
        import pyarrow as pa

        rows, which, first, last, low, high = 0, 0, [], [], [], []
        days: Counter[int] = Counter()
        keys = np.zeros((len(self.keys), self.buckets), np.int64)
        for batch in batches:
            table = pa.Table.from_batches([batch])
            if not len(table):
                continue
            rows, which = rows + len(table), which ^ fingerprint(table)
            time, tx_id = micros(table), table["tx_id"].to_numpy()
            first.append(int(time.min()))
            last.append(int(time.max()))
            low.append(int(tx_id.min()))
            high.append(int(tx_id.max()))
            start = int(time.min()) // DAY
            counts = np.bincount(time // DAY - start)
            days.update({start + int(day): int(counts[day]) for day in np.flatnonzero(counts)})
            for index, name in enumerate(self.keys):
                key = key_of(table, [name])
                bucket = bucket_of(key, tx_id, self.buckets)[key.is_valid().to_numpy()]
                keys[index] += np.bincount(bucket, minlength=self.buckets)
        if rows:
            seen = np.array([[*days.keys()], [*days.values()]], np.int64).tobytes()
            ends = {"first": min(first), "last": max(last), "low": min(low), "high": max(high)}
            packed = {"days": seen, "keys": keys.tobytes()}
            yield pa.RecordBatch.from_pylist([{"rows": rows, "which": which, **ends, **packed}])


def fingerprint(rows: pa.Table) -> int:
    """Hashes of the rows' `tx_id`s, one XOR the other."""
    import numpy as np

    hashed = xxhash.of_integers(rows["tx_id"].to_numpy())
    return int(np.bitwise_xor.reduce(hashed, initial=0))


def _hot_keys(
    scans: list[Scan], key: str, buckets: int, heavy: NDArray[np.int64], fair: float
) -> tuple[Any, ...]:
    """Keys of some buckets that have more rows than is fair."""
    from pyspark.sql import functions as F

    from fraudlake.lake.frames import union

    task = _CountTask(key, buckets, tuple(heavy.tolist()))
    schema = f"`{key}` {dict(scans[0].frame.dtypes)[key]}, _count bigint"
    found = union([scan.mapped([key], task, schema) for scan in scans])
    by_key = found.groupBy(key).agg(F.sum("_count").alias("_count"))
    return tuple(row[0] for row in by_key.where(F.col("_count") > fair).collect())


@dataclass(frozen=True)
class _CountTask:
    """What counts a partition's keys, one by one, those of some buckets."""

    key: str
    buckets: int
    heavy: tuple[int, ...]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A row for each key and batch."""
        import numpy as np
        import pyarrow as pa

        for batch in batches:
            table = pa.Table.from_batches([batch])
            table = table.filter(table[self.key].is_valid())
            key = key_of(table, [self.key])
            bucket = bucket_of(key, np.zeros(len(table), np.int64), self.buckets)
            inside = table[self.key].filter(pa.array(np.isin(bucket, self.heavy)))
            counted = inside.combine_chunks().value_counts()
            yield pa.record_batch(
                [counted.field("values"), counted.field("counts")], [self.key, "_count"]
            )


def shuffle_partitions(rows: DataFrame) -> int:
    """Into how many partitions Spark shuffles."""
    return int(str(rows.sparkSession.conf.get("spark.sql.shuffle.partitions")))
