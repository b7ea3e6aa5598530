"""The operations over windows, one module for each or for a family: what stands here is found."""

from __future__ import annotations

import copyreg
import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module

from fraudlake.features.feature import Operation


def _declared() -> dict[str, Operation]:
    operations: dict[str, Operation] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        for value in vars(import_module(module.name)).values():
            if (
                isinstance(value, Operation)
                and operations.setdefault(value.name, value) is not value
            ):
                raise TypeError(f"{module.name}: got operation {value.name}, which another has")
    return operations


OPERATIONS: Mapping[str, Operation] = _declared()


def named(name: str) -> Operation:
    """The operation of a name."""
    return OPERATIONS[name]


def _by_name(operation: Operation) -> tuple[Callable[[str], Operation], tuple[str]]:
    return named, (operation.name,)


# Features go to the workers with their operation's name, not with its code.
copyreg.pickle(Operation, _by_name)
