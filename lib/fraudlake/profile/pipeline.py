"""From unknown files to a YAML and a page: look, count, propose, try it on the files, draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fraudlake.datasets import EVENT_COLUMNS, load_dataset
from fraudlake.errors import ConfigError
from fraudlake.ingest import files
from fraudlake.profile import counts, page, propose, reading

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fraudlake.profile.counts import Field, Taken
    from fraudlake.profile.propose import Proposal


@dataclass(frozen=True)
class Profile:
    """What was found out.

    Attributes
    ----------
    fields
        Every field, counted.
    proposal, taken
        The data set, and what it makes of the files.
    yaml, page
        Where they were written.
    """

    fields: list[Field]
    proposal: Proposal
    taken: Taken
    yaml: Path
    page: Path

    @property
    def records(self) -> int:
        """Records in the files, those that cannot be read too."""
        return max(self.taken.records, *(field.records for field in self.fields))


def profile(spark: SparkSession, path: str, folder: Path, name: str, sample: int) -> Profile:
    """Propose a data set for files, and try it on all of them.

    Parameters
    ----------
    path
        As `sources.read` takes it; no topic.
    folder, name
        `NAME.yaml` and `NAME.html` are written there.
    sample
        Most records from whose values it is found out how they are written.

    Raises
    ------
    DataError
        There are no files, or none that `ingest` reads.
    """
    with files.readable():
        raw = reading.look(spark, path)
        fields = counts.count(raw.rows, raw.fields, sample)

        def doubles(names: Sequence[str]) -> int:
            return counts.doubles(raw.rows, names)

        proposal = propose.propose(raw.format, raw.files, fields, doubles, datetime.now(UTC))
    proposal.questions[:0] = raw.questions
    folder.mkdir(parents=True, exist_ok=True)
    yaml = folder / f"{name}.yaml"
    records = max(field.records for field in fields)
    taken = _tried(spark, path, yaml, proposal, records)
    if taken.quarantined and loosen(proposal, taken):
        taken = _tried(spark, path, yaml, proposal, records)
    drawn = folder / f"{name}.html"
    drawn.write_text(page.html(path, fields, proposal, taken, yaml.read_text()), "utf-8")
    return Profile(fields, proposal, taken, yaml, drawn)


def _tried(spark: SparkSession, path: str, yaml: Path, proposal: Proposal, records: int) -> Taken:
    yaml.write_text(propose.text(proposal, path, records), "utf-8")
    try:
        dataset = load_dataset(str(yaml))
    except ConfigError as error:
        return counts.Taken(error=str(error))
    return counts.taken(spark, dataset, path)


def loosen(proposal: Proposal, taken: Taken) -> bool:
    """Read as text what is not what its sample looked like; true where something was changed."""
    wrong = {reason.partition(":")[0] for reason, _ in taken.reasons}
    changed = False
    for name in sorted(wrong & proposal.columns.keys() - set(EVENT_COLUMNS)):
        column = proposal.columns[name]
        if column["type"] != "string":
            kept = {k: v for k, v in column.items() if k in ("source", "token", "required")}
            proposal.columns[name] = kept | {"type": "string"}
            proposal.why[name] += f"; not {column['type']} in every record"
            changed = True
    return changed
