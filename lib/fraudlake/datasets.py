"""What a data set looks like on arrival: the content of `conf/datasets/NAME.yaml`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from fraudlake import instants, layout, reserved, resources, words, writing
from fraudlake.config import explain
from fraudlake.errors import ConfigError

EVENT_COLUMNS = ("tx_id", "event_time", "amount")
TX_REF = "tx_ref"  # beside the number of an id that is text: the text
LARGEST_ID = 2**63 - 1
_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)


class Ranges(BaseModel):
    """A table of ranges of IP addresses that a user brings, and its column that is wanted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str = Field(
        description="CSV with a header, or Parquet: a path from this YAML's folder, or a URI that "
        "all workers see; with the `first` and `last` address of a range, or `cidr`, and the column"
    )
    column: str = Field(description="what is wanted, such as country")

    @field_validator("file")
    @classmethod
    def _beside_the_yaml(cls, value: str, info: Any) -> str:
        path = Path((info.context or {}).get("folder", ""), value)
        if value.endswith((".csv", ".parquet")) and ("://" in value or path.exists()):
            return value if "://" in value else str(path.absolute())
        raise ValueError(
            "a .csv or .parquet file that exists, its path from the folder of the YAML"
        )


class Secret(BaseModel):
    """Where the secret is that hashes are made by; it is in no YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    env: str | None = Field(None, description="name of an environment variable")
    file: str | None = Field(None, description="a file: a path from this YAML's folder")

    @field_validator("file")
    @classmethod
    def _beside_the_yaml(cls, value: str | None, info: Any) -> str | None:
        folder = (info.context or {}).get("folder", "")
        return value and str(Path(folder, value).absolute())

    @model_validator(mode="after")
    def _one(self) -> Secret:
        if bool(self.env) == bool(self.file):
            raise ValueError("env or file, one of the two")
        return self


class Column(writing.Writing):
    """One column of the typed table, the raw field that it comes from, and how that is written."""

    source: writing.Fields = Field(
        description="field of the raw record: a name or a path to it, a.b[0].c; of a list the "
        "texts are joined by a space"
    )
    type: Literal["bigint", "int", "double", "boolean", "string", "timestamp", "decimal(18,2)"]
    required: bool = True
    minimum: float | None = Field(None, description="smallest value allowed, itself included")
    maximum: float | None = Field(None, description="largest value allowed, itself included")
    values: tuple[str, ...] | None = Field(None, description="the only values allowed")
    token: bool = Field(
        False,
        description="true: its long numbers are the bank's own, none is a card's; not searched for "
        "card numbers",
    )
    hash: bool = Field(
        False,
        description="true: the text is replaced by its hash before anything else sees it, by the "
        "data set's `secret`",
    )
    repeats: Literal["in_file", "everywhere"] | None = Field(
        None,
        description="on a tx_id that is text: which equal records are payments of their own, those "
        "in one file or those in several too; left out: none, all are one payment",
    )
    subnet: int | None = Field(
        None,
        ge=8,
        le=32,
        description="keep the network of an IP address, its first so many bits (IPv6: 48); null "
        "where the text is no address",
    )
    ranges: Ranges | None = Field(
        None, description="keep what a table of ranges says of an IP address; null where nothing"
    )

    @model_validator(mode="after")
    def _keys_fit(self) -> Column:
        writing.raised(self.problems(self.type))
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and self.type in ("boolean", "string", "timestamp"):
            raise ValueError(f"minimum and maximum on numbers only, not on a {self.type}")
        more = self.values or self.subnet or self.ranges or several(self.source)[1:]
        if self.hash and (self.type != "string" or more):
            raise ValueError("hash on a string of one field, without values, subnet and ranges")
        derived = [name for name in ("subnet", "ranges") if getattr(self, name)]
        if derived and (self.type != "string" or self.required or self.values or derived[1:]):
            raise ValueError(
                f"{' and '.join(derived)} on a string that is not required and has no list of "
                "values, and one of the two"
            )
        return self


class KnownAt(writing.Times, writing.Nulls):
    """The raw field with the time at which a label became known, and how that is written."""

    source: writing.Fields

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return value if isinstance(value, (dict, KnownAt)) else {"source": value}

    @model_validator(mode="after")
    def _keys_fit(self) -> KnownAt:
        writing.raised(self.time_problems())
        return self


class Label(writing.Flags):
    """Where the label is and when it becomes known."""

    source: writing.Fields = Field(
        description="raw field that says fraud (1, true) or not (0, false)"
    )
    unknown: writing.Words = Field(
        None, description="words for a verdict that is not there yet: no label, and no fault"
    )
    known_at: KnownAt | None = Field(
        None,
        description="raw field with the time it became known; with the keys of a time, "
        "{source: closed, unit: ms}",
    )
    delay: instants.Duration = Field(
        description="after this long a label is mature; also known_at − event_time where no "
        "field gives known_at"
    )

    @model_validator(mode="after")
    def _words_fit(self) -> Label:
        writing.raised(self.flag_problems(self.unknown or ()))
        return self


class Dataset(BaseModel):
    """One data set: format, columns, entities, label.

    `columns` maps each column of `transactions` to a raw field; it must hold `tx_id` (bigint, or
    string: then the table has its number, and the text as `tx_ref`, a column more), `event_time`
    (timestamp) and `amount` (decimal(18,2)). `entities` maps the short name a feature
    set uses (`customer`) to a column. `card` is the column that stands for a card in card
    precision, and whose frauds take it out of the test; where there is none, neither is done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    format: str = Field(description="of its files: a module of `fraudlake.ingest.formats`")
    files: layout.Files = Field(
        layout.Files.model_validate({}), description="how its files of text are written"
    )
    record: layout.Record | None = Field(
        None, description="where in a message the payment lies, and which messages hold one"
    )
    timezone: writing.Zone = "UTC"
    nulls: writing.Words = Field(
        None, description="words that stand for a missing value in every column without its own"
    )
    columns: dict[str, Column]
    entities: dict[str, str]
    card: str | None = None
    label: Label | None = None
    secret: Secret | None = Field(None, description="what columns with `hash: true` are hashed by")
    ignore: tuple[str, ...] = Field((), description="raw fields that are dropped at the door")

    @field_validator("format")
    @classmethod
    def _format(cls, value: str) -> str:
        if value not in resources.formats():
            raise ValueError(f"one of {', '.join(resources.formats())}")
        return value

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
        # First, as of the columns of one field the first is read back from a table of columns.
        of_text = "tx_id" in value and value["tx_id"].type == "string"
        return {TX_REF: value["tx_id"], **value} if of_text else value

    @field_validator("entities")
    @classmethod
    def _entities(cls, value: dict[str, str]) -> dict[str, str]:
        if problems := reserved.ENTITIES.problems(value):
            raise ConfigError(problems)
        return value

    @model_validator(mode="after")
    def _laid_out(self) -> Dataset:
        problems = [
            f"files.{key}: got format {self.format}, expected csv with it"
            for key, field in sorted(layout.Files.model_fields.items())
            if getattr(self.files, key) != field.default
            if self.format != "csv" and (key != "encoding" or self.format != "jsonl")
        ]
        if self.format == "csv" and self.record and self.record.path:
            problems.append(
                f"record.path: got {self.record.path!r}, expected none: records of CSV are flat"
            )
        if bool(self.secret) != bool(self.hashed()):
            given = "one and no column" if self.secret else f"none and {', '.join(self.hashed())}"
            problems.append(
                f"secret: got {given} with hash: true, expected both: the secret's "
                "{env: NAME} or {file: PATH}, and columns that are hashed by it"
            )
        if problems:
            raise ConfigError(problems)
        return self

    @model_validator(mode="after")
    def _complete(self) -> Dataset:
        wanted = {
            "tx_id": ("bigint", "string"),
            "event_time": ("timestamp",),
            "amount": ("decimal(18,2)",),
        }
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

    def hashed(self) -> list[str]:
        """Names of the columns that hold hashes in place of what the feed has."""
        return [name for name, column in self.columns.items() if column.hash]

    def required_fields(self) -> list[str]:
        """Names of the raw fields without which a record is no transaction."""
        columns = [column for column in self.columns.values() if column.required]
        return list(dict.fromkeys(field for column in columns for field in several(column.source)))

    def raw_fields(self) -> list[str]:
        """Names of all raw fields that are read."""
        sources = [column.source for column in self.columns.values()]
        if self.label:
            sources.append(self.label.source)
            sources += [self.label.known_at.source] if self.label.known_at else []
        if self.record:
            sources += self.record.where
        return list(dict.fromkeys(field for source in sources for field in several(source)))


def several(source: str | tuple[str, ...]) -> tuple[str, ...]:
    """The names of the fields that a value is made of."""
    return (source,) if isinstance(source, str) else source


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
