"""One transaction as a JSON object, checked by what the data set says of its columns."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
)

from fraudlake.columns import Column
from fraudlake.config import explain
from fraudlake.datasets import Dataset
from fraudlake.errors import ConfigError
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.kernels import xxhash
from fraudlake.feeds import LARGEST_ID, TX_REF
from fraudlake.ingest import cards, checks, hashes
from fraudlake.ingest.values import number, reading, single
from fraudlake.instants import format_instant
from fraudlake.words import both

_MONEY_LIMIT = 10**16
_DIGITS_SHOWN = 40
_EXPECTED = {
    "bigint": "a whole number of 64 bits",
    "int": "a whole number of 32 bits",
    "double": "a finite number",
    "boolean": "true or false",
    "string": "text",
    "timestamp": "text such as 2018-04-01T12:30:00+02:00",
    "decimal(18,2)": "a number below 10^16 with at most 2 decimals",
}


class _Transaction(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TransactionReader:
    """Reads transactions of one data set for one feature set.

    Keys are the columns of the data set (not the fields of raw records), values are of their types:
    money as a number, times as ISO 8601 text, in the data set's zone where they name no offset.
    Where the data set says how a column is written (a pattern, minor units, words), its value is
    written so here too, as a raw record has it. What is required and used must be there; the others
    may, and are checked. An id that is text comes out as its number, and as `tx_ref`.

    Examples
    --------
    >>> from fraudlake.datasets import load_dataset
    >>> from fraudlake.features.definition.feature_set import load_feature_set
    >>> read = TransactionReader(load_dataset("handbook"), load_feature_set("handbook"))
    >>> read(b'{"tx_id": 1, "event_time": "2018-04-01", "customer_id": 2, "terminal_id": 3, '
    ...      b'"amount": 5.1}')["amount"]
    Decimal('5.10')
    """

    def __init__(self, dataset: Dataset, feature_set: FeatureSet) -> None:
        used = {"tx_id", "event_time", "amount", *feature_set.columns(dataset.entities)}
        used |= {str(column.scale) for name, column in dataset.columns.items() if name in used}
        self._hashed = dataset.hashed()
        self._secret = hashes.secret(dataset) if self._hashed else b""
        self._of_text = TX_REF in dataset.columns
        fields: dict[str, Any] = {}
        for place, (name, column) in enumerate(dataset.columns.items()):
            if name == TX_REF:
                continue
            required = column.required and name in used
            check = BeforeValidator(partial(_checked, name, column, dataset, required))
            default, said = ... if required else None, _expected(column)
            # By number: a column may be called like something that pydantic's models have.
            fields[f"c{place}"] = (
                Annotated[Any, check],
                Field(default, alias=name, description=said),
            )
        self._model = create_model("Transaction", __base__=_Transaction, **fields)

    def __call__(self, body: bytes) -> dict[str, Any]:
        """The transaction: column → value, None where there is none.

        Raises
        ------
        ConfigError
            Everything that is wrong with it.
        """
        try:
            found = json.loads(
                body, parse_float=Decimal, parse_constant=_refused, object_pairs_hook=_each_once
            )
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise ConfigError([f"body: expected a JSON object, got none ({error})"]) from None
        if not isinstance(found, dict):
            raise ConfigError([f"body: got {type(found).__name__}, expected a JSON object"])
        try:
            row = self._model.model_validate(found, context=found).model_dump(by_alias=True)
        except ValidationError as error:
            problems = explain(error, self._model)
            raise ConfigError([cards.hidden(problem) for problem in problems]) from None
        for name in self._hashed:
            if row[name] is not None:
                row[name] = hashes.of_text(row[name], self._secret)
        if self._of_text:
            row[TX_REF] = row["tx_id"]
            row["tx_id"] = int(xxhash.of_texts([row[TX_REF].encode()])[0]) & LARGEST_ID
        return row


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    ((name, times),) = Counter(name for name, _ in pairs).most_common(1) or [("", 0)]
    if times > 1:
        raise ValueError(f"{cards.hidden(name)!r} {times} times")
    return dict(pairs)


def _checked(
    name: str, column: Column, dataset: Dataset, required: bool, value: Any, info: ValidationInfo
) -> Any:
    if isinstance(value, str) and (column.type == "string" or column.written):
        value = value.strip(" \t") or None
    nulls = dataset.nulls if column.nulls is None else column.nulls
    if nulls and _text(value) in both(nulls):
        value = None
    if value is None and not required:
        return None
    found = _read(value, column, dataset, info.context or {})
    if found is None:
        raise ValueError(_expected(column))
    if not (column.token or column.hash) and cards.found_in(found):
        raise ValueError(cards.EXPECTED)
    if name == "event_time":
        _check_time(found, dataset.earliest)
    lowest, why = checks.lower_bound(name, column)
    if lowest is not None and found < Decimal(str(lowest)):
        raise ValueError(f"at least {lowest:g}{why}")
    if column.maximum is not None and found > Decimal(str(column.maximum)):
        raise ValueError(f"at most {column.maximum:g}")
    if column.values is not None and str(found) not in column.values:
        raise ValueError(f"one of {', '.join(column.values)}")
    return found


def _expected(column: Column) -> str:
    return reading.wanted(column) if column.written else _EXPECTED[column.type]


def _text(value: Any) -> str | None:
    """A value as a raw record would have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < _DIGITS_SHOWN else str(value)
    return str(value) if isinstance(value, str | int) else None


