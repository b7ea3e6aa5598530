"""Rows that came since a build, and which others' windows they are in.

A new transaction changes windows of its entities from its own time on, a statement about an older
one from when it was known; both until the last window has left them behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.addresses import EntityWindows
from fraudlake.features.feature import Feature, reach_of
from fraudlake.features.rows import key_of, micros

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark import Broadcast

SINCE = "_since"  # from when on a row changes windows, microseconds; `NEVER` of one that does not
NEVER = 2**63 - 1


@dataclass(frozen=True)
class Changing:
    """What tells the rows that change windows, and those that these windows take.

    Attributes
    ----------
    stated
        `tx_id`, `known` (microseconds): transactions of which something else was said; None: none.
    needed
        Number of an entity → what `needed` says; the others take all rows.
    """

    stated: Broadcast[bytes] | None
    needed: Mapping[int, Broadcast[bytes]]

    def since(self, rows: pa.Table, windows: EntityWindows, new: bool) -> NDArray[np.int64]:
        """From when on each row changes an entity's windows."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if new:
            return micros(rows)
        if self.stated is None or not windows.over_labels:
            return np.full(len(rows), NEVER, np.int64)
        stated = pa.ipc.open_stream(self.stated.value).read_all().combine_chunks()
        place = pc.index_in(rows["tx_id"], value_set=stated["tx_id"].combine_chunks())
        known = stated["known"].combine_chunks().take(place.combine_chunks())
        return pc.fill_null(known, NEVER).to_numpy(zero_copy_only=False)

    def kept(self, number: int, windows: EntityWindows, rows: pa.Table) -> pa.Table:
        """Of rows that only count, those that an entity's changed windows may take."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if number not in self.needed:
            return rows
        needs = pa.ipc.open_stream(self.needed[number].value).read_all().combine_chunks()
        keys = needs["key"].combine_chunks()
        place = pc.index_in(key_of(rows, windows.keys), value_set=keys)
        at = pc.fill_null(place, -1).to_numpy()
        time = micros(rows)
        inside = np.flatnonzero(at >= 0)
        if not len(inside):
            return rows.slice(0, 0)
        first, last = (needs[name].to_numpy()[at[inside]] for name in ("first", "last"))
        inside = inside[(time[inside] > first) & (time[inside] <= last)]
        return rows if len(inside) == len(rows) else rows.take(pa.array(inside))


def needed(
    rows: Sequence[tuple[pa.Table, NDArray[np.int64]]],
    keys: Sequence[str],
    features: Sequence[Feature],
) -> pa.Table:
    """Which rows count in windows that changed.

    Parameters
    ----------
    rows
        Transactions that change windows, and since when.
    keys, features
        An entity's columns and features.

    Returns
    -------
    pyarrow.Table
        `key`, `first`, `last`: rows of a key with first < event time ≤ last (microseconds).
    """
    import pyarrow as pa

    parts = []
    for some, since in rows:
        start, end = stretch(micros(some), since, features)
        key = key_of(some, keys)
        # From `since` on, as a new row's own windows may end before it changes those of others.
        part = pa.table({"key": key, "first": since - reach_of(features), "last": end})
        parts.append(part.filter(pa.array((start < end) & key.is_valid().to_numpy())))
    grouped = pa.concat_tables(parts).group_by("key")
    found = grouped.aggregate([("first", "min"), ("last", "max")])
    return found.select(["key", "first_min", "last_max"]).rename_columns(["key", "first", "last"])


def stretch(
    time: NDArray[np.int64], since: NDArray[np.int64], features: Sequence[Feature]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """From when on rows change windows, and until when (not included)."""
    import numpy as np

    enters = time + min(feature.delay for feature in features)
    return np.maximum(since, enters), time + reach_of(features)


def affected(
    entity: NDArray[np.int64],
    time: NDArray[np.int64],
    since: NDArray[np.int64],
    features: Sequence[Feature],
) -> NDArray[np.bool_]:
    """Which rows lie where windows of their entity may have changed.

    Parameters
    ----------
    entity, time
        Rows in this order; an entity below 0 is none.
    since
        From when on each changes windows.

    Examples
    --------
    >>> import numpy as np
    >>> from fraudlake.features.definition.feature_set import FeatureSet
    >>> block = {"entity": "customer", "operations": ["count"], "windows": ["1h"]}
    >>> hour = 3_600_000_000
    >>> entity, time = np.array([0, 0, 0, 1]), np.array([0, hour // 2, 2 * hour, hour // 2])
    >>> since = np.array([0, NEVER, NEVER, NEVER])
    >>> features = FeatureSet.model_validate({"features": [block]}).features
    >>> affected(entity, time, since, features).tolist()
    [True, True, False, False]
    """
    import numpy as np

    changing = np.flatnonzero((since < NEVER) & (entity >= 0))
    start, end = stretch(time[changing], since[changing], features)
    some = start < end
    changing, start, end = changing[some], start[some], end[some]
    # Entity and rank of the time in one integer.
    times, rank = np.unique(time, return_inverse=True)
    size = len(times) + 1
    packed = entity * size + rank
    low, high = (entity[changing] * size + np.searchsorted(times, at) for at in (start, end))
    steps = np.zeros(len(time) + 1, np.int64)
    np.add.at(steps, np.searchsorted(packed, low), 1)
    np.add.at(steps, np.searchsorted(packed, high), -1)
    return np.cumsum(steps[:-1]) > 0
