"""Go the whole way once on synthetic transactions, from raw files to flags with reasons.

Reads: nothing.
Writes: raw files, a lake and a model registry, all below the folder of `lake=`. Trains both shipped
contenders, scores a week in batch and the next one as a stream, holds the stream against a batch
recomputation bit for bit, and ends in one page on the terminal. A second run changes no transaction
and no feature, but trains anew, since the feature table has grown in the meantime.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from fraudlake import instants, job, options


class Arguments(job.Arguments):
    lake: options.Lake = Field("build/demo/lake", description="folder of the demo's tables")
    customers: int = Field(2000, ge=200, description="customers; each makes 2 transactions a day")
    from_: instants.Instant = Field(
        datetime(2026, 1, 1, tzinfo=UTC), alias="from", description="first day, UTC"
    )
    alerts: options.Count = Field(20, description="alert budget, flagged transactions a day")
    seed: int = Field(1, ge=0, description="another seed, another world")


def run(spark: Any, args: Arguments) -> job.Result:
    """One job after the other, each as a user would call it, then the page."""
    from fraudlake.lake import Lake
    from fraudlake.reports import terminal

    def day(number: int) -> str:
        return instants.format_instant(args.from_ + timedelta(days=number))

    def step(name: str, **values: Any) -> job.Result:
        steps.append(name)
        job.log.info("---- step %d of 11: %s ----", len(steps), name)
        return job.call(name, spark, **{key.rstrip("_"): value for key, value in values.items()})

    steps: list[str] = []
    raw, lake = Path(args.lake).parent / "raw", args.lake
    # 37 days of history for the longest window, 14 to train on, 7 until labels are known, 7 to
    # score in batch and 7 as a stream.
    train, gap, week, live, end = 37, 51, 58, 65, 72
    world = {"customers": args.customers, "seed": args.seed}
    faults = {"late": 0.01, "duplicates": 0.01, "malformed": 0.005}
    data = {"lake": lake, "dataset": "simulated"}

    step("simulate", output=raw / "history", from_=day(0), days=live, **world, **faults)
    step("simulate", output=raw / "live", from_=day(live), days=end - live, **world, **faults)
    step("ingest", **data, input=raw / "history")
    step("features", **data, to=day(live))
    windows = {
        "train_from": day(train),
        "train_to": day(gap),
        "test_from": day(week),
        "test_to": day(live),
    }
    models = [
        step("train", lake=lake, model=model, alerts=args.alerts, seed=args.seed, **windows)
        for model in ("xgboost", "mlp")
    ]
    budget = {"lake": lake, "alerts": args.alerts}
    step("score", **budget, from_=day(week), to=day(live))
    stream = step("stream", **data, input=raw / "live", from_=day(live), to=day(end),
                  alerts=args.alerts, replay="1d")  # fmt: skip
    step("ingest", **data, input=raw / "live")
    step("features", **data)
    parity = step("parity", **budget, from_=day(live), to=day(end))
    terminal.show(Lake(spark, lake), models, stream, parity)
    return {"models": models, "stream": stream, "parity": parity}


if __name__ == "__main__":
    job.main(Arguments, run)
