"""Concurrent callers of the HTTP scorer, with and without batching; answers held against `scores`.

    .venv/bin/python benchmarks/http_load.py lake=build/handbook dataset=handbook \
        from=2018-08-25 [to=] [callers=100] [seconds=20] [batch=64] [logs=/tmp]

`lake` has been scored, and its stream (state in `_stream`) has come to an end. Transactions of the
range are asked for in turn by callers that each wait for their answer. They are in the state
already, and the scorer counts them once, so each answer must be the score that stands in `scores`.
The server is a process of its own, started once with `batch=1` and once with `batch`; the callers
are asyncio tasks of this one. `cpu` is the server's processor time a request.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import numpy as np
import psutil

from fraudlake import instants, session
from fraudlake.datasets import load_dataset
from fraudlake.instants import time_range
from fraudlake.lake import Lake
from fraudlake.lake.tables import SCORES, TRANSACTIONS

MOST_REQUESTS = 20_000


def transactions(root, dataset, start, end):
    """Bodies of requests, the scores to expect, the version of the model that gave them."""
    spark = session.open_spark("http load", **{"spark.sql.shuffle.partitions": "2"})
    lake, within = Lake(spark, root), time_range(start, end)
    scores = lake.read(SCORES).where(within)
    version = scores.groupBy("model_version").count().orderBy("count").collect()[-1][0]
    columns = [name for name, column in dataset.columns.items() if column.required]
    rows = lake.read(TRANSACTIONS).where(within).select(*columns)
    scores = scores.where(f"model_version = {version}").select("tx_id", "score")
    found = rows.join(scores, "tx_id").orderBy("tx_id").limit(MOST_REQUESTS).toArrow()
    spark.stop()
    expected = found["score"].to_pylist()
    bodies = []
    for row in found.drop_columns("score").to_pylist():
        row |= {"event_time": row["event_time"].isoformat(), "amount": float(row["amount"])}
        bodies.append(json.dumps(row).encode())
    return bodies, expected, version


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def ask(port, bodies, expected, callers, seconds):
    """Latencies in seconds, wrong answers, time taken."""
    latencies, wrong, asked = [], [], 0
    url = f"http://127.0.0.1:{port}/score"
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as client:
        begun = time.perf_counter()

        async def caller():
            nonlocal asked
            while time.perf_counter() - begun < seconds:
                place = asked % len(bodies)
                asked += 1
                sent = time.perf_counter()
                async with client.post(url, data=bodies[place]) as response:
                    body = await response.read()
                latencies.append(time.perf_counter() - sent)
                if response.status != 200 or json.loads(body)["score"] != expected[place]:
                    wrong.append((place, response.status))

        await asyncio.gather(*[caller() for _ in range(callers)])
        return np.array(latencies), wrong, time.perf_counter() - begun


def measured(serve, batch, log, bodies, expected, callers, seconds):
    port = free_port()
    command = [
        *(sys.executable, "-m", "fraudlake.cli", "serve"),
        *(*serve, f"listen={port}", f"batch={batch}"),
    ]
    with log.open("w") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        ready(server, port)
        asyncio.run(ask(port, bodies, expected, callers, 2))
        before = sum(psutil.Process(server.pid).cpu_times()[:2])
        latencies, wrong, took = asyncio.run(ask(port, bodies, expected, callers, seconds))
        used = sum(psutil.Process(server.pid).cpu_times()[:2]) - before
    finally:
        server.terminate()
        server.wait(30)
    middle, high = np.percentile(latencies, [50, 99]) * 1e3
    return {
        "batch": batch,
        "callers": callers,
        "requests": len(latencies),
        "equal": len(latencies) - len(wrong),
        "a_second": round(len(latencies) / took),
        "p50_ms": round(middle),
        "p99_ms": round(high),
        "cpu_ms": round(used / len(latencies) * 1e3, 2),
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def ready(server, port):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    sys.exit("the server did not start: see its log")


def main(
    lake, dataset, from_, to="", callers="100", seconds="20", batch="64", logs="/tmp"  # noqa: S108
):  # fmt: skip
    start, end = instants.parse_instant(from_), instants.parse_instant(to) if to else None
    bodies, expected, version = transactions(lake, load_dataset(dataset), start, end)
    print(f"{len(bodies)} transactions, model version {version}")
    serve = [f"lake={lake}", f"dataset={dataset}", f"model={version}"]
    for size in (1, int(batch)):
        log = Path(logs, f"http_load_{size}.log")
        found = measured(serve, size, log, bodies, expected, int(callers), float(seconds))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    from words import call

    call(main)
