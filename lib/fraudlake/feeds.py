"""What records arrive in, whatever they are: their format, how they lie, their columns."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fraudlake import instants, layout, resources, writing
from fraudlake.columns import Column, Label, several
from fraudlake.errors import ConfigError

TX_REF = "tx_ref"  # beside the number of an id that is text: the text
AMOUNT = "amount"  # what no event has that is no payment
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


class Joined(BaseModel):
    """Another file or table, of which at most one record stands beside each of the feed's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: str = Field(
        description="file, folder, pattern or Delta table: its path from the folder that the "
        "`input` of a run lies in, or an absolute path or URI"
    )
    by: writing.Fields = Field(
        description="field of the feed's own records that says which record stands beside it; of a "
        "list the texts are joined by a space"
    )
    key: writing.Fields | None = Field(
        None, description="the field there that `by` is looked up in, where it has another name"
    )
    format: str | None = Field(None, description="of its files, where it is not the feed's")
    files: layout.Files | None = Field(
        None, description="how its files of text are written; left out: as the feed's are"
    )


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
    earliest: instants.Instant = Field(
        instants.EARLIEST, description="day or instant before which no time of an event can be"
    )
    nulls: writing.Words = Field(
        None, description="words that stand for a missing value in every column without its own"
    )
    columns: dict[str, Column] = Field({}, description="column of a table → what it is made of")
    label: Label | None = None
    secret: Secret | None = Field(None, description="what columns with `hash: true` are hashed by")
    ignore: tuple[str, ...] = Field((), description="raw fields that are dropped at the door")
    joined: dict[str, Joined] = Field(
        {},
        description="files and tables with more about the same records, by a name: a `source` "
        "NAME.FIELD is a field of theirs",
    )

    @field_validator("format")
    @classmethod
    def _format(cls, value: str) -> str:
        if value not in resources.formats():
            raise ValueError(f"one of {', '.join(resources.formats())}")
        return value

    @field_validator("earliest")
    @classmethod
    def _not_before_1970(cls, value: datetime) -> datetime:
        if instants.microseconds(value) < 0:
            raise ValueError("a day from 1970-01-01 on")
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

    @model_validator(mode="after")
    def _joins_fit(self) -> Self:
        problems = []
        for name, other in self.joined.items():
            if not name.isidentifier():
                problems.append(f"joined: got {name}, expected letters, digits and _")
            if other.format not in (None, *resources.formats()):
                formats = ", ".join(resources.formats())
                problems.append(
                    f"joined.{name}.format: got {other.format!r}, expected one of {formats}"
                )
            elif not self._fields_of(name):
                problems.append(
                    f"joined.{name}: got no column of it, expected a source {name}.FIELD"
                )
        where = self.record.where if self.record else ()
        own = {"joined: by": [f for o in self.joined.values() for f in several(o.by)]}
        for key, fields in (own | {"record.where": where}).items():
            problems += [
                f"{key}: got {field}, expected a field of the feed's own records"
                for field in fields
                if self._place(field)[0]
            ]
        if problems:
            raise ConfigError(problems)
        return self

    def hashed(self) -> list[str]:
        """Names of the columns that hold hashes in place of what the feed has."""
        return [name for name, column in self.columns.items() if column.hash]

    def required_fields(self) -> list[str]:
        """Names of the feed's own raw fields without which a record is no transaction."""
        return self._fields_of(None, required=True)

    def raw_fields(self) -> list[str]:
        """Names of all of the feed's own raw fields that are read."""
        fields = self._fields_of(None)
        fields += self.record.where if self.record else ()
        fields += [field for other in self.joined.values() for field in several(other.by)]
        return list(dict.fromkeys(fields))

    def beside(self, name: str) -> Feed:
        """Of what is joined by a name: its records, as a feed with texts alone.

        Its columns are `by` and, by number, the fields that columns of this feed are made of.
        """
        other, hashes = self.joined[name], {self.columns[column].source for column in self.hashed()}
        columns: dict[str, Any] = {
            "by": {"source": other.key or other.by, "hash": other.by in hashes}
        }
        for place, field in enumerate(self._fields_of(name)):
            hashed = f"{name}.{field}" in hashes
            columns[f"c{place}"] = {"source": field, "required": False, "hash": hashed}
        as_here = other.format in (None, self.format)
        given = {
            "name": f"{name}, beside {self.name}",
            "format": other.format or self.format,
            "files": other.files or (self.files if as_here else {}),
            "columns": {key: {"type": "string", **column} for key, column in columns.items()},
            "secret": self.secret if any(column["hash"] for column in columns.values()) else None,
            "ignore": [field for of, field in map(self._place, self.ignore) if of == name],
        }
        return Feed.model_validate(given)

    def required_beside(self, name: str) -> list[str]:
        """Names of the fields of what is joined by a name without which a record is none."""
        return self._fields_of(name, required=True)

    def _place(self, field: str) -> tuple[str | None, str]:
        """What a field is of, None: of the feed's own records; and its name there."""
        head, _, rest = field.partition(".")
        return (head, rest) if head in self.joined and rest else (None, field)

    def _fields_of(self, name: str | None, *, required: bool = False) -> list[str]:
        """Fields that values are made of, and that are of what is joined by a name (None: own)."""
        sources = [
            column.source for column in self.columns.values() if column.required or not required
        ]
        if self.label and self.label.source and not required:
            sources.append(self.label.source)
            sources += [self.label.known_at.source] if self.label.known_at else []
        fields = [self._place(field) for source in sources for field in several(source)]
        return list(dict.fromkeys(field for of, field in fields if of == name))


def with_ref(columns: dict[str, Column]) -> dict[str, Column]:
    """Columns with one more for an id that is text: the text beside its number."""
    # First, as of the columns of one field the first is read back from a table of columns.
    of_text = "tx_id" in columns and columns["tx_id"].type == "string"
    return {TX_REF: columns["tx_id"], **columns} if of_text else columns
