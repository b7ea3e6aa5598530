"""Transactions at home again: their own columns, and beside them what came from their windows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.addresses import (
    ADDRESS,
    OWN,
    EntityWindows,
    blobs,
    call_of,
    opened,
    place_of,
)
from fraudlake.features.batch.partition import CHECK, check_of, dtype_of
from fraudlake.features.rows import OVER, put

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class HomeTask:
    """What puts together the rows of the homes in a partition.

    Attributes
    ----------
    entities
        Number of an entity → its windows.
    then
        What is made of a home's transactions with the features of their windows (`OVER`).
    """

    entities: Mapping[int, EntityWindows]
    then: Callable[[pa.Table], Iterator[pa.RecordBatch]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What is made of the homes, one after the other."""
        for _, parts in by_home(batches):
            yield from self.then(together(parts, self.entities))


def by_home(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, dict[int, list[pa.Scalar]]]]:
    """Homes in their order, and whose → what came there."""
    homes: dict[int, dict[int, list[pa.Scalar]]] = defaultdict(lambda: defaultdict(list))
    for place, kind, rows in blobs(batches):
        homes[place][kind].append(rows)
    for place in sorted(homes):
        yield place, homes.pop(place)


def together(
    parts: Mapping[int, list[pa.Scalar]], entities: Mapping[int, EntityWindows]
) -> pa.Table:
    """A home's transactions, each once, with the features of all entities' windows (`OVER`).

    Raises
    ------
    ValueError
        A row lacks what one of the entities has to say, or got what is another's: a task was
        run again and has read its rows in another order.
    """
    import numpy as np

    own, start_of = _own(parts[OWN])
    check = check_of(own["tx_id"].to_numpy())
    answered = np.zeros(len(own), np.int64)
    columns: dict[str, NDArray] = {}
    for number, windows in entities.items():
        found: dict[str, NDArray] = {}
        found |= {f.name: np.zeros(len(own), dtype_of(f)) for f in windows.features}
        for blob in parts.get(number, ()):
            answers = opened([blob])
            address = answers[ADDRESS].to_numpy()
            at = start_of(call_of(address)) + place_of(address)
            if not np.array_equal(check[at], answers[CHECK].to_numpy()):
                raise ValueError("got features of other transactions; run the job again")
            answered[at] += 1
            for name, values in found.items():
                values[at] = answers[name].to_numpy()
        columns |= found
    # Of a transaction that came twice, one was answered.
    once = answered > 0
    if (answered[once] != len(entities)).any():
        raise ValueError("got transactions without the features of each entity; run it again")
    rows = own if once.all() or not entities else own.filter(once)
    for name, values in columns.items():
        rows = put(rows, OVER + name, values if once.all() else values[once])
    return rows


def _own(
    parts: Sequence[pa.Scalar],
) -> tuple[pa.Table, Callable[[NDArray[np.int64]], NDArray[np.int64]]]:
    """Own columns of the rows, and from calls where the rows of each begin."""
    import numpy as np
    import pyarrow as pa

    tables = {int(table.schema.metadata[b"call"]): table for table in (opened([p]) for p in parts)}
    calls = np.array(sorted(tables))
    lengths = [len(tables[call]) for call in calls.tolist()]
    begins = np.cumsum([0, *lengths[:-1]])
    own = pa.concat_tables([tables[c].replace_schema_metadata() for c in calls.tolist()])
    return own.combine_chunks(), lambda of: begins[np.searchsorted(calls, of)]
