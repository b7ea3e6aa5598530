"""What is wrong with a configuration, in words: each key, what was given, what was expected."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from fraudlake.errors import ConfigError

_PLAIN = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "float_parsing": "a number",
}


def explain(error: Exception, model: type[BaseModel]) -> list[str]:
    """One sentence for each problem: the key, what was given, what was expected."""
    if not isinstance(error, ValidationError):
        return [f"got {' '.join(str(error).split())!r}, expected YAML keys and values"]
    problems = []
    for item in error.errors():
        keys = _keys(_inner(model, item["loc"][:-1]))
        key = ".".join(str(part) for part in item["loc"])
        problems += [f"{key}: {text}" if key else text for text in _sentences(item, keys)]
    return problems


def _sentences(item: Any, keys: dict[str, str]) -> list[str]:
    """What one pydantic error says, without its key."""
    inner = item.get("ctx", {}).get("error")
    if isinstance(inner, ConfigError):
        return inner.problems
    if item["type"] == "missing":
        return [f"missing, expected {keys.get(str(item['loc'][-1])) or 'a value'}"]
    if item["type"] == "extra_forbidden":
        close = get_close_matches(str(item["loc"][-1]), keys, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        expected = f", expected one of {', '.join(keys)}" if keys else ""
        return [f"unknown key{expected}{hint}"]
    wanted = _PLAIN.get(item["type"], item["msg"])
    wanted = wanted.removeprefix("Value error, ").removeprefix("Input should be ")
    if isinstance(item["input"], (dict, BaseModel)):
        return [f"expected {wanted}"]
    return [f"got {item['input']!r}, expected {wanted}"]


def _inner(model: type[BaseModel] | None, place: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model whose fields stand at a place within another; None within lists, dicts, unions."""
    for part in place:
        fields = model.model_fields.items() if model else ()
        found = [f.annotation for name, f in fields if part in (name, f.alias)]
        inner: Any = found[0] if found else None
        model = inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None
    return model


def _keys(model: type[BaseModel] | None) -> dict[str, str]:
    if model is None:
        return {}
    return {f.alias or name: f.description or "" for name, f in model.model_fields.items()}
