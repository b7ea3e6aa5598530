"""The stream under load, end to end: Kafka → Handbook features → XGBoost, reasons → Delta.

    .venv/bin/python benchmarks/load.py [rate=8500] [seconds=600] [warm=90] [trigger=2] \
        [cards=5000] [history=1000000] [folder=build/load]

Starts a broker of its own and the service as a process of its own, publishes drawn payments of
`cards` cards at twice as many terminals at an even `rate` a second, and after `warm` seconds reads
the service's own figures every two seconds for `seconds`. `history` payments of the 38 days before
are in the lake, so all are remembered; the lake is made at the first run and used again. The model
has 200 trees of depth 6, fitted to drawn features.

Prints rate, lag, latency from Kafka's time of publication to the commit of the score (p50, p99 from
the histogram, linear within a bucket), processor shares and memory by process. Exit code 1 where
the lag has grown by more than two triggers' records, or what was published was not all scored.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
PORT, METRICS = 19592, 19594
FLAGGED = 1 / 100  # of what is published
DAYS = 38


def make_lake(lake: Path, cards: int, history: int) -> None:
    """Transactions of the last days, labels of one in a hundred, a champion."""
    from fraudlake import session
    from fraudlake.lake import Lake
    from fraudlake.lake.tables import LABELS, TRANSACTIONS

    shutil.rmtree(lake, ignore_errors=True)
    shutil.rmtree(f"{lake}-mlflow", ignore_errors=True)
    spark = session.open_spark("load", **{"spark.master": "local[2]"})
    own = Lake(spark, str(lake))
    own.create(TRANSACTIONS, {"customer_id": "bigint", "terminal_id": "bigint"})
    own.create(LABELS)
    start = int((datetime.now(UTC) - timedelta(days=DAYS)).timestamp() * 1e6)
    rows = spark.range(history).selectExpr(
        "id AS tx_id",
        f"timestamp_micros(CAST({start} + id * {DAYS * 86_400e6 / history} AS bigint))"
        " AS event_time",
        "CAST(1 + pmod(xxhash64(id, 1), 9000) / 100 AS decimal(18,2)) AS amount",
        "current_timestamp() AS ingested_at",
        "'drawn' AS source_file",
        f"pmod(xxhash64(id, 2), {cards}) AS customer_id",
        f"pmod(xxhash64(id, 4), {2 * cards}) AS terminal_id",
    )
    rows.write.format("delta").mode("append").save(own.path(TRANSACTIONS))
    labels = rows.where("pmod(xxhash64(tx_id, 5), 100) = 0").selectExpr(
        "tx_id", "true AS is_fraud", "event_time + INTERVAL 7 DAYS AS known_at", "'bank' AS source"
    )
    labels.write.format("delta").mode("append").save(own.path(LABELS))
    spark.stop()
    make_champion(lake)


def make_champion(lake: Path) -> None:
    import xgboost

    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.models import bundle
    from fraudlake.models.calibration import Calibration
    from fraudlake.registry import Registry

    feature_set, random = load_feature_set("handbook"), np.random.default_rng(0)
    names = [feature.name for feature in feature_set.features]
    # Amounts as those that are published; what is flagged depends on them alone: other features
    # never vary here, so no tree asks for them, however long the history is.
    x = np.zeros((20_000, len(names)))
    x[:, 0] = random.integers(100, 9100, len(x)) / 100
    y = random.random(len(x)) < 1 / (1 + np.exp(6 - x[:, 0] / 15))
    settings = {"objective": "binary:logistic", "max_depth": 6, "eta": 0.05, "nthread": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), 200)
    score = float(np.quantile(booster.predict(xgboost.DMatrix(x)), 1 - FLAGGED))
    files = bundle.pack(
        "xgboost", dict.fromkeys(names), feature_set.hash, timedelta(days=7),
        bytes(booster.save_raw("ubj")), Calibration(1.0, 0.0), [score], 1.0, {},
    )  # fmt: skip
    Registry(str(lake)).register(
        files, contender="xgboost", fingerprint="load", parameters={}, metrics={}, tags={},
        plots={}, config={},
    )  # fmt: skip


def publish(rate: float, seconds: float, cards: int, told) -> None:
    """Drawn payments at an even rate; tells what was sent."""
    from confluent_kafka import Producer
    from kafka_load import publish as send

    random, first = np.random.default_rng(1), int(time.time()) * 1_000_000

    def payments():
        number = first
        while True:
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
            n = max(int(rate / 50), 1)
            customer, terminal = random.integers(0, cards, n), random.integers(0, 2 * cards, n)
            cents = random.integers(100, 9100, n)
            for c, t, a in zip(customer.tolist(), terminal.tolist(), cents.tolist(), strict=True):
                number += 1
                value = (
                    f'{{"TRANSACTION_ID":{number},"TX_DATETIME":"{now}","CUSTOMER_ID":{c},'
                    f'"TERMINAL_ID":{t},"TX_AMOUNT":"{a / 100:.2f}","TX_FRAUD":0}}'
                )
                yield "", str(c), value.encode()

    producer = Producer(
        {
            "bootstrap.servers": f"127.0.0.1:{PORT}",
            "linger.ms": 10,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    told.put(send(producer, "payments", payments(), {"rate": rate, "seconds": seconds}))


class Figures:
    """What `/metrics` says, as numbers."""

    def __init__(self) -> None:
        url = f"http://127.0.0.1:{METRICS}/metrics"
        self.time = time.monotonic()
        self.found: dict[str, float] = {}
        with urllib.request.urlopen(url, timeout=30) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith("fraudlake"):
                    name, value = line.rsplit(" ", 1)
                    self.found[name] = float(value)

    def __getitem__(self, name: str) -> float:
        return self.found.get(f"fraudlake_{name}", 0.0)

    def quantile(self, q: float, before: Figures) -> float:
        """Of the latency between two moments, linear within a bucket."""
        place = re.compile(r'fraudlake_latency_seconds_bucket\{le="(.*)"\}')
        counts = [
            (float(found[1]), value - before.found.get(name, 0.0))
            for name, value in self.found.items()
            if (found := place.fullmatch(name))
        ]
        wanted = q * counts[-1][1]
        for (low, below), (high, until) in pairwise([(0.0, 0.0), *counts]):
            if until >= wanted > below:
                return low + (high - low) * (wanted - below) / (until - below)
        return 0.0


def used(process: psutil.Process) -> dict[str, tuple[float, float]]:
    """Kind of process → processor seconds, memory in GiB; of a process and what it started."""
    found: dict[str, tuple[float, float]] = {}
    for member in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            kind = "java" if "java" in member.name() else "python"
            seconds = sum(member.cpu_times()[:2])
            memory = member.memory_full_info().pss / 2**30
            had = found.get(kind, (0.0, 0.0))
            found[kind] = had[0] + seconds, had[1] + memory
    return found


def wait(until, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.5)


def ready() -> bool:
    try:
        return urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/ready", timeout=5).status == 200
    except OSError:
        return False


def measure(service, broker, rate, seconds, warm, cards):
    """Publish; figures at the start and the end of the time that counts, and on the way."""
    told = multiprocessing.Queue()
    sender = multiprocessing.Process(target=publish, args=(rate, warm + seconds, cards, told))
    sender.start()
    parts = {"service": service, "broker": broker, "publisher": psutil.Process(sender.pid)}
    time.sleep(warm)
    start, before = Figures(), {name: used(process) for name, process in parts.items()}
    peak, lags, last, after = {}, [], start, before
    while time.monotonic() < start.time + seconds - 2:
        time.sleep(2)
        last, after = Figures(), {name: used(process) for name, process in parts.items()}
        lags.append(last['lag_records{topic="payments"}'])
        for name, kinds in after.items():
            for kind, (_, memory) in kinds.items():
                peak[name, kind] = max(peak.get((name, kind), 0.0), memory)
        if len(lags) % 15 == 0:
            done = last['records_total{outcome="scored"}']
            print(f"{2 * len(lags)} s: {done:.0f} scored, lag {lags[-1]:.0f}", file=sys.stderr)
    sent = told.get()
    wait(lambda: Figures()['records_total{outcome="scored"}'] >= sent["sent"], 300, "the rest")
    return start, last, before, after, peak, lags, sent


@contextlib.contextmanager
def running(folder: Path, lake: Path, rate: float, trigger: float):
    """A broker and the service on a lake without scores; gives both processes."""
    for name in ("scores", "flagged", "quarantine", "_stream"):
        shutil.rmtree(lake / name, ignore_errors=True)
    room = folder / "kafka"
    shutil.rmtree(room, ignore_errors=True)
    kafka = {**os.environ, "FRAUDLAKE_KAFKA_PORT": str(PORT), "FRAUDLAKE_KAFKA_DIR": str(room)}
    script = str(ROOT / "scripts/kafka.sh")
    subprocess.run(["bash", script, "start"], env=kafka, check=True)
    command = [
        sys.executable, "-m", "fraudlake.cli", "stream", f"lake={lake}", "dataset=handbook",
        f"input=kafka://127.0.0.1:{PORT}/payments", f"trigger={trigger:g}s", "alerts=1",
        f"max_records_per_batch={3 * rate * trigger:.0f}", f"metrics={METRICS}",
    ]  # fmt: skip
    service = None
    try:
        subprocess.run(["bash", script, "topic", "payments", "2"], env=kafka, check=True)
        started = time.monotonic()
        with (folder / "stream.log").open("w") as log:
            service = subprocess.Popen(command, stdout=log, stderr=log)
        wait(lambda: ready() or service.poll() is not None, 3600, "the start of the service")
        if service.poll() is not None:
            raise SystemExit(f"the service ended at its start: see {folder / 'stream.log'}")
        print(f"state made, service ready after {time.monotonic() - started:.0f} s", flush=True)
        yield psutil.Process(service.pid), psutil.Process(int((room / "pid").read_text()))
    finally:
        if service:
            service.terminate()
            service.wait(120)
        subprocess.run(["bash", script, "stop"], env=kafka, check=False)


def main(
    rate="8500", seconds="600", warm="90", trigger="2", cards="5000", history="1000000",
    folder="build/load",
) -> int:  # fmt: skip
    from fraudlake.registry import Registry

    folder = Path(folder).resolve()
    lake = folder / f"lake-{cards}-{history}"
    if not Path(f"{lake}-mlflow").exists():
        make_lake(lake, int(cards), int(history))
    Registry(str(lake)).promote(1)  # `swap.py` leaves another one where it is interrupted
    with running(folder, lake, float(rate), float(trigger)) as (service, broker):
        found = measure(service, broker, float(rate), float(seconds), float(warm), int(cards))
    return report(*found, float(rate), float(trigger))


def report(start, end, before, after, peak, lags, sent, rate, trigger) -> int:
    took = end.time - start.time
    scored = end['records_total{outcome="scored"}'] - start['records_total{outcome="scored"}']
    batches = end["batch_seconds_count"] - start["batch_seconds_count"]
    busy = end["batch_seconds_sum"] - start["batch_seconds_sum"]
    third = max(len(lags) // 3, 1)
    flags = end["flagged_total"] - start["flagged_total"]
    print(json.dumps(sent))
    print(f"{took:.0f} s, {scored / took:.0f} scored a second of {rate:.0f}, {flags:.0f} flagged")
    print(f"{batches:.0f} batches, {busy / batches:.2f} s each, trigger {trigger:g} s")
    p50, p99 = end.quantile(0.5, start), end.quantile(0.99, start)
    print(f"event to commit: p50 {p50:.2f} s, p99 {p99:.2f} s")
    early, late = np.mean(lags[:third]), np.mean(lags[-third:])
    print(f"lag: {early:.0f} → {late:.0f} records, most {max(lags):.0f}")
    print(f"state {end['state_bytes'] / 1e6:.0f} MB")
    for name, kinds in after.items():
        for kind, (seconds, _) in kinds.items():
            share = (seconds - before[name].get(kind, (0.0, 0.0))[0]) / took
            print(f"{name:<10}{kind:<8}{share:>6.0%} of a core, {peak[name, kind]:.1f} GiB at most")
    return int(late - early > 2 * rate * trigger)


if __name__ == "__main__":
    from words import call

    call(main)
