"""One value of a raw record: the field that it comes from, its type, what it must hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from fraudlake import instants, writing


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
    address: Literal["number"] | None = Field(
        None,
        description="with subnet or ranges: IPv4 addresses are written as a `number`, 3232235777 "
        "for 192.168.1.1; a fraction is cut",
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
        if self.address and not derived:
            raise ValueError("address beside subnet or ranges alone")
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

    source: writing.Fields | None = Field(
        None, description="raw field that says fraud (1, true) or not (0, false)"
    )
    presumed: bool = Field(
        False,
        description="true: a payment of which nothing is said is genuine from `delay` on; without "
        "`source` that is all that payments say, and `verdicts` say the rest",
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
        written = ("true", "false", "unknown", "nulls", "known_at")
        given = [name for name in written if getattr(self, name) is not None]
        if self.source is None and (given or not self.presumed):
            raise ValueError(f"source, which {given[0]} is of" if given else "source or presumed")
        writing.raised(self.flag_problems(self.unknown or ()))
        return self


def several(source: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """The names of the fields that a value is made of."""
    return (source,) if isinstance(source, str) else source or ()
