"""Look at unknown raw files: what is in every field, a data set's YAML that reads them, questions.

Reads: raw files (CSV, JSON lines or Parquet; a file, a folder, a pattern) or a Delta table, all of
them; nothing is known of them before. Writes: NAME.yaml, with `# ?` before what only the owner of
the files knows, and NAME.html, in the folder of `output=`. The YAML is tried on the files as
`ingest` reads them: `taken`, `quarantined`. A second run on the same files writes the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from fraudlake import job, options


class Arguments(job.Arguments):
    input: options.InputPath = Field(
        description="file, folder or pattern of raw files, or a Delta table"
    )
    output: options.OutputPath = Field("build/profile", description="folder of YAML and page")
    name: str = Field("dataset", pattern=r"^[A-Za-z0-9][\w-]*$", description="name of the data set")
    sample: options.Count = Field(
        10_000, description="most records whose values are looked at one by one; all are counted"
    )

    @classmethod
    def problems(cls, given: Mapping[str, Any]) -> list[str]:
        topic = options.is_topic(given.get("input", ""))
        return super().problems(given) + (
            ["input: got a topic, expected files: write some of its records to a file"]
            if topic
            else []
        )


def run(spark: Any, args: Arguments) -> job.Result:
    """Profile, propose, report."""
    from fraudlake.profile.pipeline import profile
    from fraudlake.profile.propose import said

    found = profile(spark, args.input, Path(args.output), args.name, args.sample)
    return {
        "records": found.records,
        "fields": len(found.fields),
        "taken": found.taken.taken,
        "quarantined": found.taken.quarantined,
        "passed_over": found.taken.passed_over,
        "reasons": {said(reason): times for reason, times in found.taken.reasons},
        "error": said(found.taken.error),
        "questions": [said(question) for question in dict.fromkeys(found.proposal.questions)],
        "yaml": str(found.yaml),
        "page": str(found.page),
    }


if __name__ == "__main__":
    job.main(Arguments, run)
