"""One transaction as a JSON object, checked by what the data set says of its columns."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from fraudlake.config import explain
from fraudlake.datasets import Column, Dataset
from fraudlake.errors import ConfigError
from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.ingest import cards, checks
from fraudlake.instants import parse_instant

_MONEY_LIMIT = 10**16
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
    What is required and used must be there; the others may, and are checked.

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
        fields: dict[str, Any] = {}
        for place, (name, column) in enumerate(dataset.columns.items()):
            required = column.required and name in used
            check = BeforeValidator(partial(_checked, name, column, dataset.timezone, required))
            default, said = ... if required else None, _EXPECTED[column.type]
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
            return self._model.model_validate(found).model_dump(by_alias=True)
        except ValidationError as error:
            problems = explain(error, self._model)
            raise ConfigError([cards.hidden(problem) for problem in problems]) from None


def _refused(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    ((name, times),) = Counter(name for name, _ in pairs).most_common(1) or [("", 0)]
    if times > 1:
        raise ValueError(f"{cards.hidden(name)!r} {times} times")
    return dict(pairs)


def _checked(name: str, column: Column, zone: str, required: bool, value: Any) -> Any:
    if isinstance(value, str) and column.type == "string":
        value = value.strip(" \t") or None
    if value is None and not required:
        return None
    read: Callable[[Any, str], Any] = _READ[column.type]
    found = read(value, zone)
    if found is None:
        raise ValueError(_EXPECTED[column.type])
    if not column.token and cards.found_in(found):
        raise ValueError(cards.EXPECTED)
    if name == "event_time":
        _check_time(found)
    lowest = max(column.minimum or 0.0, 0.0) if name == "amount" else column.minimum
    if lowest is not None and found < Decimal(str(lowest)):
        raise ValueError(f"at least {lowest:g}")
    if column.maximum is not None and found > Decimal(str(column.maximum)):
        raise ValueError(f"at most {column.maximum:g}")
    if column.values is not None and str(found) not in column.values:
        raise ValueError(f"one of {', '.join(column.values)}")
    return found


def _check_time(found: datetime) -> None:
    if found > datetime.now(UTC) + timedelta(days=1):
        raise ValueError("a time no later than a day from now")
    if found < parse_instant(checks.EARLIEST):
        raise ValueError(f"a time from {checks.EARLIEST} on")


def _whole(value: Any, _: str, bits: int) -> int | None:
    fits = type(value) is int and -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)
    return value if fits else None


def _double(value: Any, _: str) -> float | None:
    found = float(str(value)) if type(value) in (int, Decimal) else math.nan
    return found if math.isfinite(found) else None


def _boolean(value: Any, _: str) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: Any, _: str) -> str | None:
    # Half of a surrogate pair is no character, and no UTF-8 can be made of it.
    whole = isinstance(value, str) and not any("\ud800" <= sign <= "\udfff" for sign in value)
    return value if whole else None


def _timestamp(value: Any, zone: str) -> datetime | None:
    try:
        if not any(re.match(form, value) for form in (checks.LOCAL, checks.ZONED, checks.DAY)):
            return None
        found = datetime.fromisoformat(re.sub(" ?(UTC|Z)$", "Z", value).replace(" +", "+"))
        found = found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))
        return found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _money(value: Any, _: str) -> Decimal | None:
    if type(value) not in (int, Decimal) or not -_MONEY_LIMIT < value < _MONEY_LIMIT:
        return None
    found, number = round(Decimal(value), 2), float(value)
    noise = abs(number - float(found)) <= checks.FLOAT_NOISE * abs(number)
    if found == value or (found and noise and abs(number) < checks.FLOAT_EXACT):
        return found or abs(found)
    return None


_READ: dict[str, Callable[[Any, str], Any]] = {
    "bigint": partial(_whole, bits=64),
    "int": partial(_whole, bits=32),
    "double": _double,
    "boolean": _boolean,
    "string": _string,
    "timestamp": _timestamp,
    "decimal(18,2)": _money,
}
