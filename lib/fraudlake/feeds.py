"""What records arrive in, whatever they are: their format, how they lie, their columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fraudlake import layout, resources, writing
from fraudlake.columns import Column, Label, several
from fraudlake.errors import ConfigError

TX_REF = "tx_ref"  # beside the number of an id that is text: the text
LARGEST_ID = 2**63 - 1


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


class Feed(BaseModel):
    """Records of one kind: all that reading and checking them takes."""

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
    columns: dict[str, Column] = Field({}, description="column of a table → what it is made of")
    label: Label | None = None
    secret: Secret | None = Field(None, description="what columns with `hash: true` are hashed by")
    ignore: tuple[str, ...] = Field((), description="raw fields that are dropped at the door")

    @field_validator("format")
    @classmethod
    def _format(cls, value: str) -> str:
        if value not in resources.formats():
            raise ValueError(f"one of {', '.join(resources.formats())}")
        return value

    @model_validator(mode="after")
    def _laid_out(self) -> Self:
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
        if self.label and self.label.source:
            sources.append(self.label.source)
            sources += [self.label.known_at.source] if self.label.known_at else []
        if self.record:
            sources += self.record.where
        return list(dict.fromkeys(field for source in sources for field in several(source)))


def with_ref(columns: dict[str, Column]) -> dict[str, Column]:
    """Columns with one more for an id that is text: the text beside its number."""
    # First, as of the columns of one field the first is read back from a table of columns.
    of_text = "tx_id" in columns and columns["tx_id"].type == "string"
    return {TX_REF: columns["tx_id"], **columns} if of_text else columns
