"""An entity's windows over what is remembered of it: transactions in, with its features out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from fraudlake.features.feature import Feature, Input
from fraudlake.features.rows import OVER, columns_of, events_of, key_of, put
from fraudlake.features.stages import Stage
from fraudlake.features.state.stores import StoreTask

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from fraudlake.features.kernels.events import Events
    from fraudlake.features.state.points import Keys
    from fraudlake.features.state.sorted_runs import Batch, Run


@dataclass(frozen=True)
class WindowsTask(StoreTask):
    """On a partition: an entity's windows at new events, and the run that they become.

    Attributes
    ----------
    answers
        Whether the events are to be answered, or only remembered.
    """

    stage: Stage
    answers: bool

    def _on(self, partition: int, rows: pa.Table | None) -> Iterator[pa.RecordBatch]:
        from fraudlake.features.state import sorted_runs

        runs = [sorted_runs.Run(arrays) for arrays in self.runs.read(partition)]
        if rows is None:
            self.runs.write(partition, {})
            return
        keys, features = self.stage.exchange.keys, self.stage.features
        keyed, keyless = _by_key(rows, keys)
        batch, keyed = batch_of(keyed, keys, features)
        own = sorted_runs.run_of(batch, features)
        self.runs.write(partition, own.arrays)
        if self.answers:
            found = sorted_runs.answer(batch, own, runs, features)
            yield from self.stage.batches(_joined(keyed, keyless, found, features))


def windows_of_each(
    rows: pa.Table, keys: Sequence[str], features: Sequence[Feature], runs: Sequence[Run]
) -> pa.Table:
    """An entity's windows at transactions that do not count for each other; nothing is written.

    Parameters
    ----------
    keys
        Columns that hold the entity's key.
    runs
        Of all partitions. A transaction that is in them already counts once.

    Returns
    -------
    pyarrow.Table
        The rows, in an order of their own, and the features (`rows.OVER`).
    """
    from fraudlake.features.state import sorted_runs

    keyed, keyless = _by_key(rows, keys)
    batch, keyed = batch_of(keyed, keys, features, each_for_itself=True)
    own = sorted_runs.run_of(batch, features)
    return _joined(keyed, keyless, sorted_runs.answer(batch, own, runs, features), features)


def _by_key(rows: pa.Table, keys: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    """Rows that have a key, and those that have none."""
    import pyarrow.compute as pc

    there = key_of(rows, keys).is_valid()
    return rows.filter(there), rows.filter(pc.invert(there))


def _joined(
    keyed: pa.Table, keyless: pa.Table, found: Mapping[str, NDArray], features: Sequence[Feature]
) -> pa.Table:
    """Rows and their features; those without a key have a feature's empty value."""
    import numpy as np
    import pyarrow as pa

    out = pa.concat_tables([keyed, keyless])
    for feature in features:
        values = found[feature.name]
        nothing = np.full(len(keyless), feature.empty_or_nan, dtype=values.dtype)
        out = put(out, OVER + feature.name, np.concatenate((values, nothing)))
    return out


def batch_of(
    rows: pa.Table, keys: Sequence[str], features: Sequence[Feature], each_for_itself: bool = False
) -> tuple[Batch, pa.Table]:
    """Rows with a key, as the kernels take them, and in that order."""
    import numpy as np
    import pyarrow as pa

    from fraudlake.features.state.sorted_runs import Batch

    number_of = _one_each if each_for_itself else distinct
    found, number = number_of(key_array(key_of(rows, keys)))
    tx_id = rows["tx_id"].to_numpy()
    order = np.lexsort((tx_id, rows["event_time"].cast("int64").to_numpy(), number))
    rows = rows.take(pa.array(order))
    events = events_of(rows, number[order], features)
    missing = {name: np.zeros(len(rows), bool) for name in events.values}
    events = replace(events, missing=missing | dict(events.missing))
    return Batch(found, events, tx_id[order], _raw(rows, events, features)), rows


def distinct(values: Keys) -> tuple[Any, NDArray[np.int64]]:
    """Different keys, rising, and the position of each value among them."""
    import numpy as np

    return np.unique(values, return_inverse=True)


def _one_each(values: Keys) -> tuple[Any, NDArray[np.int64]]:
    import numpy as np

    order = np.argsort(values, kind="stable")
    number = np.empty(len(values), np.int64)
    number[order] = np.arange(len(values))
    return values[order], number


def _raw(rows: pa.Table, events: Events, features: Sequence[Feature]) -> dict[str, NDArray]:
    """What is kept of each event for features that need it as it is, because they do not add."""
    asked = [feature for feature in features if feature.sums is None]
    raw: dict[str, NDArray] = {}
    for name in columns_of(asked, Input.VALUE):
        raw[f"codes/{name}"] = key_array(rows[name])
        raw[f"absent/{name}"] = rows[name].is_null().to_numpy()
    for name in columns_of(asked, Input.PLACE):
        raw[f"degrees/{name}"] = events.degrees[name]
    for name in columns_of(asked, Input.NUMBER):
        raw[f"values/{name}"] = events.values[name]
        raw[f"missing/{name}"] = events.missing[name]
    return raw


def key_array(column: pa.ChunkedArray) -> Keys:
    """Values that are only told apart, as 64-bit integers or bytes; null becomes 0 or nothing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_boolean(kind):
        whole = column.cast("int64") if not pa.types.is_boolean(kind) else column.cast("int8")
        return pc.fill_null(whole, 0).to_numpy().astype(np.int64)
    texts = pc.fill_null(column.cast("string"), "").cast("binary")
    # NumPy's byte strings end before their last zero bytes.
    return np.array([text + b"." for text in texts.to_pylist()], dtype=np.bytes_)
