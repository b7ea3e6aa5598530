"""One feature, resolved, and what an operation over windows is: what all plans are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from fractions import Fraction
from typing import Any, Literal

from fraudlake.features.kernels.events import PrefixSum, Values, Windows

Kind = Literal["column", "category", "same", "calendar", "window", "ratio"]
Row = Mapping[str, Any]
LABEL = "fraud"
NUMBERS = ("decimal(18,2)", "bigint", "int")  # what is added exactly
# Kind → SQL types of the columns that it takes, for features of a transaction by itself.
_TYPES: Mapping[str, tuple[str, ...]] = {
    "column": (*NUMBERS, "double", "boolean"),
    "category": ("string",),
    "same": ("string", "bigint", "int"),
}


class Input(Enum):
    """What an operation takes of each event, beside its time; the SQL types of its columns."""

    TIME = ()
    NUMBER = NUMBERS  # a column in minor units
    VALUE = (*NUMBERS, "string", "boolean", "timestamp")  # a column whose values are told apart
    PLACE = ("double",)  # two columns, latitude and longitude in degrees
    LABELS = (LABEL,)  # what was known to be fraud when

    @property
    def columns(self) -> int:
        """How many columns a feature names."""
        return {Input.TIME: 0, Input.LABELS: 0, Input.PLACE: 2}.get(self, 1)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """An operation over the events of a window: everything that is to be said of it.

    It stands in a module of `operations`, and all else follows from it: what a definition may say,
    a feature's type, words and cost, the plans of batch and stream, the check by the oracle.

    Attributes
    ----------
    name
        As a definition says it, and as features are named by it.
    meaning
        What it is of the events in the window, in words ({c}: its column, {o}: the second column,
        {n}: which of the last values, {h}: the half-life).
    says
        A value of it in words, for an analyst (`definition.sentence`): beside the above {v}: the
        value, {e}: the entity, {w}: the window. Left out: the meaning and the value.
    input
        What it takes of the events.
    word
        What a definition says in the place of a column, where it takes none: `rate: fraud`.
    parameter
        The further word that a definition must say: `half_life`, or `k` for as many features.
    compares
        Whether it holds the transaction against its window, so that it may not be in it.
    sql_type
        Of its values; `bigint` for counts, which are 0 where there is nothing.
    bytes_an_event
        What the kernel keeps for each event: the column and what is made of it.
    searches
        Binary searches for a transaction beside those for the ends of its window.
    sums
        Prefix sums over the events that are all it takes; `()`: the window's ends are; None: it
        takes the events themselves.
    kernel
        Windows of one rule at many transactions → values; `Feature.empty_or_nan` for nothing.
    plain
        The same said once more, as plainly as Python can, with no arithmetic in common; None for
        nothing.
    exact
        Whether both are equal to the bit, or only close.
    """

    name: str
    meaning: str
    says: str = ""
    input: Input
    word: str = ""
    parameter: Literal["half_life", "k"] | None = None
    compares: bool
    sql_type: Literal["bigint", "double"]
    bytes_an_event: int
    searches: Callable[[Feature], int] | None = None
    sums: tuple[PrefixSum, ...] | None
    kernel: Callable[[Windows, Feature], Values]
    plain: Callable[[Question], Fraction | float | None]
    exact: bool


def is_missing(value: Any) -> bool:
    """Whether there is no value: null, or NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


@dataclass(frozen=True)
class Question:
    """What a plain definition is asked.

    Attributes
    ----------
    feature, row
        The feature and the transaction.
    events
        Transactions in its window, the oldest first.
    frauds
        Whether each of them was known to be fraud when the transaction was made.
    """

    feature: Feature
    row: Row
    events: Sequence[Row]
    frauds: Sequence[bool]

    @property
    def own(self) -> Fraction | None:
        """The transaction's own value."""
        value = self.row[self.feature.column]
        return None if value is None else Fraction(value)

    @property
    def values(self) -> list[Fraction]:
        """Those of the events that have one."""
        column = self.feature.column
        return [Fraction(e[column]) for e in self.events if e[column] is not None]


@dataclass(frozen=True)
class Feature:
    """One feature: one column of the table `features`.

    Attributes
    ----------
    name
        Name of its column.
    kind
        `column` (as is), `category` (text as is, for models to encode), `same` (whether two columns
        are equal), `calendar` (named by what it says), `window` (over the events of an entity), or
        `ratio` (of two other features).
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
    operation: Operation | None = None
    window: int = 0
    delay: int = 0
    current: bool = True
    empty: float | None = 0.0
    ties: bool = True
    half_life: int = 0
    nth: int = 0
    other: str = ""

    @property
    def sql_type(self) -> str:
        """Of its column in the table `features`."""
        if self.operation:
            return self.operation.sql_type
        types = {"category": "string", "same": "int", "calendar": "int"}
        return types.get(self.kind, "double")

    @property
    def rule(self) -> tuple[int, int, bool, bool]:
        """What its windows hold: features of one entity and rule have the same ones."""
        return self.window, self.delay, self.current, self.ties

    @property
    def empty_or_nan(self) -> float:
        """Its value where there is nothing to compute; NaN for null."""
        return math.nan if self.empty is None else self.empty

    @property
    def input(self) -> Input | None:
        """What it takes of the events in its window; None where it has none."""
        return self.operation.input if self.operation else None

    @property
    def over_labels(self) -> bool:
        """Whether it takes what labels say."""
        return self.input is Input.LABELS

    @property
    def sums(self) -> tuple[PrefixSum, ...] | None:
        """Prefix sums that are all it takes; None where it takes more."""
        return self.operation.sums if self.operation else None

    @property
    def entities(self) -> tuple[str, ...]:
        """The entities it is over: none, one, or a combination."""
        return tuple(self.entity.split(",")) if self.entity else ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of a transaction whose values it uses (its entities' columns aside)."""
        takes_columns = self.input.columns > 0 if self.input else self.kind in _TYPES
        return (
            tuple(column for column in (self.column, self.other) if column) if takes_columns else ()
        )

    @property
    def column_types(self) -> tuple[str, ...]:
        """SQL types that its columns may have."""
        return self.input.value if self.input else _TYPES[self.kind]

    def content(self) -> dict[str, Any]:
        """What the definition's hash covers: most fields always, others only where they are set.

        A field that is added is covered where it is set, so that earlier definitions keep their
        hash; its name and its default must stay.
        """
        always = {
            *("name", "kind", "column", "entity", "operation"),
            *("window", "delay", "current", "empty"),
        }
        operation = self.operation.name if self.operation else None
        values = {f.name: getattr(self, f.name) for f in fields(self)} | {"operation": operation}
        default = {field.name: field.default for field in fields(self)}
        return {k: v for k, v in values.items() if k in always or v != default[k]}

    def over(self, windows: Windows) -> Values:
        """Its values over windows of its own rule.

        Raises
        ------
        TypeError
            It is no feature over a window.
        """
        if self.operation is None:
            raise TypeError(f"{self.name}: got kind {self.kind}, expected a window feature")
        return self.operation.kernel(windows, self)

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


def reach_of(features: Sequence[Feature]) -> int:
    """How long before a row its windows begin: the largest delay + window, in microseconds."""
    return max(f.delay + f.window for f in features)
