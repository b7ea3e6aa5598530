"""Where rows of the batch plan go, and where the results of their windows come home to.

A transaction's own columns go to one place, its home: a file of the table, or a partition of the
result. What each entity's windows take of it goes to a bucket of that entity's keys, and only the
windows' values come back from there, with the address of the row that they belong to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fraudlake.features.exchange import joined, packed_by
from fraudlake.features.feature import Feature
from fraudlake.features.rows import CHANGES

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Rows on the move: where to; whose they are, an entity's number or `OWN`; the rows.
MOVED = "_place int, _kind int, _rows binary"
OWN = -1
ADDRESS = "_home"  # of a row to be computed; `COUNTS` of one that only counts
COUNTS, COPY = -1, -2  # `COPY`: it is asked for elsewhere, if at all
CHANGED = 1 << 16  # added to an entity's number: windows that changed, of rows that stand already
SLICE = "_slice"  # the slice of time in which a hot key's row lies; 0 for the others
# An address is a home's number, a call of a task (which has a number of its own), and a row.
_ROW_BITS, _CALL_BITS, _HOME_BITS = 20, 25, 18
_CALLS = 1 << 9  # of one task


class Homes(Protocol):
    """Who says where a transaction's home is."""

    @property
    def number(self) -> int:
        """How many homes there are."""

    def of(self, rows: pa.Table, partition: int, /) -> NDArray[np.int32]:
        """Home of each row that a task for this partition has read."""


@dataclass(frozen=True)
class AsTheyCame:
    """A home for each partition that transactions are read in, or for several together."""

    number: int

    def of(self, rows: pa.Table, partition: int) -> NDArray[np.int32]:
        """The same for all."""
        import numpy as np

        return np.full(len(rows), partition % self.number, np.int32)


@dataclass(frozen=True)
class TimeSlicing:
    """How an entity's hot keys are cut: at the multiples of `length` since 1970 UTC.

    Attributes
    ----------
    keys
        The hot keys.
    length
        Microseconds of one slice, not below `reach`: so a row counts in its own slice and at most
        in the next.
    reach
        Microseconds before a row that its windows look back.
    """

    keys: tuple[Any, ...]
    length: int
    reach: int

    def hot(self, key: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Which rows are of a hot key."""
        import pyarrow as pa
        import pyarrow.compute as pc

        return pc.is_in(key, value_set=pa.array(self.keys, key.type)).to_numpy()

    def slices(self, time: NDArray[np.int64]) -> NDArray[np.int32]:
        """Number of the slice that an instant lies in."""
        import numpy as np

        return (time // self.length).astype(np.int32)


@dataclass(frozen=True)
class EntityWindows:
    """The windows of one entity, and where its rows go.

    Attributes
    ----------
    keys
        Columns that hold its key.
    features
        Those over this entity.
    partitions
        Into how many its keys are split.
    slicing
        Keys to be cut in time; None: none.
    """

    keys: tuple[str, ...]
    features: tuple[Feature, ...]
    partitions: int
    slicing: TimeSlicing | None = None

    @property
    def over_labels(self) -> bool:
        """Whether its windows take what labels say."""
        return any(feature.over_labels for feature in self.features)

    @property
    def reads(self) -> list[str]:
        """Columns of a transaction that its windows take."""
        values = (name for feature in self.features for name in feature.columns)
        changes = [CHANGES] if self.over_labels else []
        return list(dict.fromkeys(("tx_id", "event_time", *self.keys, *values, *changes)))


def call_number(partition: int, calls: int) -> int:
    """Number of a task's call that no other has.

    Raises
    ------
    ValueError
        Rows are cut into more tasks than addresses can tell apart, or a task has more of them.
    """
    number = partition * _CALLS + calls
    if calls >= _CALLS or number >= 1 << _CALL_BITS:
        raise ValueError(
            f"got call {calls} of partition {partition}, expected at most {_CALLS} calls of "
            f"{(1 << _CALL_BITS) // _CALLS} partitions: read fewer partitions, or smaller ones"
        )
    return number


def addresses(home: NDArray[np.int32], call: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Addresses of rows: their homes, the call that read them, their places in its rows there.

    Raises
    ------
    ValueError
        There are more homes, or rows of a call, than addresses can tell apart.

    Examples
    --------
    >>> import numpy as np
    >>> address = addresses(np.array([3], np.int32), 7, np.array([5]))
    >>> [int(part[0]) for part in (home_of(address), call_of(address), place_of(address))]
    [3, 7, 5]
    """
    import numpy as np

    homes, rows = int(home.max(initial=0)) + 1, int(places.max(initial=0)) + 1
    if homes > 1 << _HOME_BITS or rows > 1 << _ROW_BITS:
        raise ValueError(
            f"got {homes} homes and {rows} rows of a call, expected at most {1 << _HOME_BITS} and "
            f"{1 << _ROW_BITS}: lower spark.sql.execution.arrow.maxRecordsPerBatch"
        )
    of_call = (home.astype(np.int64) << _CALL_BITS) + call
    return (of_call << _ROW_BITS) + places


def home_of(address: NDArray[np.int64]) -> NDArray[np.int32]:
    """The homes of addresses."""
    import numpy as np

    return (address >> (_ROW_BITS + _CALL_BITS)).astype(np.int32)


def call_of(address: NDArray[np.int64]) -> NDArray[np.int64]:
    """The calls of addresses."""
    return address >> _ROW_BITS & ((1 << _CALL_BITS) - 1)


def place_of(address: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows' places of addresses."""
    return address & ((1 << _ROW_BITS) - 1)


def moved(kind: int, places: NDArray[np.int32], rows: pa.Table, call: int = 0) -> pa.RecordBatch:
    """One blob of rows for each place that any go to, in the order in which they stand.

    Parameters
    ----------
    kind
        Whose they are: an entity's number, or `OWN`.
    places
        Where each row goes.
    call
        What read them, where they are a transaction's own columns.
    """
    import pyarrow as pa

    if kind == OWN:
        rows = rows.replace_schema_metadata({"call": str(call)})
    packed = packed_by(places, rows)
    kinds = pa.array([kind] * len(packed), pa.int32())
    columns = [packed["_bucket"], kinds, packed["_rows"]]
    return pa.record_batch(columns, ["_place", "_kind", "_rows"])


def blobs(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, int, pa.Scalar]]:
    """What came: where to, whose, and the rows as they were packed."""
    for batch in batches:
        yield from zip(
            batch["_place"].to_pylist(), batch["_kind"].to_pylist(), batch["_rows"], strict=True
        )


def opened(parts: Sequence[pa.Scalar]) -> pa.Table:
    """The rows of several blobs in one table; a column that some lack is null there."""
    import pyarrow as pa

    return joined([pa.ipc.open_stream(rows.as_buffer()).read_all() for rows in parts])
