"""How a benchmark is started: bare words in their order, then `key=value`, by `main`'s names."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable


def call(main: Callable[..., int | None]) -> None:
    """Call it with the words of the command line and end with the exit code that it returns.

    `from=`, which Python keeps for itself, is the parameter `from_`. `--help` prints the text at
    the top of the benchmark's file and ends with 0; words that it does not take end with 2.
    """
    words, text = sys.argv[1:], main.__globals__["__doc__"]
    if {"-h", "--help", "help"} & {*words}:
        print(text)
        sys.exit(0)
    bare = [word for word in words if "=" not in word]
    named = dict(word.split("=", 1) for word in words if "=" in word)
    if "from" in named:
        named["from_"] = named.pop("from")
    try:
        inspect.signature(main).bind(*bare, **named)
    except TypeError as error:
        print(f"{text}\n{error}".replace("from_", "from"), file=sys.stderr)
        sys.exit(2)
    sys.exit(main(*bare, **named))
