"""Give an alias back to the model version that had it before.

Reads: the log of changes; the version's bundle, which is compared with what was registered. Writes:
the alias in the registry, and who gave it back, when and why. Running services take the version
between two batches. A second run goes back one version more.
"""

from __future__ import annotations

from dataclasses import asdict

from pydantic import Field

from fraudlake import job, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    alias: options.Alias = Field("champion", description="what goes back")
    by: options.By
    why: options.Why = ""


def run(_: None, args: Arguments) -> job.Result:
    """Look up who had it, then move the alias."""
    from fraudlake.registry import Registry

    return asdict(Registry(args.lake).rollback(args.alias, by=args.by, why=args.why))


if __name__ == "__main__":
    job.main(Arguments, run, spark=False)
