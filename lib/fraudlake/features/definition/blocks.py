"""The blocks of `conf/features/NAME.yaml`, each resolved to single features."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from fraudlake import instants
from fraudlake.errors import ConfigError
from fraudlake.features.feature import Feature, Input, Operation
from fraudlake.features.operations import OPERATIONS

_CENTURY = timedelta(days=36500)
_MICRO = timedelta(microseconds=1)
_HALF_LIVES = 32
_Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnBlock(_Block):
    """A numeric column of the transaction, as is."""

    column: str

    def resolve(self) -> list[Feature]:
        """The one feature that it declares."""
        return [Feature(self.column, "column", column=self.column)]


class CategoryBlock(_Block):
    """A column of text, as is; a model turns it into numbers that it learned in training."""

    category: str

    def resolve(self) -> list[Feature]:
        """The one feature that it declares."""
        return [Feature(self.category, "category", column=self.category)]


class SameBlock(_Block):
    """1 where two columns are equal, 0 where they differ, null where one is missing."""

    same: tuple[str, str]

    def resolve(self) -> list[Feature]:
        """The one feature that it declares."""
        one, other = self.same
        return [Feature(f"same_{one}_{other}", "same", column=one, other=other)]


class CalendarBlock(_Block):
    """`weekend`: Saturday or Sunday; `night`: hour 0 to 6. Both in UTC."""

    calendar: Literal["weekend", "night"]

    def resolve(self) -> list[Feature]:
        """The one feature that it declares."""
        return [Feature(self.calendar, "calendar")]


class RatioBlock(_Block):
    """One feature of the set divided by another: `ratio: [card_count_1d, card_count_30d]`."""

    ratio: tuple[str, str]
    empty: float | None = Field(
        0.0, allow_inf_nan=False, description="value where the second is 0 or one of them is null"
    )

    def resolve(self) -> list[Feature]:
        """The one feature that it declares."""
        above, below = self.ratio
        name = f"{above}_over_{below}"
        return [Feature(name, "ratio", column=above, other=below, empty=self.empty)]


def _is_alone(operation: Operation) -> bool:
    """Whether a definition says no more than its name."""
    return operation.input.columns == 0 and not operation.word


# What is said beside an operation, and an example of each.
_EXAMPLES = {"half_life": "6h", "k": "3"}


class OperationEntry(_Block):
    """`count`, or one operation and its column: `mean: amount`, `rate: fraud`, `distinct: country`.

    A decay also says its half-life, `{decay: amount, half_life: 6h}`; last values how many,
    `{last: amount, k: 3}`; a speed names two columns, `speed: [latitude, longitude]`.
    """

    name: str
    column: str = ""
    other: str = ""
    half_life: Annotated[instants.Duration, Field(gt=timedelta(0))] | None = None
    k: int | None = Field(None, ge=1, le=100)

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str) and value in OPERATIONS and _is_alone(OPERATIONS[value]):
            return {"name": value}
        operations = [key for key in value if key in OPERATIONS] if isinstance(value, dict) else []
        if len(operations) != 1:
            alone = [name for name, operation in OPERATIONS.items() if _is_alone(operation)]
            others = sorted({*OPERATIONS} - {*alone})
            raise ValueError(
                f"{', '.join(alone)}, or one operation and its column such as {{mean: amount}}: "
                f"one of {', '.join(others)}"
            )
        name, rest = operations[0], {key: v for key, v in value.items() if key not in operations}
        column = value[name]
        if OPERATIONS[name].input.columns == 2:
            if not (isinstance(column, list) and len(column) == 2):
                raise ValueError(f"{name} with two columns, {name}: [latitude, longitude]")
            return {"name": name, "column": column[0], "other": column[1], **rest}
        return {"name": name, "column": column, **rest}

    @model_validator(mode="after")
    def _fits(self) -> OperationEntry:
        problems, operation = [], self.operation
        if _is_alone(operation) and self.column:
            problems.append(
                f"got {self.name} of {self.column!r}, expected {self.name} without a column"
            )
        if not _is_alone(operation) and not self.column:
            problems.append(f"got {self.name} of nothing, expected a column")
        if operation.word and self.column not in ("", operation.word):
            problems.append(
                f"got {self.name} of {self.column!r}, expected {self.name} of {operation.word}, "
                "the label"
            )
        for key, example in _EXAMPLES.items():
            needed = operation.parameter == key
            if (getattr(self, key) is not None) != needed:
                takes = [o.name for o in OPERATIONS.values() if o.parameter == key]
                problems.append(
                    f"got {self.name} {'without' if needed else 'with'} {key}, expected {key} with "
                    f"{', '.join(takes)} and nothing else, such as "
                    f"{{{takes[0]}: amount, {key}: {example}}}"
                )
        if problems:
            raise ConfigError(problems)
        return self

    @property
    def operation(self) -> Operation:
        """What it is an entry of."""
        return OPERATIONS[self.name]

    def parts(self) -> list[tuple[str, int]]:
        """Words for the feature's name, and which last value it is: one pair for each feature."""
        if self.k:
            return [(f"{self.name}{nth}", nth) for nth in range(1, self.k + 1)]
        if self.half_life:
            return [(f"{self.name}{instants.format_duration(self.half_life)}", 0)]
        return [(self.name, 0)]


