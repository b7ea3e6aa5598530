"""Give an alias back to the model version that had it before.

Reads: the log of changes; the version's bundle, which is compared with what was registered. Writes:
the alias in the registry, and who gave it back, when and why. Running services take the version
between two batches. A second run goes back one version more.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field

from fraudlake import job, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    alias: Literal["champion", "challenger"] = Field("champion", description="what goes back")
    by: Annotated[str, Field(min_length=1, max_length=200)] = Field(
        description="who decides so, for the log of changes"
    )
    why: Annotated[str, Field(max_length=1000)] = Field(
        "", description="the reason, for the log of changes"
    )


def run(_: None, args: Arguments) -> job.Result:
    """Look up who had it, then move the alias."""
    from fraudlake.registry import Registry

    return asdict(Registry(args.lake).rollback(args.alias, by=args.by, why=args.why))


if __name__ == "__main__":
    job.main(Arguments, run, spark=False)
