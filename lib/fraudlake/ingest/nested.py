"""Fields of nested records: paths, envelopes, arrays that become records.

JSON is a map of variants, rows of files with columns are structs; both give the same fields as
text. A field whose own name is a path comes before what the path leads to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from fraudlake import layout

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import DataType, StructType

    from fraudlake.feeds import Feed


def rooted(name: str) -> tuple[bool, str]:
    """Whether a field is looked for in the whole message, and its name or path there."""
    return name.startswith(layout.ROOT), name.removeprefix(layout.ROOT)


def heads(dataset: Feed) -> list[str]:
    """Names that a payment's own fields may have and be known: whole, in part, or ignored."""
    whole = dataset.record is None or dataset.record.path is None
    known: list[str] = []
    for name in (*dataset.raw_fields(), *dataset.ignore):
        in_message, path = rooted(name)
        if whole or not in_message:
            known += [path, *(str(step) for step in layout.steps(path)[:1])]
    return list(dict.fromkeys(known))


def passed(fields: Column, dataset: Feed, there: Column | None = None) -> Column:
    """True for records that are no payments, by what the data set's `where` says.

    Parameters
    ----------
    there
        Whether the message has a payment: if not, what is asked of that cannot be answered.
    """
    from pyspark.sql import functions as F

    of_message, of_payment = F.lit(True), F.lit(True)
    for name, values in (dataset.record.where if dataset.record else {}).items():
        holds = F.coalesce(F.btrim(fields[name]).isin(list(values)), F.lit(False))
        if rooted(name)[0]:
            of_message &= holds
        else:
            of_payment &= holds
    other = ~of_payment if there is None else there & ~of_payment
    return ~of_message | other


def in_map(values: Column, name: str) -> Column:
    """A field of a map of variants, as text; null where there is none."""
    from pyspark.sql import functions as F

    flat, keys = F.try_element_at(values, F.lit(name)).cast("string"), layout.steps(name)
    return flat if len(keys) < 2 else F.coalesce(flat, _in_map(values, keys, "string"))


def in_struct(value: Column | None, kind: StructType, name: str) -> tuple[Column, DataType] | None:
    """A field of a struct (None: of the row itself) and its type; None where there is none."""
    return _walk(value, kind, [name]) or _walk(value, kind, layout.steps(name))


def open_maps(rows: DataFrame, message: Column, dataset: Feed) -> DataFrame:
    """Messages that are maps of variants with their payments: a row for each that an array holds.

    Text that is JSON counts as what it says.

    Returns
    -------
    DataFrame
        Further columns: `payment`, a map of variants, and `nothing`, true where an array is empty.
    """
    from pyspark.sql import functions as F

    def read_as(kind: str) -> Callable[[Column], Column]:
        def read(value: Column) -> Column:
            said = F.try_parse_json(value.cast("string"))
            parts = [F.try_variant_get(v, "$", kind) for v in (value, said)]
            return F.coalesce(*parts)

        return read

    first, *others = dataset.record.parts() if dataset.record else []
    value = _in_map(message, first)
    nothing = F.lit(False)
    for number, part in enumerate(others):
        rows, nothing = _exploded(rows, read_as("array<variant>")(value), nothing, number)
        value = _within(F.col(f"_element{number}"), part)
    payment = read_as("map<string, variant>")(value)
    return rows.select("*", payment.alias("payment"), nothing.alias("nothing"))


def open_structs(rows: DataFrame, kind: StructType, dataset: Feed) -> DataFrame | None:
    """As `open_maps`, of structs in a column `message`; None where no column has the path."""
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, StructType

    first, *others = dataset.record.parts() if dataset.record else []
    found = _walk(F.col("message"), kind, first)
    nothing = F.lit(False)
    for number, part in enumerate(others):
        if found is None or not isinstance(found[1], ArrayType):
            return None
        rows, nothing = _exploded(rows, found[0], nothing, number)
        found = _walk(F.col(f"_element{number}"), found[1].elementType, part)
    if found is None or not isinstance(found[1], StructType):
        return None
    return rows.select("*", found[0].alias("payment"), nothing.alias("nothing"))


def _exploded(
    rows: DataFrame, items: Column, nothing: Column, number: int
) -> tuple[DataFrame, Column]:
    from pyspark.sql import functions as F

    rows = rows.withColumn(f"_items{number}", items)
    empty = F.coalesce(F.size(f"_items{number}") == 0, F.lit(False))
    rows = rows.withColumn(f"_empty{number}", nothing | empty)
    rows = rows.select("*", F.explode_outer(f"_items{number}").alias(f"_element{number}"))
    return rows.drop(f"_items{number}"), F.col(f"_empty{number}")


def _walk(
    value: Column | None, kind: DataType, keys: list[str | int]
) -> tuple[Column, DataType] | None:
    from pyspark.sql import functions as F
    from pyspark.sql.types import ArrayType, MapType, StructType

    for key in keys:
        if isinstance(kind, StructType) and key in kind.names:
            value = F.col(escaped(str(key))) if value is None else value[key]
            kind = kind[str(key)].dataType
        elif value is not None and isinstance(kind, MapType) and isinstance(key, str):
            value, kind = F.try_element_at(value, F.lit(key)), kind.valueType
        elif value is not None and isinstance(kind, ArrayType) and isinstance(key, int):
            value, kind = F.get(value, F.lit(key)), kind.elementType
        else:
            return None
    return None if value is None else (value, kind)


def escaped(name: str) -> str:
    """A column's name that is read as one, whatever is in it."""
    return "`" + name.replace("`", "``") + "`"


def _in_map(values: Column, keys: list[str | int], kind: str = "variant") -> Column:
    from pyspark.sql import functions as F

    return _within(F.try_element_at(values, F.lit(keys[0])), keys[1:], kind)


def _within(value: Column, keys: list[str | int], kind: str = "variant") -> Column:
    """What a variant holds further inside; null where it does not."""
    from pyspark.sql import functions as F

    steps = [f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys]
    return F.try_variant_get(value, "".join(["$", *steps]), kind) if steps else value
