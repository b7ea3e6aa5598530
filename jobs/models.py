"""Model versions of a lake: what they are, how they measured, who has which alias since when.

Reads: the registry. Writes: nothing. With `compare=3,5` only these, side by side, with what they do
not share.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fraudlake import job, options


def _versions(value: Any) -> tuple[str, ...]:
    words = tuple(word.strip() for word in str(value).split(","))
    if len(words) < 2 or not all(words):
        raise ValueError("two or more versions or aliases, such as 3,5 or champion,challenger")
    return words


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    compare: Annotated[tuple[str, ...], BeforeValidator(_versions)] | None = Field(
        None, description="versions or aliases to hold against each other: 3,5"
    )


def run(_: None, args: Arguments) -> job.Result:
    """Look them up, and print them as tables."""
    from fraudlake.registry import Registry
    from fraudlake.reports import models

    registry = Registry(args.lake)
    chosen = args.compare and [registry.resolve(word) for word in args.compare]
    numbers = list(dict.fromkeys(chosen or registry.versions()))
    versions = [registry.describe(number) for number in numbers]
    changes = [asdict(change) for change in registry.changes()]
    if args.compare:
        models.show_compared(versions)
    else:
        models.show(versions, changes)
        versions = [{k: v for k, v in one.items() if k != "parameters"} for one in versions]
    return {"versions": versions, "changes": changes, "remarks": models.remarks(versions)}


if __name__ == "__main__":
    job.main(Arguments, run, spark=False)
