"""How records lie in what arrives: the blocks `files` and `record` of a data set, and its paths."""

from __future__ import annotations

import codecs
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fraudlake.errors import ConfigError

ROOT = "$."
_STEPS = re.compile(r"[^.\[\]]+(?:\[\d*\])*(?:\.[^.\[\]]+(?:\[\d*\])*)*")
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
# Of encodings with a mark of their byte order: the unusual one, what it says, and what others say.
_MARKS = {
    "utf-16": (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16-le"),
    "utf-32": (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32-le"),
}


class Files(BaseModel):
    """How files of text are written; all but `encoding` of CSV alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    delimiter: str = Field(",", description="one character between two fields, such as ; or \\t")
    quote: str = Field('"', description="one character around a field; none: nothing is quoted")
    escape: str | None = Field(
        None, description="one character before a quote in a quoted field; left out: the quote"
    )
    header: bool = Field(True, description="false: no line names the fields, `names` does")
    names: tuple[str, ...] = Field((), description="names of the fields by position")
    comment: str | None = Field(
        None, description="one character; lines that begin with it are no records"
    )
    encoding: str = Field("utf-8", description="of the text, such as UTF-16 or windows-1252")

    @field_validator("delimiter", "quote", "escape", "comment")
    @classmethod
    def _one_character(cls, value: str | None, info: Any) -> str | None:
        fewest = 0 if info.field_name == "quote" else 1
        if value is not None and (not fewest <= len(value) <= 1 or value in ("\n", "\r")):
            raise ValueError("one character that ends no line")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            line_end(_MARKS[name][2] if name in _MARKS else name)
        except (LookupError, UnicodeError):
            raise ValueError("an encoding of text such as UTF-16 or windows-1252") from None
        return "utf-8" if name == "utf-8-sig" else name

    @model_validator(mode="after")
    def _named(self) -> Files:
        problems = []
        if self.header and self.names:
            problems.append("got names beside a header, expected `header: false` with them")
        if not self.header and not self.names:
            problems.append(
                "got header: false without names, expected those of the fields by position"
            )
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        problems += [f"got {name} twice in names, expected once" for name in twice]
        if problems:
            raise ConfigError(problems)
        return self

    def codec(self, beginning: bytes) -> str:
        """The encoding of files that begin so: with a mark, in the order of bytes that it says."""
        mark, marked, usual = _MARKS.get(self.encoding, (b"", self.encoding, self.encoding))
        return marked if beginning.startswith(mark) else usual


class Record(BaseModel):
    """Where in a message the payment lies, and which messages hold one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str | None = Field(
        None, description="of the payment in the message; items[] gives one record an element"
    )
    where: dict[str, tuple[str, ...]] = Field(
        {}, description="field → values: records without one of them are passed over"
    )

    @field_validator("path")
    @classmethod
    def _path(cls, value: str | None) -> str | None:
        if value is not None and not _STEPS.fullmatch(value):
            raise ValueError("a path such as data, payload.after or items[].payment")
        return value

    @field_validator("where", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: _words(name, given) for name, given in value.items()}

    @model_validator(mode="after")
    def _some(self) -> Record:
        if not self.path and not self.where:
            raise ValueError("a path, where, or both")
        return self

    def parts(self) -> list[list[str | int]]:
        """Steps to the payment, cut where the elements of an array become records."""
        return [steps(part.removeprefix(".")) for part in (self.path or "").split("[]")]


def steps(path: str) -> list[str | int]:
    """Keys and positions of a path; a name that is no path is one key.

    Examples
    --------
    >>> steps("data.items[0].amount")
    ['data', 'items', 0, 'amount']
    """
    if not _STEPS.fullmatch(path) or "[]" in path:
        return [path] if path else []
    return [int(position) if position else key for position, key in _STEP.findall(path)]


def line_end(codec: str) -> str:
    """What ends a line in an encoding, as the ASCII text that has its bytes."""
    return "\n".encode(codec).decode("ascii")


def _words(name: str, given: Any) -> tuple[str, ...]:
    values = given if isinstance(given, (list, tuple)) else [given]
    if not values or any(isinstance(value, (dict, list)) or value is None for value in values):
        raise ValueError(f"values of {name}, a list of words")
    return tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in values)
