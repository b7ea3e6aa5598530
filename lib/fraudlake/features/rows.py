"""Transactions as Arrow columns: what kernels take of them, and features of what kernels give.

Batch, stream and single transactions come through here, so that keys, minor units, the calendar,
equal columns and ratios mean the same in all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from fraudlake.features.feature import Feature, Input

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from fraudlake.features.kernels.events import Events, Floats, Ints

# When each change of the fraud count of a transaction was known, as `labels.label_changes` says.
CHANGES = "_changes"
# Features of windows beside a transaction's own columns, which may have the same names.
OVER = "_over_"
_HOUR = 3_600_000_000
_DAY = 24 * _HOUR


def key_of(rows: pa.Table, names: Sequence[str]) -> pa.ChunkedArray:
    """An entity's key as one column: a number where it is one, else text that no other key shares.

    Null where one of its columns is.

    Examples
    --------
    >>> import pyarrow as pa
    >>> rows = pa.table({"card": [7, None], "country": ["FR", "TH"]})
    >>> key_of(rows, ["card", "country"]).to_pylist()
    ['1:72:FR', None]
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(names) == 1 and pa.types.is_integer(rows[names[0]].type):
        return rows[names[0]].cast("int64")
    parts = []
    for name in names:
        text = rows[name].cast("string")
        parts += [pc.utf8_length(text).cast("string"), ":", text]
    return pc.binary_join_element_wise(*parts, "")


def micros(rows: pa.Table) -> Ints:
    """Event times, microseconds since 1970 UTC."""
    return rows["event_time"].cast("int64").to_numpy()


def events_of(rows: pa.Table, entity: Ints, features: Sequence[Feature]) -> Events:
    """Sorted transactions of numbered entities, with what the features take of them."""
    import pyarrow.compute as pc

    from fraudlake.features.kernels.events import Events

    values: dict[str, Ints] = {}
    scale: dict[str, int] = {}
    missing: dict[str, NDArray[np.bool_]] = {}
    codes: dict[str, Ints] = {}
    degrees: dict[str, Floats] = {}
    for name in columns_of(features, Input.NUMBER):
        values[name], scale[name] = _minor_units(rows[name])
        if rows[name].null_count:
            missing[name] = rows[name].is_null().to_numpy()
    for name in columns_of(features, Input.VALUE):
        indices = rows[name].combine_chunks().dictionary_encode().indices
        codes[name] = pc.fill_null(indices, -1).to_numpy()
    for name in columns_of(features, Input.PLACE):
        degrees[name] = rows[name].to_numpy()
    # What is asked for by itself brings no labels.
    over_labels = CHANGES in rows.column_names and any(f.over_labels for f in features)
    changes = _changes(rows) if over_labels else {}
    return Events(
        entity, micros(rows), values, scale, missing, codes=codes, degrees=degrees, **changes
    )


def columns_of(features: Iterable[Feature], taken: Input) -> list[str]:
    """Columns that features take in one way, each once."""
    names = (name for f in features if f.input is taken for name in f.columns)
    return list(dict.fromkeys(names))


def _minor_units(column: pa.ChunkedArray) -> tuple[Ints, int]:
    """Numbers as integers, 0 for null, and how many of these make one: 100 for decimal(18,2)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_decimal(column.type):
        return pc.fill_null(column, 0).cast("int64").to_numpy(), 1
    whole = column.combine_chunks()
    units = np.zeros(len(whole), np.int64)
    if len(whole):
        # A decimal is an integer of 128 bits; 18 digits fit into the lower half.
        halves = np.frombuffer(whole.buffers()[1], np.int64)[2 * whole.offset :]
        there = whole.is_valid().to_numpy(zero_copy_only=False)
        np.copyto(units, halves[: 2 * len(whole) : 2], where=there)
    return units, 10**whole.type.scale


def _changes(rows: pa.Table) -> dict[str, Ints]:
    """Label changes as arrays; signs alternate from +1 within a transaction."""
    import numpy as np
    import pyarrow.compute as pc

    lists = rows[CHANGES]
    event = pc.list_parent_indices(lists).to_numpy()
    first = np.searchsorted(event, event)
    return {
        "change_event": event,
        "change_time": pc.list_flatten(lists).to_numpy(),
        "change_value": 1 - 2 * ((np.arange(len(event)) - first) % 2),
    }


def put(rows: pa.Table, name: str, values: NDArray | pa.Array) -> pa.Table:
    """The rows with a column of these values, in the place of the one of that name."""
    import pyarrow as pa

    column = pa.array(values)
    if name in rows.column_names:
        return rows.set_column(rows.column_names.index(name), name, column)
    return rows.append_column(name, column)


def finished(rows: pa.Table, features: Sequence[Feature]) -> dict[str, pa.ChunkedArray]:
    """Features in their order, from the columns of transactions and windows (`OVER`)."""
    return _with_ratios({f.name: _part(rows, f) for f in features if f.kind != "ratio"}, features)


def refreshed(rows: pa.Table, features: Sequence[Feature]) -> dict[str, pa.ChunkedArray]:
    """As `finished`, of rows that have their features, and new ones of some windows (`OVER`)."""
    parts = {
        f.name: _part(rows, f) if OVER + f.name in rows.column_names else rows[f.name]
        for f in features
        if f.kind != "ratio"
    }
    return _with_ratios(parts, features)


def _with_ratios(
    parts: dict[str, pa.ChunkedArray], features: Sequence[Feature]
) -> dict[str, pa.ChunkedArray]:
    for feature in features:
        if feature.kind == "ratio":
            above, below = parts[feature.column], parts[feature.other]
            parts[feature.name] = _ratio(above, below, feature.empty)
    return {feature.name: parts[feature.name] for feature in features}


def _part(rows: pa.Table, feature: Feature) -> pa.ChunkedArray:
    """Any feature that is no ratio."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if feature.kind == "window":
        values = rows[OVER + feature.name]
        if feature.empty is not None:
            return values
        return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    if feature.kind == "calendar":
        return pa.chunked_array([_CALENDAR[feature.name](micros(rows))]).cast("int32")
    column = rows[feature.column]
    if feature.kind == "same":
        return pc.equal(column, rows[feature.other]).cast("int32")
    return column if feature.kind == "category" else _doubles(column)


_CALENDAR = {
    "night": lambda time: time % _DAY // _HOUR <= 6,
    "weekend": lambda time: (time // _DAY + 3) % 7 >= 5,  # 1970 began on a Thursday
}


def _doubles(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as the nearest doubles."""
    import numpy as np
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column.cast("float64", safe=False)
    units, scale = _minor_units(column)
    values = units / scale
    # Beyond 2⁵³ a quotient of two doubles is rounded twice; Python's of two integers once.
    large = np.flatnonzero(np.abs(units) > 2**53)
    values[large] = [unit / scale for unit in units[large].tolist()]
    return pa.chunked_array([pa.array(values, mask=column.is_null().to_numpy())])


def _ratio(above: pa.ChunkedArray, below: pa.ChunkedArray, empty: float | None) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa

    one, other = (part.cast("float64", safe=False).to_numpy() for part in (above, below))
    divides = ~np.isnan(one) & ~np.isnan(other) & (other != 0)
    result = np.divide(one, other, out=np.full(len(one), empty or 0.0), where=divides)
    return pa.chunked_array([pa.array(result, mask=~divides if empty is None else None)])
