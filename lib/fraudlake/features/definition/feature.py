"""One feature, resolved: what the kernels, the Spark plan and the oracle are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

Kind = Literal["column", "category", "same", "calendar", "window", "ratio"]
OperationName = Literal[
    "count",
    "sum",
    "mean",
    "std",
    "min",
    "max",
    "distinct",
    "rate",
    "age",
    "since",
    "last",
    "decay",
    "ratio",
    "zscore",
    "speed",
    "time_of_day",
]
OPERATIONS: tuple[str, ...] = get_args(OperationName)
# What they compute needs no column; the others name one (speed two).
WITHOUT_COLUMN = ("count", "age", "since", "time_of_day")
# They hold the transaction against its window, so it may not be in it.
COMPARING = ("since", "ratio", "zscore", "speed", "time_of_day")
LABEL = "fraud"


@dataclass(frozen=True)
class Feature:
    """One feature: one column of the table `features`.

    Attributes
    ----------
    name
        Name of its column.
    kind
        `column` (as is), `category` (text as is, for models to encode), `same` (whether two columns
        are equal), `calendar`, `window` (over the events of an entity), or `ratio` (of two other
        features).
    column
        The column taken as is or used by the operation; `fraud` for a rate; latitude for a speed;
        the numerator of a ratio; empty where there is none.
    entity, operation, window, delay, current, empty
        Of a window feature; lengths of time in microseconds. A combination of entities is their
        names with commas between them. `empty` None: null.
    ties
        Whether earlier transactions (by `tx_id`) of the very same instant count.
    half_life
        Of a decay, in microseconds.
    nth
        Of a last value: 1 for the latest, 2 for the one before, and so on.
    other
        Longitude for a speed; the denominator of a ratio; the second of two equal columns.
    """

    name: str
    kind: Kind
    column: str = ""
    entity: str = ""
    operation: OperationName | None = None
    window: int = 0
    delay: int = 0
    current: bool = True
    empty: float | None = 0.0
    # Fields added later; a definition that leaves them alone keeps its hash.
    ties: bool = True
    half_life: int = 0
    nth: int = 0
    other: str = ""

    @property
    def sql_type(self) -> str:
        if self.operation in ("count", "distinct"):
            return "bigint"
        own = {"category": "string", "same": "int", "calendar": "int"}
        return own.get(self.kind, "double")

    @property
    def over_labels(self) -> bool:
        return self.operation == "rate"

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities it is over: none, one, or a combination."""
        return tuple(self.entity.split(",")) if self.entity else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a transaction whose values it uses (its entities' columns aside)."""
        alone = self.kind in ("column", "category", "same")
        if alone or (self.kind == "window" and not self.over_labels):
            return tuple(column for column in (self.column, self.other) if column)
        return ()

    def content(self) -> dict[str, Any]:
        """What the definition's hash covers."""
        first = [field.name for field in fields(self)][:9]
        default = {field.name: field.default for field in fields(self)}
        return {k: v for k, v in asdict(self).items() if k in first or v != default[k]}

    def keys(self, entities: Mapping[str, str]) -> list[str]:
        """Columns that hold its entity's key; see `key_columns`."""
        return key_columns(self.entity, entities) if self.entity else []


def key_columns(entity: str, entities: Mapping[str, str]) -> list[str]:
    """Columns that hold the key of an entity or of a combination of entities.

    Parameters
    ----------
    entity
        As in `Feature.entity`.
    entities
        Declared entity → its column; other names are columns themselves.

    Examples
    --------
    >>> key_columns("card,country", {"card": "card_id"})
    ['card_id', 'country']
    """
    return [entities.get(name, name) for name in entity.split(",")]
