"""Give a model version an alias: `champion` decides in stream and serve, `challenger` is on trial.

Reads: the version's bundle, which is compared with what was registered. Writes: the alias in the
registry, and who gave it, when and why into the log of changes (`fraudlake models`). Running
services take the version between two batches, without a restart. A second run changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict

from pydantic import Field

from fraudlake import job, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    version: str = Field(description="version number, or the alias of one: challenger")
    alias: options.Alias = Field("champion", description="what it is to be")
    by: options.By
    why: options.Why = ""


def run(_: None, args: Arguments) -> job.Result:
    """Look at the version, then move the alias."""
    from fraudlake.registry import Registry

    registry = Registry(args.lake)
    version = registry.resolve(args.version)
    return asdict(registry.promote(version, args.alias, by=args.by, why=args.why))


if __name__ == "__main__":
    job.main(Arguments, run, spark=False)
