"""Rows of the feature table beside those that came: what stays, what is new, what is other now."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.addresses import CHANGED, OWN, EntityWindows, Homes, moved, opened
from fraudlake.features.batch.home import by_home, together
from fraudlake.features.batch.partition import dtype_of
from fraudlake.features.batch.survey import DAY, fingerprint
from fraudlake.features.exchange import taken
from fraudlake.features.rows import OVER, micros, put, refreshed
from fraudlake.features.stages import Result
from fraudlake.features.table.arrivals import WholeBuildError
from fraudlake.features.table.layout import files_of
from fraudlake.lake.data_file import DataFile, DataFileWriter
from fraudlake.lake.scan import TableFile, rows_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

# Whose they are, of rows on the move (`addresses.MOVED`): they stand in the table.
STANDING = -2
# Rows of files whose times overlap, which one task takes.
_MOST_TOGETHER = 5_000_000
WRITTEN = (
    "path string, size bigint, rows bigint, stats string, home bigint, which bigint, new bigint, "
    "updated bigint, ids binary"
)


@dataclass(frozen=True)
class Ranges:
    """Rows at home in the file, or overlapping files, of their time, or in new ones between.

    Attributes
    ----------
    first, last
        Times of the files that stand, in order, several in one where they overlap: their number is
        that of the home.
    between
        (How many of these come before, day counted from 1970 UTC) → home of rows between them.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    between: Mapping[tuple[int, int], int]

    @property
    def number(self) -> int:
        """How many homes there are."""
        return max((len(self.first) - 1, *self.between.values())) + 1

    def of(self, rows: pa.Table, _partition: int) -> NDArray[np.int32]:
        """Home of each row."""
        import numpy as np

        time = micros(rows)
        before = np.searchsorted(np.array(self.first, np.int64), time, side="right")
        last = np.array([-(2**63), *self.last], np.int64)
        home = before - 1
        outside = np.flatnonzero(time > last[before])
        pairs = np.stack((before[outside], time[outside] // DAY))
        some, which = np.unique(pairs, axis=1, return_inverse=True)
        there = [self.between[gap, day] for gap, day in some.T.tolist()]
        home[outside] = np.array(there, np.int64)[which.ravel()]
        return home.astype(np.int32)


def ranges(
    files: Sequence[TableFile], first: int, last: int, days: Mapping[int, int]
) -> tuple[Ranges, dict[int, tuple[TableFile, ...]]]:
    """Homes of rows among the files of a table, and home → the files that stand there.

    Parameters
    ----------
    first, last
        No row that stands changes before or after (microseconds).
    days
        Day, counted from 1970 UTC → rows that are new.

    Raises
    ------
    WholeBuildError
        Too many rows lie in files whose times overlap.
    """
    groups: list[list[TableFile]] = []
    end = None
    for file in sorted(files, key=lambda file: (file.first is not None, file.first)):
        if groups and (file.first is None or end is None or file.first <= end):
            groups[-1].append(file)
        else:
            groups.append([file])
        end = None if file.last is None else max(file.last, end or file.last)
    chosen = [
        (tuple(group), low, high)
        for group in groups
        for low, high in [(_first(group), _last(group))]
        if low <= last and high >= first
    ]
    most = max((sum(file.rows for file in group) for group, _, _ in chosen), default=0)
    if most > _MOST_TOGETHER:
        raise WholeBuildError(f"its files overlap in time: {most} rows lie together")
    begins, ends = [low for _, low, _ in chosen], [high for _, _, high in chosen]
    after, before = [-(2**63), *(high + 1 for high in ends)], [*begins, 2**63]
    numbers: dict[tuple[int, int], int] = {}
    between: dict[tuple[int, int], int] = {}
    for day, part in files_of(days).items():
        start, end_of = day * DAY, (day + 1) * DAY
        for gap in range(bisect_right(begins, start), bisect_left(begins, end_of) + 1):
            if max(after[gap], start) < min(before[gap], end_of):
                number = numbers.setdefault((gap, part), len(chosen) + len(numbers))
                between[gap, day] = number
    standing = {number: group for number, (group, _, _) in enumerate(chosen)}
    return Ranges(tuple(begins), tuple(ends), between), standing


def _first(group: Sequence[TableFile]) -> int:
    return min(-(2**63) + 1 if file.first is None else file.first for file in group)


def _last(group: Sequence[TableFile]) -> int:
    return max(2**63 - 1 if file.last is None else file.last for file in group)


@dataclass(frozen=True)
class ByDayNumber:
    """Rows at home by their day, with those of many other days."""

    number: int

    def of(self, rows: pa.Table, _partition: int) -> NDArray[np.int32]:
        """Home of each row."""
        import numpy as np

        return (micros(rows) // DAY % self.number).astype(np.int32)


@dataclass(frozen=True)
class StandingTask:
    """What sends rows of the table home."""

    homes: Homes

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows, packed."""
        import pyarrow as pa

        for batch in batches:
            rows = pa.Table.from_batches([batch])
            if len(rows):
                yield moved(STANDING, self.homes.of(rows, 0), rows)


@dataclass(frozen=True)
class Change:
    """What becomes of a home's rows.

    Attributes
    ----------
    stay
        Rows that stand and are right.
    rows
        Those that are new, or other now.
    existed
        Which of them stood there with other values.
    which
        `fingerprint` of the transactions that came.
    """

    stay: pa.Table
    rows: pa.Table
    existed: NDArray[np.bool_]
    which: int


@dataclass(frozen=True)
class ChangeTask:
    """What holds the rows of homes against what came there.

    Attributes
    ----------
    entities
        Number of an entity → its windows.
    columns
        Of the feature table.
    definition
        Hash of the feature set.
    standing
        Home → paths of the files that stand there; None: their rows come along.
    then
        What is made of a home and its change.
    """

    entities: Mapping[int, EntityWindows]
    result: Result
    columns: pa.Schema
    definition: str
    standing: Mapping[int, tuple[str, ...]] | None
    then: Callable[[int, Change], Iterator[pa.RecordBatch]]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What is made of the homes, one after the other."""
        for home, parts in by_home(batches):
            yield from self.then(home, self._change(home, parts))

    def _change(self, home: int, parts: Mapping[int, list[pa.Scalar]]) -> Change:
        import numpy as np
        import pyarrow as pa

        if self.standing is not None:
            standing = rows_of(self.standing.get(home, ()), self.columns)
        elif STANDING in parts:
            standing = opened(parts[STANDING])
        else:
            standing = self.columns.empty_table()
        standing = standing.combine_chunks()
        places = _places(standing["tx_id"].to_numpy())
        rows, which = self.columns.empty_table(), 0
        if OWN in parts:
            rows = self._conformed(self.result.table(together(parts, self.entities)))
            which = fingerprint(rows)
        at = places(rows["tx_id"].to_numpy())
        touched = self._touched(parts, places)
        rows = pa.concat_tables([rows, self._refreshed(parts, standing, touched, places)])
        at = np.concatenate((at, touched))
        stood = at >= 0
        other = ~stood
        other[stood] = _differ(rows.filter(pa.array(stood)), taken(standing, at[stood]))
        stays = np.ones(len(standing), bool)
        stays[at[stood & other]] = False
        return Change(
            standing.filter(pa.array(stays)), rows.filter(pa.array(other)), stood[other], which
        )

    def _conformed(self, rows: pa.Table) -> pa.Table:
        """Rows as the table has them."""
        import pyarrow as pa

        rows = rows.append_column("definition", pa.repeat(self.definition, len(rows)))
        columns = [rows[field.name].cast(field.type) for field in self.columns]
        return pa.table(columns, self.columns.names).cast(self.columns)

    def _touched(
        self,
        parts: Mapping[int, list[pa.Scalar]],
        places: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    ) -> NDArray[np.int64]:
        """Positions of standing rows of which some windows came.

        Raises
        ------
        ValueError
            One does not stand.
        """
        import numpy as np

        came = [places(self._ids(parts, number)) for number in self.entities]
        at = np.unique(np.concatenate((*came, np.zeros(0, np.int64))))
        if len(at) and at[0] < 0:
            raise ValueError("got windows of transactions that have no row; build the table whole")
        return at

    def _ids(self, parts: Mapping[int, list[pa.Scalar]], number: int) -> NDArray[np.int64]:
        import numpy as np

        found = parts.get(number + CHANGED, ())
        return np.concatenate(
            [np.zeros(0, np.int64), *(opened([blob])["tx_id"].to_numpy() for blob in found)]
        )

    def _refreshed(
        self,
        parts: Mapping[int, list[pa.Scalar]],
        standing: pa.Table,
        touched: NDArray[np.int64],
        places: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    ) -> pa.Table:
        """Rows at these positions, with the windows that came."""
        import numpy as np

        rows = taken(standing, touched)
        for number, windows in self.entities.items():
            if number + CHANGED not in parts:
                continue
            answers = opened(parts[number + CHANGED])
            at = np.searchsorted(touched, places(answers["tx_id"].to_numpy()))
            for feature in windows.features:
                values = rows[feature.name].to_numpy().astype(dtype_of(feature))
                values[at] = answers[feature.name].to_numpy()
                rows = put(rows, OVER + feature.name, values)
        fresh = refreshed(rows, self.result.features)
        for name, values in fresh.items():
            rows = rows.set_column(rows.column_names.index(name), name, values)
        return rows.select(self.columns.names).cast(self.columns)


def _places(tx_id: NDArray[np.int64]) -> Callable[[NDArray[np.int64]], NDArray[np.int64]]:
    """What says at which position a transaction stands, −1 for none."""
    import numpy as np

    order = np.argsort(tx_id)
    known = tx_id[order]

    def places(ids: NDArray[np.int64]) -> NDArray[np.int64]:
        if not len(known):
            return np.full(len(ids), -1, np.int64)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, order[at], -1)

    return places


def _differ(rows: pa.Table, others: pa.Table) -> NDArray[np.bool_]:
    """Which rows are not the same as the others, to the bit."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    differs = np.zeros(len(rows), bool)
    for name in rows.column_names:
        one, other = (
            column.view("int64") if pa.types.is_float64(column.type) else column
            for column in (rows[name].combine_chunks(), others[name].combine_chunks())
        )
        null, other_null = (c.is_null().to_numpy(zero_copy_only=False) for c in (one, other))
        unequal = pc.fill_null(pc.not_equal(one, other), False)
        differs |= (null != other_null) | unequal.to_numpy(zero_copy_only=False)
    return differs


@dataclass(frozen=True)
class WriteChange:
    """What writes a home's rows as one file where some are new or other now."""

    writer: DataFileWriter

    def __call__(self, home: int, change: Change) -> Iterator[pa.RecordBatch]:
        """What was written, one row; without a path where nothing was."""
        import numpy as np
        import pyarrow as pa

        file = DataFile("", 0, 0, "")
        if len(change.rows):
            rows = pa.concat_tables([change.stay, change.rows])
            file = self.writer.write(taken(rows, np.argsort(micros(rows))))
        ids = change.rows["tx_id"].to_numpy()[change.existed]
        row = asdict(file) | {"home": home, "which": change.which}
        row |= {"new": len(change.rows) - len(ids), "updated": len(ids), "ids": ids.tobytes()}
        yield pa.RecordBatch.from_pylist([row])


def ids_updated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Transactions whose rows were updated, from what `WriteChange` says."""
    import numpy as np
    import pyarrow as pa

    for blob in itertools.chain.from_iterable(batch["ids"].to_pylist() for batch in batches):
        yield pa.record_batch([np.frombuffer(blob, np.int64)], ["tx_id"])


def changed_rows(_home: int, change: Change) -> Iterator[pa.RecordBatch]:
    """Rows that are new or other now, and `_existed`, as Spark's."""
    import pyarrow as pa

    yield from change.rows.append_column("_existed", pa.array(change.existed)).to_batches()