class WindowBlock(_Block):
    """Operations over the recent events of an entity: one feature for each window and operation.

    At a transaction at t a window of length w with delay d holds the entity's events in
    (t − d − w, t − d]; without a delay it ends with the transaction itself.
    """

    entity: Annotated[
        tuple[_Name, ...], BeforeValidator(lambda e: (e,) if isinstance(e, str) else e)
    ] = Field(min_length=1)
    operations: tuple[OperationEntry, ...] = Field(min_length=1)
    windows: tuple[Annotated[instants.Duration, Field(gt=timedelta(0), le=_CENTURY)], ...] = Field(
        min_length=1
    )
    delay: Annotated[instants.Duration, Field(le=_CENTURY)] = timedelta(0)
    current: bool = Field(True, description="whether the transaction itself counts")
    ties: bool = Field(True, description="whether earlier ones of the same instant count")
    empty: float | None = Field(
        0.0, allow_inf_nan=False, description="value of all but counts where nothing is in it"
    )

    @field_validator("current", "ties")
    @classmethod
    def _row_is_in_question(cls, value: bool, info: Any) -> bool:
        if not value and info.data.get("delay"):
            raise ValueError(
                f"no `{info.field_name}` beside a delay: the transaction's own instant is never "
                "in it"
            )
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> WindowBlock:
        problems = []
        if len({*self.entity}) < len(self.entity):
            problems.append(f"got entity [{', '.join(self.entity)}], expected each name once")
        if not self.delay:
            problems += [
                f"got {' of '.join(filter(None, (o.name, o.column)))} without a delay, expected a "
                "delay of at least the data set's label delay: whether a transaction is fraud is "
                "not known when it is made"
                for o in self.operations
                if o.operation.input is Input.LABELS
            ]
        if not self.ties and self.current:
            problems.append(
                "got ties: false with the transaction itself, expected current: false beside it: "
                "nothing of its instant counts then"
            )
        if self.current and not self.delay:
            problems += [
                f"got {o.name} over a window that holds the transaction itself, expected "
                "current: false: it would be compared with itself"
                for o in self.operations
                if o.operation.compares
            ]
        problems += [
            f"got a window of {instants.format_duration(window)} with a half-life of "
            f"{instants.format_duration(o.half_life)}, expected at most {_HALF_LIVES} half-lives: "
            "what is older weighs nothing"
            for o in self.operations
            for window in self.windows
            if o.half_life and window > _HALF_LIVES * o.half_life
        ]
        if problems:
            raise ConfigError(problems)
        return self

    def resolve(self) -> list[Feature]:
        """One feature for each window, operation and last value, in this order."""
        return [
            self._feature(window, operation, word, nth)
            for window in self.windows
            for operation in self.operations
            for word, nth in operation.parts()
        ]

    def _feature(
        self, window: timedelta, operation: OperationEntry, word: str, nth: int
    ) -> Feature:
        column = "" if operation.other else operation.column
        parts = [*self.entity, word, column, instants.format_duration(window)]
        if self.delay:
            parts.append(f"delay{instants.format_duration(self.delay)}")
        return Feature(
            "_".join(part for part in parts if part),
            "window",
            column=operation.column,
            entity=",".join(self.entity),
            operation=operation.operation,
            window=window // _MICRO,
            delay=self.delay // _MICRO,
            current=self.current,
            empty=0.0 if operation.operation.sql_type == "bigint" else self.empty,
            ties=self.ties,
            half_life=(operation.half_life or timedelta(0)) // _MICRO,
            nth=nth,
            other=operation.other,
        )


_ALONE = ("column", "category", "same", "calendar", "ratio")


def _kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else ()
    return next((kind for kind in _ALONE if kind in keys), "window")


Block = Annotated[
    Annotated[ColumnBlock, Tag("column")]
    | Annotated[CategoryBlock, Tag("category")]
    | Annotated[SameBlock, Tag("same")]
    | Annotated[CalendarBlock, Tag("calendar")]
    | Annotated[RatioBlock, Tag("ratio")]
    | Annotated[WindowBlock, Tag("window")],
    Discriminator(_kind),
]