def _read(value: Any, column: Column, dataset: Dataset, record: Mapping[str, Any]) -> Any:
    """The value of a column, None where it is none of its type."""
    if column.type == "string":
        return _string(value)
    written = column.written
    text = value if isinstance(value, str) else _text(value) if written else None
    if column.type == "timestamp":
        zone, earliest = dataset.timezone, dataset.earliest
        return single.time_of(text, column, zone, datetime.now(UTC), earliest) if text else None
    if column.type == "boolean":
        return single.word_of(text or "", column) if written else _boolean(value)
    if written:
        currency = None
        if isinstance(column.scale, str):
            currency = (_text(record.get(column.scale)) or "none").strip(" \t")
        value = single.number_of(text, column, currency) if text else None
        if value is not None and column.type in ("bigint", "int") and value == int(value):
            value = int(value)
    if column.type == "decimal(18,2)":
        return _money(value, column)
    if column.type == "double":
        return _double(value)
    return _whole(value, 64 if column.type == "bigint" else 32)


def _check_time(found: datetime, earliest: datetime) -> None:
    if found > datetime.now(UTC) + timedelta(days=1):
        raise ValueError("a time no later than a day from now")
    if found < earliest:
        raise ValueError(f"a time from {format_instant(earliest)} on")


def _whole(value: Any, bits: int) -> int | None:
    fits = type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
    return value if fits else None


def _double(value: Any) -> float | None:
    found = float(str(value)) if type(value) in (int, Decimal) else math.nan
    return found if math.isfinite(found) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: Any) -> str | None:
    # Half of a surrogate pair is no character, and no UTF-8 can be made of it.
    whole = isinstance(value, str) and not any("\ud800" <= sign <= "\udfff" for sign in value)
    return value if whole else None


def _money(value: Any, column: Column) -> Decimal | None:
    if type(value) not in (int, Decimal) or not -_MONEY_LIMIT < value < _MONEY_LIMIT:
        return None
    value = single.rounded(Decimal(value), column)
    found, binary = round(value, 2), float(value)
    noise = abs(binary - float(found)) <= number.FLOAT_NOISE * abs(binary)
    if found == value or (found and noise and abs(binary) < number.FLOAT_EXACT):
        return (found or abs(found)) if abs(found) < _MONEY_LIMIT else None
    return None
