"""What a feature is: the content of `conf/features/NAME.yaml`, resolved to single features."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from fraudlake import options, resources
from fraudlake.errors import ConfigError
from fraudlake.job import explain

if TYPE_CHECKING:
    from fraudlake.datasets import Dataset

# Part of every definition's hash: raise it when a kernel gives other values for equal definitions.
KERNEL_VERSION = 1

LABEL = "fraud"
_SUMMABLE = ("decimal(18,2)", "bigint", "int")
_NUMERIC = (*_SUMMABLE, "double", "boolean")
_KEYS = ("bigint", "int", "string")
_RESERVED = ("tx_id", "event_time", "definition")
_CENTURY = timedelta(days=36500)


@dataclass(frozen=True)
class Feature:
    """One feature: one column of the table `features`.

    Attributes
    ----------
    name, sql_type
        Name and type of its column.
    kind
        `column` (as is), `calendar`, or `window` (over the events of an entity).
    column
        The column taken as is or summed; `fraud` for a rate; empty where there is none.
    entity, operation, window, delay, current, empty
        Of a window feature; lengths of time in microseconds.
    """

    name: str
    kind: Literal["column", "calendar", "window"]
    column: str = ""
    entity: str = ""
    operation: Literal["count", "sum", "mean", "rate"] | None = None
    window: int = 0
    delay: int = 0
    current: bool = True
    empty: float = 0.0

    @property
    def sql_type(self) -> str:
        if self.operation == "count":
            return "bigint"
        return "int" if self.kind == "calendar" else "double"

    @property
    def over_labels(self) -> bool:
        return self.operation == "rate"


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnBlock(_Block):
    """A numeric column of the transaction, as is."""

    column: str

    def resolve(self) -> list[Feature]:
        return [Feature(self.column, "column", column=self.column)]


class CalendarBlock(_Block):
    """`weekend`: Saturday or Sunday; `night`: hour 0 to 6. Both in UTC."""

    calendar: Literal["weekend", "night"]

    def resolve(self) -> list[Feature]:
        return [Feature(self.calendar, "calendar")]


class Operation(_Block):
    """`count`, or one operation and its column: `sum: amount`, `mean: amount`, `rate: fraud`."""

    name: Literal["count", "sum", "mean", "rate"]
    column: str = ""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, dict) and len(value) == 1 and "name" not in value:
            return dict(zip(("name", "column"), next(iter(value.items())), strict=True))
        if value == "count":
            return {"name": value}
        raise ValueError("count, or one operation and its column such as {mean: amount}")

    @model_validator(mode="after")
    def _column_fits(self) -> Operation:
        if self.name == "count" and self.column:
            raise ConfigError([f"got count of {self.column!r}, expected count without a column"])
        if self.name != "count" and not self.column:
            raise ConfigError([f"got {self.name} of nothing, expected a column"])
        if self.name == "rate" and self.column != LABEL:
            raise ConfigError([f"got rate of {self.column!r}, expected rate of {LABEL}, the label"])
        return self


class WindowBlock(_Block):
    """Operations over the recent events of an entity: one feature for each window and operation.

    At a transaction at t a window of length w with delay d holds the entity's events in
    (t − d − w, t − d]; without a delay it ends with the transaction itself.
    """

    entity: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    operations: tuple[Operation, ...] = Field(min_length=1)
    windows: tuple[Annotated[options.Duration, Field(gt=timedelta(0), le=_CENTURY)], ...] = Field(
        min_length=1
    )
    delay: Annotated[options.Duration, Field(le=_CENTURY)] = timedelta(0)
    current: bool = Field(True, description="whether the transaction itself counts")
    empty: float = Field(
        0.0, allow_inf_nan=False, description="value of sum, mean and rate where nothing is in it"
    )

    @field_validator("current")
    @classmethod
    def _row_is_in_question(cls, value: bool, info: Any) -> bool:
        if not value and info.data.get("delay"):
            raise ValueError("no `current` beside a delay: the transaction itself is never in it")
        return value

    @model_validator(mode="after")
    def _labels_are_late(self) -> WindowBlock:
        if not self.delay and any(o.name == "rate" for o in self.operations):
            problem = (
                f"got rate of {LABEL} without a delay, expected a delay of at least the data set's "
                "label delay: whether a transaction is fraud is not known when it is made"
            )
            raise ConfigError([problem])
        return self

    def resolve(self) -> list[Feature]:
        return [self._feature(window, op) for window in self.windows for op in self.operations]

    def _feature(self, window: timedelta, operation: Operation) -> Feature:
        parts = [self.entity, operation.name, operation.column, options.format_duration(window)]
        if self.delay:
            parts.append(f"delay{options.format_duration(self.delay)}")
        micro = timedelta(microseconds=1)
        return Feature(
            "_".join(part for part in parts if part),
            "window",
            operation.column,
            self.entity,
            operation.name,
            window // micro,
            self.delay // micro,
            self.current,
            0.0 if operation.name == "count" else self.empty,
        )


def _kind(value: Any) -> str:
    keys = value if isinstance(value, dict) else ()
    return next((kind for kind in ("column", "calendar") if kind in keys), "window")


Block = Annotated[
    Annotated[ColumnBlock, Tag("column")]
    | Annotated[CalendarBlock, Tag("calendar")]
    | Annotated[WindowBlock, Tag("window")],
    Discriminator(_kind),
]


class FeatureSet(BaseModel):
    """An ordered list of features; the order is that of a model's columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    declared: tuple[Block, ...] = Field(
        alias="features",
        min_length=1,
        description="list of features: `column`, `calendar`, or `entity`, `operations`, `windows`",
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> FeatureSet:
        counts = Counter(feature.name for feature in self.features)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise ConfigError([f"features: got {n} twice, expected each name once" for n in twice])
        return self

    @cached_property
    def features(self) -> list[Feature]:
        """The single features, in order; within one block by window, then by operation."""
        return [feature for block in self.declared for feature in block.resolve()]

    @cached_property
    def hash(self) -> str:
        """16 hex digits that name the definition: SHA-256 of all features and the kernels' version.

        Formatting, comments, key order, `7d` or `168h` and the set's name make no difference.
        """
        content = {"kernel": KERNEL_VERSION, "features": [asdict(f) for f in self.features]}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def lookback(self) -> timedelta:
        """How long before a transaction an event can be and still count: largest delay + window."""
        return timedelta(microseconds=max(f.delay + f.window for f in self.features))

    def by_entity(self) -> dict[str, list[Feature]]:
        """Entity → its window features, in the order of the set."""
        found: dict[str, list[Feature]] = {}
        for feature in self.features:
            if feature.entity:
                found.setdefault(feature.entity, []).append(feature)
        return found

    def check_against(self, dataset: Dataset) -> list[str]:
        """What makes this feature set unfit for a data set; one sentence for each problem.

        Examples
        --------
        >>> from fraudlake.datasets import load_dataset
        >>> load_feature_set("handbook").check_against(load_dataset("handbook"))
        []
        """
        problems = [
            f"features: got entity {entity!r}, expected one of {', '.join(dataset.entities)} "
            f"(data set {dataset.name})"
            for entity in self.by_entity()
            if entity not in dataset.entities
        ]
        types = dataset.column_types()
        for entity in self.by_entity():
            column = dataset.entities.get(entity)
            if column and types[column] not in _KEYS:
                problems.append(
                    f"features: got entity {entity!r} with the {types[column]} column {column}, "
                    f"expected one of {', '.join(_KEYS)}"
                )
        for feature in self.features:
            problem = (
                _label_problem(feature, dataset)
                if feature.over_labels
                else _column_problem(feature, dataset)
            )
            problems += [f"features: {feature.name}: {problem}"] if problem else []
        return problems


