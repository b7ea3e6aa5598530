"""Columns between a feature set and the kernels: what windows take, and what comes of it.

Used by the batch plan (`batch.compute`) and by that of a micro-batch (`state.micro_batch`) alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fraudlake.features.feature import Feature, Input

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import Column, DataFrame

# Features of a transaction by itself, computed before its windows; label changes.
AS_IS, CHANGES = "_as_is_", "_changes"
# Columns as the kernels take them: minor units, values to tell apart, degrees.
SUM, VALUE, DEGREES = "_sum_", "_value_", "_degrees_"


def window_inputs(rows: DataFrame, features: Sequence[Feature]) -> dict[str, Column]:
    """Columns that one entity's windows take from the transactions, its keys aside."""
    from pyspark.sql import functions as F

    needs, scale = {}, scales(rows, features)
    for feature in features:
        for name in feature.columns:
            if feature.input is Input.VALUE:
                needs[VALUE + name] = F.col(name)
            elif feature.input is Input.PLACE:
                needs[DEGREES + name] = F.col(name)
            else:
                needs[SUM + name] = (F.col(name) * scale[name]).cast("bigint")
    return needs


def scales(rows: DataFrame, features: Sequence[Feature]) -> dict[str, int]:
    """Column taken as a number → how many minor units make one: 100 for decimal(18,2)."""
    return {
        name: 10 ** getattr(rows.schema[name].dataType, "scale", 0)
        for feature in features
        if feature.input is Input.NUMBER
        for name in feature.columns
    }


def as_is(feature: Feature) -> Column:
    """A feature of the transaction by itself, from the columns it came with."""
    from pyspark.sql import functions as F

    if feature.kind == "same":
        return (F.col(feature.column) == F.col(feature.other)).cast("int")
    return F.col(feature.column).cast(feature.sql_type)


def finished(feature: Feature) -> Column:
    from pyspark.sql import functions as F

    if feature.kind in ("column", "category", "same"):
        return F.col(AS_IS + feature.name)
    if feature.kind == "ratio":
        # A window without a value is NaN here still.
        above, below = (
            F.nanvl(F.col(name).cast("double"), F.lit(None))
            for name in (feature.column, feature.other)
        )
        return F.coalesce(above / F.nullif(below, F.lit(0.0)), F.lit(feature.empty))
    if feature.kind == "calendar":
        said = {"weekend": F.weekday("event_time") >= 5, "night": F.hour("event_time") <= 6}
        return said[feature.name].cast("int")
    if feature.empty is None:
        return F.nanvl(F.col(feature.name), F.lit(None))
    return F.col(feature.name)


def arrays_of(table: pa.Table) -> dict:
    """The columns that operations use, as `Events` takes them."""
    import pyarrow.compute as pc

    inputs: dict[str, dict[str, NDArray]] = {
        "values": {},
        "missing": {},
        "codes": {},
        "degrees": {},
    }
    for name in table.column_names:
        column = table[name]
        if name.startswith(SUM):
            inputs["values"][name.removeprefix(SUM)] = pc.fill_null(column, 0).to_numpy()
            if column.null_count:
                inputs["missing"][name.removeprefix(SUM)] = column.is_null().to_numpy()
        elif name.startswith(VALUE):
            codes = column.combine_chunks().dictionary_encode().indices
            inputs["codes"][name.removeprefix(VALUE)] = pc.fill_null(codes, -1).to_numpy()
        elif name.startswith(DEGREES):
            inputs["degrees"][name.removeprefix(DEGREES)] = column.to_numpy()
    return inputs


def changes_of(table: pa.Table) -> dict:
    """The partition's label changes as arrays; signs alternate from +1 within a transaction."""
    import numpy as np
    import pyarrow.compute as pc

    if CHANGES not in table.column_names:
        return {}
    lists = table[CHANGES]
    event = pc.list_parent_indices(lists).to_numpy()
    first = np.searchsorted(event, event)
    return {
        "change_event": event,
        "change_time": pc.list_flatten(lists).to_numpy(),
        "change_value": 1 - 2 * ((np.arange(len(event)) - first) % 2),
    }
