"""Words of the data in YAML: what they are, whatever YAML takes them for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

_KEYS = ("true", "false", "nulls", "unknown")


def load(text: str) -> Any:
    r"""A YAML text, in which words of the data (`true: [Yes]`, `nulls: [NULL]`) stay as written.

    >>> load("true: [Yes, 1]\nnulls: [NULL, ~]\nrequired: true")
    {'true': ['Yes', '1'], 'nulls': ['NULL', '~'], 'required': True}
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _keep_words(node)
        return loader.construct_document(node) if node else None
    finally:
        loader.dispose()


def _keep_words(node: Any) -> None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    for key, value in pairs:
        if isinstance(key, yaml.ScalarNode) and key.value in _KEYS:
            listed = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for word in (key, *listed):
                if isinstance(word, yaml.ScalarNode) and (
                    word is not value or word.value != "null"
                ):
                    word.tag = "tag:yaml.org,2002:str"
        else:
            _keep_words(value)
    for item in node.value if isinstance(node, yaml.SequenceNode) else ():
        _keep_words(item)


def listed(value: Any) -> list[Any]:
    """What a key holds, as a list, whether it is one or not."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


def one(value: Any) -> str:
    """A word as text."""
    if value is None or isinstance(value, bool):  # a word that YAML took for its own
        return {None: "null", True: "true", False: "false"}[value]
    return str(value).strip()


def several(value: Any) -> tuple[str, ...] | None:
    """The words of a key, None where it has none.

    Raises
    ------
    ValueError
        One is no word.
    """
    if value is None:
        return None
    if any(isinstance(word, (dict, list)) for word in listed(value)):
        raise ValueError("a list of words")
    return tuple(map(one, listed(value)))


def both(words: Iterable[str]) -> list[str]:
    """Words as they are written, and whole numbers as a double writes them too (-1, -1.0)."""
    found = [text for w in words for text in ([w, f"{w}.0"] if w.lstrip("+-").isdigit() else [w])]
    return list(dict.fromkeys(found))
