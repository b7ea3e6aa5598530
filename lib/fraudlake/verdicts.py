"""Feeds of verdicts: who says of which transaction that it was fraud or not, and since when."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from fraudlake.columns import Column
from fraudlake.errors import ConfigError
from fraudlake.feeds import Feed, with_ref

_KINDS = {"tx_id": "bigint", "is_fraud": "boolean", "known_at": "timestamp", "source": "string"}
_TRUE, _FALSE = ["1", "true", "fraud"], ["0", "false", "genuine"]


class Verdicts(Feed):
    """One feed of verdicts; all that is left out is as `fraudlake feedback` expects it anyway.

    `columns` has `tx_id` (`type: string` where the data set's ids are text), `is_fraud`, `known_at`
    and `source`. A record without `known_at` says what is known when it arrives; one without
    `source` says it for the feed; one without `is_fraud`, as the words in its `nulls` are, is
    undecided.
    """

    format: str = Field("jsonl", description="of its files: a module of `fraudlake.ingest.formats`")
    trust: int = Field(
        1,
        ge=0,
        description="whose verdict holds where several differ: the source of the highest trust, "
        "whatever comes later; of equal trust the newest. The data set's own label has 0",
    )
    columns: dict[str, Column] = Field(
        default={},
        validate_default=True,
        description="of `tx_id`, `is_fraud`, `known_at`, `source`",
    )

    @field_validator("columns", mode="before")
    @classmethod
    def _of_their_types(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        usual: dict[str, dict[str, Any]] = {
            "tx_id": {"source": "tx_id"},
            "is_fraud": {"source": "verdict", "true": _TRUE, "false": _FALSE},
            "known_at": {"source": "known_at"},
            "source": {"source": "source"},
        }
        if unknown := sorted(set(value) - {*usual, "tx_ref"}):
            names = ", ".join(usual)
            raise ConfigError([f"got {name}, expected one of {names}" for name in unknown])
        given = {
            name: {"type": _KINDS[name], "required": name == "tx_id", **spec}
            for name, spec in (usual | value).items()
            if isinstance(spec, dict) and name in usual
        }
        return {**value, **given}

    @field_validator("label")
    @classmethod
    def _no_label(cls, value: object) -> None:
        if value is not None:
            raise ConfigError(["got a label, expected is_fraud among columns"])

    @field_validator("columns")
    @classmethod
    def _with_ref(cls, value: dict[str, Column]) -> dict[str, Column]:
        wrong = [
            f"{name}: got type {column.type}, expected {_KINDS[name]}"
            for name, column in value.items()
            if name not in ("tx_id", "tx_ref") and column.type != _KINDS[name]
        ]
        if value["tx_id"].type not in ("bigint", "string"):
            wrong.append(f"tx_id: got type {value['tx_id'].type}, expected bigint or string")
        if wrong:
            raise ConfigError(wrong)
        return with_ref(value)


def usual(name: str, kind: str) -> Verdicts:
    """Where a data set names none: JSON lines with tx_id, verdict, known_at and source."""
    columns = {"tx_id": {"source": "tx_id", "type": kind}}
    return Verdicts.model_validate({"name": name, "columns": columns})