def _label_problem(feature: Feature, dataset: Dataset) -> str | None:
    if dataset.label is None:
        return f"got a rate over labels, expected none: data set {dataset.name} has no label"
    delay = timedelta(microseconds=feature.delay)
    if delay < dataset.label.delay:
        return (
            f"got delay {options.format_duration(delay)}, expected at least "
            f"{options.format_duration(dataset.label.delay)}, the label delay of data set "
            f"{dataset.name}: the labels of younger transactions are not known yet, and would "
            "be counted as honest"
        )
    return None


def _column_problem(feature: Feature, dataset: Dataset) -> str | None:
    if feature.name in (*_RESERVED, *dataset.entities.values()):
        return "got a column that every feature table has as a key, expected another"
    if not feature.column:
        return None
    types = dataset.column_types()
    wanted = _NUMERIC if feature.kind == "column" else _SUMMABLE
    if feature.column not in types:
        return (
            f"got column {feature.column!r}, expected one of {', '.join(types)} "
            f"(data set {dataset.name})"
        )
    kind = types[feature.column]
    if kind not in wanted:
        exact = "; a sum of doubles would depend on their order" if kind == "double" else ""
        return f"got the {kind} column {feature.column}, expected one of {', '.join(wanted)}{exact}"
    return None


def load_feature_set(name: str) -> FeatureSet:
    """Read and check `conf/features/NAME.yaml` (or the YAML file at a path).

    Raises
    ------
    ConfigError
        The file is missing, or every problem found in it.

    Examples
    --------
    >>> [feature.name for feature in load_feature_set("handbook").features][:5]
    ['amount', 'weekend', 'night', 'customer_count_1d', 'customer_mean_amount_1d']
    """
    path = resources.find("features", name)
    try:
        return FeatureSet.model_validate({**(yaml.safe_load(path.read_text()) or {}), "name": name})
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise ConfigError([f"{path.name}: {line}" for line in explain(error, FeatureSet)]) from None
