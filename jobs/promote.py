"""Give a model version an alias: `champion` decides in stream and serve, `challenger` is on trial.

Reads: the version's bundle, which is compared with what was registered, and its figures, which a
`champion` shows to the gate (`conf/gates`). Writes: the alias in the registry, and who gave it,
when and why into the log of changes (`fraudlake models`); where the gate asks for approvals, first
those, one a call. Running services take the version between two batches, without a restart. A
second run changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import Field

from fraudlake import job, names, options


class Arguments(job.Arguments):
    lake: options.Lake = Field(
        "build/lake", description="folder, URI or catalog.schema of the tables"
    )
    version: str = Field(description="version number, or the alias of one: challenger")
    alias: options.Alias = Field("champion", description="what it is to be")
    by: options.By
    why: options.Why = ""
    gate: names.GateName = None
    overrule: bool = Field(
        False, description="promote in spite of what the gate refuses; why= says the reason"
    )

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        found = super().problems(given)
        if given.get("overrule") and not given.get("why", "").strip():
            found.append("why: got nothing, expected a reason, for overrule=true")
        return found


def run(_: None, args: Arguments) -> job.Result:
    """Look at the version, ask the gate, then move the alias."""
    from fraudlake.models.gate import load_gate
    from fraudlake.registry import Registry, promotion

    registry = Registry(args.lake)
    version = registry.resolve(args.version)
    if args.alias == "challenger":
        return asdict(registry.promote(version, args.alias, by=args.by, why=args.why))
    gate, said = load_gate(args.gate), {"by": args.by, "why": args.why}
    return promotion.promote(registry, version, gate, **said, overrule=args.overrule)


if __name__ == "__main__":
    job.main(Arguments, run, spark=False)
