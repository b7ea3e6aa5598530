"""Publishes recorded payments to a Kafka topic, at a fixed rate or in the pace of event time.

Usage: python benchmarks/kafka_load.py FILES kafka://host:port/topic [key=value]...

FILES are Parquet or JSON lines: a file, or a folder whose files are taken by name. The rows of a
Parquet file are put in event order. Values are JSON objects, and records with the same key field go
to the same partition, in order. Words:

  time=TX_DATETIME  field with the event time     key=CUSTOMER_ID  field that becomes the key
  rate=8500         records a second; or
  speed=3600        seconds of event time in a second (both left out: as fast as it goes)
  from= to=         event times as ISO text, from included, to excluded
  seconds=          end after so long
  partitions=2      of the topic, where it has to be made
  shuffle=1h        each record comes up to so long after its event time; and so that of
  late=0.02         this share up to a day more, and that
  duplicates=0.05   this share comes a second time, up to a day later
  seed=0            draws these; any of the three keeps all records in memory

The last line is one JSON object: records sent and refused, seconds, CPU seconds, rate, and
`late_s`, how far behind its plan it ever was: above some tenths, the generator was measured.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from fraudlake.ingest import kafka
from fraudlake.instants import parse_duration

SLICE_S = 0.02
DAY_S = 86_400


def records(path: Path, words: dict[str, str]) -> Iterator[tuple[str, str, bytes]]:
    """Event time, key and value of each record, file by file."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    start, end = words["from_"], words["to"]
    for file in files:
        for row in parquet(file, words["time"]) if file.suffix == ".parquet" else lines(file):
            moment = row[words["time"]]
            if start <= moment < end:
                yield moment, str(row[words["key"]]), json.dumps(row).encode()


def lines(file: Path) -> Iterator[dict]:
    with file.open() as opened:
        yield from map(json.loads, opened)


def parquet(file: Path, time_field: str) -> Iterator[dict]:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(file).sort_by(time_field)
    moment = pc.strftime(table[time_field], format="%Y-%m-%dT%H:%M:%S")
    table = table.set_column(table.column_names.index(time_field), time_field, moment)
    for batch in pa.Table.to_batches(table, max_chunksize=10_000):
        yield from batch.to_pylist()


def main(
    files: str, address: str, *, time="TX_DATETIME", key="CUSTOMER_ID", partitions="2", rate="0",
    speed="0", from_="", to="9999", seconds="inf", shuffle="0s", late="0", duplicates="0", seed="0",
) -> None:  # fmt: skip
    words = dict(locals())
    topic = kafka.named(address)
    admin = AdminClient({"bootstrap.servers": topic.servers})
    if topic.name not in admin.list_topics(timeout=20).topics:
        made = admin.create_topics([NewTopic(topic.name, int(partitions), 1)])
        made[topic.name].result(20)
    producer = Producer(
        {
            "bootstrap.servers": topic.servers,
            "enable.idempotence": True,
            "linger.ms": 10,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    found = arrivals(records(Path(files), words), words)
    print(json.dumps(publish(producer, topic.name, found, words)))


def arrivals(
    found: Iterator[tuple[str, str, bytes]], words: dict[str, str]
) -> Iterator[tuple[float, str, bytes]]:
    """When each record comes (seconds since 1970), its key, its value, in the order of coming."""
    within = parse_duration(words.get("shuffle", "0s")).total_seconds()
    late, again = float(words.get("late", 0)), float(words.get("duplicates", 0))
    timed = ((datetime.fromisoformat(moment).timestamp(), *rest) for moment, *rest in found)
    if not (within or late or again):
        yield from timed
        return
    every = list(timed)
    draw = np.random.default_rng(int(words["seed"])).random((5, len(every)))
    at = np.array([moment for moment, *_ in every])
    at += within * draw[0] + DAY_S * draw[1] * (draw[2] < late)
    copies = np.flatnonzero(draw[3] < again)
    number = np.concatenate((np.arange(len(every)), copies))
    at = np.concatenate((at, at[copies] + DAY_S * draw[4][copies]))
    for place in np.argsort(at, kind="stable"):
        yield (float(at[place]), *every[number[place]][1:])


def planned(
    found: Iterator[tuple[float, str, bytes]], rate: float, speed: float
) -> Iterator[tuple[float, str, bytes]]:
    """Seconds from the first record to each, its key, its value."""
    first = None
    for number, (at, key, value) in enumerate(found):
        first = at if first is None else first
        yield number / rate if rate else (at - first) / speed if speed else 0.0, key, value


def send(producer: Producer, **record: object) -> None:
    """Hand a record over, as soon as there is room for it."""
    while True:
        try:
            return producer.produce(**record)
        except BufferError:
            producer.poll(0.1)


def publish(
    producer: Producer, topic: str, found: Iterator[tuple[float, str, bytes]], words: dict[str, str]
) -> dict[str, float]:
    counts: Counter = Counter()

    def delivered(error: object, _: object) -> None:
        counts["refused" if error else "sent"] += 1

    rate, speed = float(words.get("rate", 0)), float(words.get("speed", 0))
    seconds, late, started = float(words.get("seconds", "inf")), 0.0, time.monotonic()
    for number, (due, key, value) in enumerate(planned(found, rate, speed)):
        if not number:  # the first file is read and sorted by now
            started = time.monotonic()
        elapsed = time.monotonic() - started
        if max(due, elapsed) > seconds:
            break
        if due - elapsed > SLICE_S:
            producer.poll(0)
            time.sleep(due - elapsed)
        elif rate or speed:
            late = max(late, elapsed - due)
        send(producer, topic=topic, value=value, key=key, on_delivery=delivered)
        if number % 1000 == 0:
            producer.poll(0)
    producer.flush()
    took = time.monotonic() - started
    return {
        "sent": counts["sent"],
        "refused": counts["refused"],
        "seconds": round(took, 2),
        "cpu_s": round(time.process_time(), 2),
        "rate": round(counts["sent"] / took, 1),
        "late_s": round(late, 3),
    }


if __name__ == "__main__":
    from words import call

    call(main)
