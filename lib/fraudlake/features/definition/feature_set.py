"""What a feature set is: the content of `conf/features/NAME.yaml`, resolved to single features."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from fraudlake import instants, reserved, resources
from fraudlake.config import explain
from fraudlake.errors import ConfigError
from fraudlake.features.definition.blocks import Block
from fraudlake.features.feature import Feature

if TYPE_CHECKING:
    from fraudlake.datasets import Dataset

# Part of every definition's hash: raise it when a kernel gives other values for equal definitions.
KERNEL_VERSION = 1

_KEYS = ("bigint", "int", "string")


class FeatureSet(BaseModel):
    """An ordered list of features; the order is that of a model's columns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    declared: tuple[Block, ...] = Field(
        alias="features",
        min_length=1,
        description="list of features: `column`, `category`, `same`, `calendar`, `ratio`, or "
        "`entity`, `operations`, `windows`",
    )
    _only: frozenset[str] | None = PrivateAttr(None)
    _partition: str = PrivateAttr("")

    @model_validator(mode="after")
    def _names_are_right(self) -> FeatureSet:
        counts = Counter(feature.name for feature in self.features)
        problems = [
            f"features: got {name} twice, expected each name once"
            for name, count in counts.items()
            if count > 1
        ]
        entities = dict.fromkeys(name for feature in self.features for name in feature.entities)
        for kept, names in ((reserved.FEATURE_NAMES, counts), (reserved.ENTITIES, entities)):
            problems += [f"features: {problem}" for problem in kept.problems(names)]
        parts = {f.name for f in self.features if f.kind not in ("ratio", "category")}
        problems += [
            f"features: got ratio of {name!r}, expected a number of this set that is no ratio"
            for feature in self.features
            if feature.kind == "ratio"
            for name in (feature.column, feature.other)
            if name not in parts
        ]
        if problems:
            raise ConfigError(problems)
        return self

    @cached_property
    def features(self) -> list[Feature]:
        """The single features, in order; within one block by window, then by operation."""
        every = [feature for block in self.declared for feature in block.resolve()]
        if self._partition:
            every = [
                replace(f, entity=f"{f.entity},{self._partition}") if f.entity else f for f in every
            ]
        return every if self._only is None else [f for f in every if f.name in self._only]

    def only(self, names: Collection[str]) -> FeatureSet:
        """The set with no more than the features of these names."""
        return FeatureSet.model_construct(
            name=self.name, declared=self.declared, _only=frozenset(names)
        )

    def partitioned_by(self, column: str) -> FeatureSet:
        """The same features, of which no window holds events with another value of a column."""
        return FeatureSet.model_construct(name=self.name, declared=self.declared, _partition=column)

    @cached_property
    def text(self) -> str:
        """What the hash covers, as JSON: `kernel`, the kernels' version, and all `features`.

        Formatting, comments, key order, `7d` or `168h` and the set's name make no difference.
        """
        content = {"kernel": KERNEL_VERSION, "features": [f.content() for f in self.features]}
        return json.dumps(content, sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """16 hex digits that name the definition, made from `text`."""
        return hash_of(self.text)

    @property
    def lookback(self) -> timedelta:
        """How long before a transaction an event can be and still count: largest delay + window."""
        return timedelta(microseconds=max(f.delay + f.window for f in self.features))

    def by_entity(self) -> dict[str, list[Feature]]:
        """Entity, as in `Feature.entity` → its window features, in the order of the set."""
        features_of: dict[str, list[Feature]] = {}
        for feature in self.features:
            if feature.entity:
                features_of.setdefault(feature.entity, []).append(feature)
        return features_of

    def columns(self, entities: Mapping[str, str]) -> list[str]:
        """Columns of a transaction that the features use, as keys or as values, each once.

        Parameters
        ----------
        entities
            Declared entity → its column.

        Examples
        --------
        >>> load_feature_set("handbook").columns({"customer": "customer_id"})
        ['amount', 'customer_id', 'terminal']
        """
        used = [
            name
            for feature in self.features
            for name in (*feature.columns, *feature.keys(entities))
        ]
        return list(dict.fromkeys(used))

    def check_against(self, dataset: Dataset) -> list[str]:
        """What makes this feature set unfit for a data set; one sentence for each problem.

        Examples
        --------
        >>> from fraudlake.datasets import load_dataset
        >>> load_feature_set("handbook").check_against(load_dataset("handbook"))
        []
        """
        problems = []
        for name in dict.fromkeys(name for f in self.features for name in f.entities):
            problem = _entity_problem(name, dataset)
            problems += [f"features: {problem}"] if problem else []
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
        return f"got a feature over labels, expected none: data set {dataset.name} has no label"
    delay = timedelta(microseconds=feature.delay)
    if delay < dataset.label.delay:
        return (
            f"got delay {instants.format_duration(delay)}, expected at least "
            f"{instants.format_duration(dataset.label.delay)}, the label delay of data set "
            f"{dataset.name}: the labels of younger transactions are not known yet, and would "
            "be counted as honest"
        )
    return None


def _entity_problem(name: str, dataset: Dataset) -> str | None:
    types = dataset.column_types()
    keys = dataset.entities.values()
    column = dataset.entities.get(name, name)
    if name not in dataset.entities and (name not in types or name in keys):
        return (
            f"got entity {name!r}, expected one of {', '.join(dataset.entities)} or another column "
            f"(data set {dataset.name})"
        )
    if types[column] not in _KEYS:
        return (
            f"got entity {name!r} with the {types[column]} column {column}, expected one of "
            f"{', '.join(_KEYS)}"
        )
    return None


def _column_problem(feature: Feature, dataset: Dataset) -> str | None:
    if feature.name.lower() in (name.lower() for name in dataset.entities.values()):
        return "got a column that every feature table has as a key, expected another"
    types = dataset.column_types()
    for column in feature.columns:
        if column not in types:
            return (
                f"got column {column!r}, expected one of {', '.join(types)} "
                f"(data set {dataset.name})"
            )
        kind, wanted = types[column], feature.column_types
        if kind not in wanted:
            exact = "; doubles are neither added nor told apart exactly" if kind == "double" else ""
            return f"got the {kind} column {column}, expected one of {', '.join(wanted)}{exact}"
    if feature.kind == "same" and len({types[name] == "string" for name in feature.columns}) > 1:
        return "got a text and a number, expected two columns of text or two of numbers"
    return None


def hash_of(text: str) -> str:
    """First 16 hex digits of the SHA-256 of a definition's text (`FeatureSet.text`)."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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


def feature_set_of(definition: str) -> FeatureSet | None:
    """The set in `conf/features` whose hash this is; None where none has it.

    >>> feature_set_of(load_feature_set("handbook").hash).name
    'handbook'
    """
    for name in resources.names("features"):
        found = load_feature_set(name)
        if found.hash == definition:
            return found
    return None
