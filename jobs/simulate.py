"""Write raw files of synthetic card transactions, any number, seeded.

Reads: nothing.
Writes: JSON lines to `output=`, one or more files a day (`2026-01-05-0000.jsonl`), in
the form that the data set `simulated` describes, beside `_config.json` (these arguments) and
`_SUCCESS` (the result). Equal arguments give equal rows on any number of cores. A finished output
is left as it is, an unfinished one is written anew, a folder that holds anything else is refused.

The result counts the lines (`records` = `transactions` + `duplicates` + `malformed`), the
transactions that arrive `late`, and the `frauds` by kind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from fraudlake import instants, job, options

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Arguments(job.Arguments):
    output: options.OutputPath = Field(description="folder for the files")
    from_: instants.Instant = Field(
        datetime(2026, 1, 1, tzinfo=UTC), alias="from", description="first day, UTC"
    )
    days: int = Field(60, ge=1, le=3660, description="number of days")
    customers: int = Field(
        5000,
        ge=1,
        le=2**29,
        description="number of customers, each with 2 transactions a day",
    )
    merchants: int | None = Field(
        None,
        ge=200,
        le=2**40,
        description="number of merchants; left out, 2 for 5 customers",
    )
    skew: float = Field(1.0, ge=0, le=3, description="Zipf exponent of merchants; 0: all as busy")
    fraud: float = Field(0.007, ge=0, le=0.05, description="expected share of frauds, roughly met")
    late: options.Share = Field(0.0, description="share that arrives 1 to 3 days after its day")
    duplicates: options.Share = Field(0.0, description="share that is sent twice")
    malformed: options.Share = Field(0.0, description="share that is sent a second time, broken")
    files_per_day: options.Count | None = Field(
        None, description="files a day; left out, one for every 100,000 customers"
    )
    seed: int = Field(1, ge=0, le=2**63 - 1, description="another seed, another world")

    @field_validator("from_")
    @classmethod
    def _day(cls, value: datetime) -> datetime:
        if value.time() != datetime.min.time() or not 1970 <= value.year < 2049:
            raise ValueError("a day (2026-01-01) from 1970 to 2048")
        return value


def run(spark: SparkSession, args: Arguments) -> job.Result:
    """Draw days, customers and faults, write one file after the other, report."""
    from fraudlake import simulate

    merchants = args.merchants or max(200, args.customers * 2 // 5)
    per_day = args.files_per_day or -(-args.customers // simulate.CUSTOMERS_PER_FILE)
    config = job.resolved(args) | {"merchants": merchants, "files_per_day": per_day}
    del config["output"]

    folder = simulate.RawFolder(spark, args.output)
    result = folder.finished(config)
    if result is None:
        world = simulate.World(args.seed, args.customers, merchants, args.skew, args.fraud)
        faults = simulate.Faults(args.late, args.duplicates, args.malformed)
        first = args.from_.date()
        lines = simulate.lines(spark, world, faults, first, args.days, per_day)
        result = folder.write(config, lines, first, args.days, per_day)
    return {"output": args.output, **result}


if __name__ == "__main__":
    job.main(Arguments, run)
