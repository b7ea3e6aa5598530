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
    keys = _keys(model)
    problems = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"])
        problems += [f"{key}: {text}" if key else text for text in _sentences(item, keys)]
    return problems


def _sentences(item: Any, keys: dict[str, str]) -> list[str]:
    """What one pydantic error says, without its key."""
    inner = item.get("ctx", {}).get("error")
    if isinstance(inner, ConfigError):
        return inner.problems
    if item["type"] == "missing":
        return [f"missing, expected {keys.get(str(item['loc'][0])) or 'a value'}"]
    if item["type"] == "extra_forbidden":
        close = get_close_matches(str(item["loc"][-1]), keys, n=1)
        hint = f"; did you mean {close[0]}?" if close and len(item["loc"]) == 1 else ""
        at_top = f", expected one of {', '.join(keys)}" if len(item["loc"]) == 1 else ""
        return [f"unknown key{at_top}{hint}"]
    wanted = _PLAIN.get(item["type"], item["msg"])
    wanted = wanted.removeprefix("Value error, ").removeprefix("Input should be ")
    if isinstance(item["input"], (dict, BaseModel)):
        return [f"expected {wanted}"]
    return [f"got {item['input']!r}, expected {wanted}"]


def _keys(model: type[BaseModel]) -> dict[str, str]:
    return {f.alias or name: f.description or "" for name, f in model.model_fields.items()}
