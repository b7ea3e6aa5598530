"""What a data set looks like on arrival: the content of `conf/datasets/NAME.yaml`."""

from __future__ import annotations

import re

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from fraudlake import reserved, resources, words
from fraudlake.columns import Column
from fraudlake.config import explain
from fraudlake.errors import ConfigError
from fraudlake.feeds import AMOUNT, TX_REF, Feed, with_ref
from fraudlake.verdicts import Verdicts

EVENT_COLUMNS = ("tx_id", "event_time", AMOUNT)
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


class Dataset(Feed):
    """One data set: format, columns, entities, label.

    `columns` maps each column of `transactions` to a raw field; it must hold `tx_id` (bigint, or
    string: then the table has its number, and the text as `tx_ref`, a column more), `event_time`
    (timestamp) and, where events are payments, `amount` (decimal(18,2)); it is null in every table
    where they are not. `entities` maps the short name a feature set uses (`customer`) to a column.
    `card` is the column that stands for a card in card precision, and whose frauds take it out of
    the test; where there is none, neither is done.
    """

    columns: dict[str, Column]
    entities: dict[str, str]
    card: str | None = None
    version: str | None = Field(
        None,
        description="column that says which of several records about one transaction is the "
        "newest, such as a time of change, or a status, whose `values` come in their order; left "
        "out: the first record stands",
    )
    verdicts: dict[str, Verdicts] = Field(
        {}, description="feeds of verdicts about its transactions, by the source they are in labels"
    )

    @field_validator("columns")
    @classmethod
    def _columns(cls, value: dict[str, Column]) -> dict[str, Column]:
        problems = [
            f"got {name}, expected a name of letters, digits and _ that begins with a letter"
            for name in value
            if not _NAME.fullmatch(name)
        ]
        problems += [
            f"{name}: got signed, expected it on amount alone: others may be negative as they are"
            for name, column in value.items()
            if column.signed and name != "amount"
        ]
        problems += [
            f"{name}: got repeats, expected it on a tx_id of type string alone"
            for name, column in value.items()
            if column.repeats and (name != "tx_id" or column.type != "string")
        ]
        if "tx_id" in value and value["tx_id"].hash:
            problems.append("tx_id: got hash, expected it on other columns: an id is to be found")
        problems += [
            f"{name}: got scale {column.scale}, expected digits or a required column of text"
            for name, column in value.items()
            if isinstance(column.scale, str)
            and not ((held := value.get(column.scale)) and held.type == "string" and held.required)
        ]
        if problems := problems + reserved.COLUMNS.problems(value):
            raise ConfigError(problems)
        return with_ref(value)

    @field_validator("entities")
    @classmethod
    def _entities(cls, value: dict[str, str]) -> dict[str, str]:
        if problems := reserved.ENTITIES.problems(value):
            raise ConfigError(problems)
        return value

    @field_validator("verdicts")
    @classmethod
    def _verdicts(cls, value: dict[str, Verdicts]) -> dict[str, Verdicts]:
        if wrong := [name for name in value if not _NAME.fullmatch(name)]:
            raise ConfigError([f"got {name}, expected letters, digits and _" for name in wrong])
        return {name: feed.model_copy(update={"name": name}) for name, feed in value.items()}

    @model_validator(mode="after")
    def _complete(self) -> Dataset:
        wanted = {
            "tx_id": ("bigint", "string"),
            "event_time": ("timestamp",),
        }
        if AMOUNT in self.columns:
            wanted[AMOUNT] = ("decimal(18,2)",)
        for name, kinds in wanted.items():
            if name not in self.columns or self.columns[name].type not in kinds:
                raise ValueError(f"columns with {name} of type {' or '.join(kinds)}")
            if not self.columns[name].required:
                raise ValueError(f"columns with {name} required, not optional")
        for name in [*self.entities.values(), *([self.card] if self.card else [])]:
            if name not in self.columns or name in EVENT_COLUMNS:
                raise ValueError(
                    f"entities and card to name columns, and none of {', '.join(EVENT_COLUMNS)}; "
                    f"{name} is not one"
                )
        for name, feed in self.verdicts.items():
            if feed.columns["tx_id"].type != self.columns["tx_id"].type:
                kind = self.columns["tx_id"].type
                raise ValueError(f"verdicts.{name}.columns.tx_id of type {kind}, as its own")
        return self

    @model_validator(mode="after")
    def _versioned(self) -> Dataset:
        if self.version:
            column = self.columns.get(self.version)
            kinds = ("bigint", "int", "timestamp", "string")
            if self.version in EVENT_COLUMNS or not column or column.type not in kinds:
                raise ValueError(f"version to name a column of type {', '.join(kinds)}")
            if not column.required or column.hash:
                raise ValueError(f"{self.version}, the version, required and not hashed")
        return self

    def column_types(self) -> dict[str, str]:
        """Column → SQL type, for every column of `transactions` that the data set names."""
        types = {name: column.type for name, column in self.columns.items()}
        return {**types, "tx_id": "bigint"}

    def entity_types(self) -> dict[str, str]:
        """Column → SQL type of every entity: what each transaction has, whatever the features."""
        return {name: self.columns[name].type for name in self.entities.values()}

    def flag_types(self) -> dict[str, str]:
        """Column → SQL type of what `flagged` says of a transaction beside its own columns."""
        ref = {TX_REF: "string"} if TX_REF in self.columns else {}
        return ref | self.entity_types()

    def trust(self) -> dict[str, int]:
        """Source of labels → how much it is trusted; its own, with every payment, the least."""
        return {self.name: 0} | {name: feed.trust for name, feed in self.verdicts.items()}


def load_dataset(name: str) -> Dataset:
    """Read and check `conf/datasets/NAME.yaml` (or the YAML file at a path).

    A data set from a path is named by its absolute path: the lake keeps the name, and later jobs
    find the file by it.

    Raises
    ------
    ConfigError
        The file is missing, or every problem found in it.
    """
    path = resources.find("datasets", name)
    name = name if path.stem == name else str(path.absolute())
    try:
        return Dataset.model_validate(
            {**(words.load(path.read_text()) or {}), "name": name},
            context={"folder": path.parent},
        )
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise ConfigError([f"{path.name}: {line}" for line in explain(error, Dataset)]) from None
