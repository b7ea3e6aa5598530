"""Window features by this project's kernels, Spark's own windows, DuckDB and Polars, side by side.

    .venv/bin/python benchmarks/windows [rows=1000000] [skew=0] [engines=fraudlake,duckdb]

One engine after the other on the same two cores, each in a process of its own, from raw Parquet
files (1 % of the rows late, 1 % doubled) to a table on disk. Before a time is printed the table is
checked: one row a payment, and the 12 columns of a few hundred payments, the busiest terminal's
among them, as a plain loop over the payments gives them. `skew` is the exponent of Zipf's law over
terminals; with `handbook=FOLDER copies=7` the payments are the Handbook's, seven times over with
other ids. `make peers` installs DuckDB and Polars, which no job of the project needs.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.dataset as ds
from engines import DAY, DAYS, DELAY, ENGINES, columns
from generate import World

SAMPLED = 20


def answers(source: Path, seed: int) -> dict[int, list[float]]:
    """Of some payments the 12 columns, from all payments of their customer and terminal."""
    files = ds.dataset(source)
    random = np.random.default_rng(seed)
    terminals = files.to_table(["terminal_id"])["terminal_id"].to_numpy()
    busiest = np.flatnonzero(terminals == np.bincount(terminals).argmax())
    rows = [*random.integers(0, len(terminals), SAMPLED), *random.choice(busiest, SAMPLED)]
    sample = files.take(sorted(set(rows)), columns=["tx_id", "customer_id", "terminal_id"])
    near = ds.field("customer_id").isin(sample["customer_id"].unique())
    near |= ds.field("terminal_id").isin(sample["terminal_id"].unique())
    payments = files.to_table(filter=near)
    ids, once = np.unique(payments["tx_id"].to_numpy(), return_index=True)
    payments = payments.take(once)
    time_of = payments["event_time"].cast("int64").to_numpy()
    cents, fraud = payments["cents"].to_numpy(), payments["fraud"].to_numpy()
    customer, terminal = payments["customer_id"].to_numpy(), payments["terminal_id"].to_numpy()
    found = {}
    for row in np.searchsorted(ids, np.unique(sample["tx_id"].to_numpy())):
        now, values = time_of[row], []
        mine, here = (
            np.flatnonzero(customer == customer[row]),
            np.flatnonzero(terminal == terminal[row]),
        )
        for days in DAYS:
            inside = mine[(time_of[mine] > now - days * DAY) & (time_of[mine] <= now)]
            values += [len(inside), cents[inside].sum() / (100 * len(inside))]
        for days in DAYS:
            end = now - DELAY * DAY
            inside = here[(time_of[here] > end - days * DAY) & (time_of[here] <= end)]
            values += [len(inside), fraud[inside].sum() / len(inside) if len(inside) else 0.0]
        found[int(ids[row])] = values
    return found


def check(folder: Path, rows: int, expected: dict[int, list[float]]) -> None:
    """One row a payment, and the right values on the sample."""
    files = [str(path) for path in folder.glob("*.parquet")]
    table = ds.dataset(files)
    if table.count_rows() != rows:
        raise SystemExit(f"got {table.count_rows()} rows, expected {rows}")
    sample = table.to_table(["tx_id", *columns()], filter=ds.field("tx_id").isin(list(expected)))
    for row in sample.to_pylist():
        got = [row[name] for name in columns()]
        if not np.allclose(got, expected[row["tx_id"]], rtol=1e-12, atol=0):
            raise SystemExit(
                f"payment {row['tx_id']}: got {got}, expected {expected[row['tx_id']]}"
            )


def measured(
    engine: str, source: Path, target: Path, limit: float
) -> tuple[float, float, float] | None:
    """Seconds, processor seconds and peak memory (GiB) of all processes; None: over the limit."""
    process = multiprocessing.get_context("spawn").Process(
        target=ENGINES[engine], args=(source, target)
    )
    peak = [0.0]
    busy: dict[int, float] = {}
    started = time.perf_counter()
    process.start()

    def watch() -> None:
        while process.is_alive():
            members = _family(process.pid)
            peak[0] = max(peak[0], sum(_memory(p) for p in members))
            busy.update({p.pid: _processor(p) or busy.get(p.pid, 0.0) for p in members})
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.join(limit)
    seconds = time.perf_counter() - started
    if process.is_alive():
        for member in _family(process.pid):
            member.kill()
        process.join()
        return None
    watcher.join()
    if process.exitcode:
        raise SystemExit(f"{engine} failed")
    return seconds, sum(busy.values()), peak[0] / 2**30


def _family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _memory(process: psutil.Process) -> int:
    """Its own memory and its share of what it has in common with others."""
    try:
        return process.memory_full_info().pss
    except psutil.Error:
        return 0


def _processor(process: psutil.Process) -> float:
    """Seconds that it has had a core."""
    try:
        return sum(process.cpu_times()[:2])
    except psutil.Error:
        return 0.0


def main(
    rows="1000000", days="180", customers="0", terminals="0", skew="0", late="0.01",
    duplicates="0.01", seed="1", handbook="", copies="7", engines="", limit="1200",
) -> None:  # fmt: skip
    world = World(
        int(rows), int(days), int(customers), int(terminals), float(skew), float(late),
        float(duplicates), int(seed), handbook, int(copies),
    )  # fmt: skip
    results = {}
    with tempfile.TemporaryDirectory() as work:
        source = Path(work) / "payments"
        rows = world.write(source)
        expected = answers(source, world.seed)
        for engine in engines.split(",") if engines else ENGINES:
            print(f"{engine} ...", file=sys.stderr, flush=True)
            target = Path(work) / engine
            results[engine] = measured(engine, source, target, float(limit))
            if results[engine]:
                check(target, rows, expected)
    print(f"\n{world}: {rows} payments\n")
    print("| engine | seconds | to the first | processor seconds | peak memory, GiB |")
    print("|---|---|---|---|---|")
    first = next(iter(results.values()))
    for engine, result in results.items():
        if result is None:
            print(f"| {engine} | stopped after {limit} s | | | |")
        else:
            ratio = f"{result[0] / first[0]:.2f}" if first else ""
            print(f"| {engine} | {result[0]:.1f} | {ratio} | {result[1]:.1f} | {result[2]:.1f} |")


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from words import call

    call(main)
