"""A person's word: a version becomes champion through the gate, once all who must have agreed."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fraudlake.errors import FraudlakeError
from fraudlake.models.gate import COMPARED, Comparison
from fraudlake.registry.client import CHAMPION

if TYPE_CHECKING:
    from fraudlake.models.gate import Gate
    from fraudlake.registry.client import Registry


def promote(
    registry: Registry,
    version: int,
    gate: Gate,
    *,
    by: str,
    why: str = "",
    overrule: bool = False,
) -> dict[str, Any]:
    """Make a version the champion, if it passes the gate; nothing changes where it is already.

    Where the gate asks for persons to agree, each call notes one, and the last one promotes.

    Parameters
    ----------
    by, why
        Who says so, and the reason.
    overrule
        Promote in spite of what the gate refuses, which is kept with the reason. The golden batch
        and the persons who must agree are not to be overruled.

    Returns
    -------
    dict
        `promoted`, `approvals` (who agreed, where the gate asks), and the change (`Change`), or
        `version`, `alias` and `missing`, how many must still agree.

    Raises
    ------
    FraudlakeError
        The gate refuses, the person agreed before, or as `Registry.promote` says.
    """
    champion = registry.champion()
    if champion == version:
        return {"promoted": True, **asdict(registry.promote(version, by=by, why=why))}
    registry.check(version)
    told = registry.describe(version)
    comparison = Comparison.read(told.get(COMPARED))
    refusals = gate.refusals(told["metrics"], comparison, champion)
    if refusals and not overrule:
        raise FraudlakeError(
            f"version {version} does not pass the gate. {'. '.join(refusals)}. To have it decide "
            "all the same: overrule=true why=REASON"
        )
    if refusals:
        why = f"{why} (overruled: {'. '.join(refusals)})"
    agreed: dict[str, Any] = {}
    if gate.approvals:
        names = registry.approve(version, by=by, why=why, trainer=gate.trainer_approves)
        agreed = {"approvals": names}
        if missing := max(gate.approvals - len(names), 0):
            pending = {"version": version, "alias": CHAMPION, "missing": missing}
            return {"promoted": False, **agreed, **pending}
    return {"promoted": True, **agreed, **asdict(registry.promote(version, by=by, why=why))}
