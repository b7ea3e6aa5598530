"""Which version has an alias, which ones had it before, and who gave it to them, why."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from fraudlake.errors import FraudlakeError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TAG = "change."
_LONGEST = 2000  # MLflow keeps 5000 characters of a tag


@dataclass(frozen=True)
class Change:
    """An alias that went to a version.

    Attributes
    ----------
    alias, version
        What went where.
    before
        The version that had it; None where none had.
    by, why
        Who gave it, and the reason, as they were told.
    at
        When, ISO 8601 in UTC.
    sha256
        Of the version's bundle.
    rollback
        Whether the version got it back.
    """

    alias: str
    version: int
    before: int | None
    by: str
    why: str
    at: str
    sha256: str | None
    rollback: bool = False


class Aliases:
    """The aliases of a registered model. Each change stands among the model's tags, for good."""

    def __init__(self, client: MlflowClient, name: str) -> None:
        self._client, self._name = client, name

    def now(self) -> dict[str, int]:
        """Alias → version."""
        models = self._client.search_registered_models(f"name = '{self._name}'")
        return {alias: int(v) for model in models for alias, v in model.aliases.items()}

    def give(
        self,
        alias: str,
        version: int,
        *,
        by: str,
        why: str,
        sha256: str | None,
        rollback: bool = False,
    ) -> Change:
        """Give an alias to a version; nothing changes where it has it already."""
        before = self.now().get(alias)
        at = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        change = Change(alias, version, before, by, why[:_LONGEST], at, sha256, rollback)
        if before != version:
            # First what will be: a change that nobody noted would be worse than a note too many.
            tag = f"{_TAG}{at}.{uuid4().hex[:8]}"
            told = json.dumps(asdict(change), sort_keys=True)
            self._client.set_registered_model_tag(self._name, tag, told)
            self._client.set_registered_model_alias(self._name, alias, str(version))
        return change

    def changes(self) -> list[Change]:
        """Every change, oldest first."""
        models = self._client.search_registered_models(f"name = '{self._name}'")
        tags = {tag: text for model in models for tag, text in model.tags.items()}
        return [Change(**json.loads(tags[tag])) for tag in sorted(tags) if tag.startswith(_TAG)]

    def before(self, alias: str) -> int:
        """The version that had an alias before the one that has it took over.

        Raises
        ------
        FraudlakeError
            No version has it, or none had it before.
        """
        now = self.now().get(alias)
        if now is None:
            raise FraudlakeError(f"{alias}: got no version that has it, expected one to go back on")
        for change in reversed(self.changes()):
            if (change.alias, change.version, change.rollback) != (alias, now, False):
                continue
            if change.before is None:
                break
            return change.before
        raise FraudlakeError(
            f"{alias}: got no version that had it before version {now}, expected one in the log of "
            "changes; name the version: fraudlake promote version=VERSION"
        )
