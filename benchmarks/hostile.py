"""Sends fuzzed records through a real topic into a running stream service, and reconciles.

    python benchmarks/hostile.py lake=build/handbook topic=kafka://127.0.0.1:9092/hostile \
        from=2018-08-25 [count=1000000] [seed=0] [batch=50000]

`lake` has the Handbook's transactions up to `from`, its labels and a champion; its tables are
written to, so give a copy. The topic is made. Records are sound ones, copies of sound ones, some
after the range that is scored, and many kinds of unsound ones (`KINDS`). The service runs as a
process of its own until the topic is empty. Then: records = scored + duplicates + quarantine +
outside; every sound record has a score and no unsound one; no card number in a table, the state,
the log or the metrics; the highest memory of the service's processes. The last line is one JSON
object; exit code 1 where anything is otherwise.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from fraudlake import resources

GOOD, BAD, ANY = "good", "bad", "any"  # has to be scored, must not be, either
SHARES = {"good": 0.4, "copy": 0.05, "outside": 0.05}  # the rest is fuzzed
METRICS = 9471
_DIGITS = re.compile(r"\d+(?:[ -]\d+)*")
_ESCAPED = re.compile(r"\\u003(\d)")

Record = dict[str, Any]
Made = str | bytes


def card(draw: random.Random, between: str = "") -> str:
    """16 digits with a valid check digit, in four groups."""
    digits = [4, *(draw.randrange(10) for _ in range(14))]
    text = "".join(map(str, digits))
    text += next(str(d) for d in range(10) if luhn(text + str(d)))
    return between.join(text[i : i + 4] for i in range(0, 16, 4))


def luhn(digits: str) -> bool:
    """Whether the check digit is valid."""
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 * (d > 9) for d in doubled) % 10 == 0


def with_(field: str, *values: Any) -> Callable[[Record, random.Random], Made]:
    """The record with one of some JSON texts as a field's value."""

    def made(record: Record, draw: random.Random) -> Made:
        value = draw.choice(values)
        return as_json(record, **{field: value(draw) if callable(value) else value})

    return made


def as_json(record: Record, **raw: str | None) -> str:
    """The record as JSON; `raw`: field → JSON text in the place of its value, None: left out."""
    texts = {name: json.dumps(value) for name, value in record.items()} | raw
    return "{" + ",".join(f'"{n}":{text}' for n, text in texts.items() if text is not None) + "}"


def quoted(make: Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    return lambda draw: json.dumps(make(draw))


def nested(depth: int) -> str:
    return '{"a":[' * depth + "1" + "]}" * depth


def told(draw: random.Random) -> str:
    return f"card {card(draw, draw.choice(['', ' ', '-']))} of the customer"


def escaped(draw: random.Random) -> str:
    """A card number whose first digit is written as a JSON escape."""
    number = card(draw)
    return f'"\\u003{number[0]}{number[1:]}"'


def digits(length: int) -> Callable[[random.Random], str]:
    return lambda draw: str(draw.randrange(1, 10)) + "".join(draw.choices("0123456789", k=length))


ID, TIME, CUSTOMER, AMOUNT, NOTE, MORE = (
    "TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TX_AMOUNT", "NOTE", "more",
)  # fmt: skip
# Name → whether it has to be scored, how it is made of a sound record.
KINDS: dict[str, tuple[str, Callable[[Record, random.Random], Made]]] = {
    "numbers as text": (GOOD, lambda r, _: as_json({n: str(v) for n, v in r.items()})),
    "spaces and lines": (GOOD, lambda r, _: json.dumps(r, indent=2)),
    "escaped names": (GOOD, lambda r, _: as_json(r).replace("TX_A", "\\u0054X_\\u0041")),
    "card in another field": (GOOD, with_(MORE, quoted(told), quoted(card), card)),
    "card as a name": (GOOD, lambda r, d: as_json(r | {card(d): told(d)})),
    "odd letters": (GOOD, with_(NOTE, '"\u202eevil\u202c \U0001f4b3 e\u0301\u200b"', '"\\t\\n"')),
    "long note": (GOOD, with_(NOTE, json.dumps("\u00e9 x" * 33_000))),
    "no note": (GOOD, with_(NOTE, "null", '""', None)),
    "other forms of numbers": (GOOD, with_(AMOUNT, "0", "1e2", "1.0E+1", "12.500", '" 7.1 "')),
    "other forms of time": (GOOD, lambda r, _: as_json(r | {TIME: r[TIME] + ".123456789+00:00"})),
    "deep other field": (ANY, with_(MORE, nested(400), nested(5000))),
    "long number beside": (ANY, with_(MORE, digits(400), "1e400", "-1E-400")),
    "odd digits": (ANY, with_(AMOUNT, '"\uff11\uff12"', '"\u0661\u0662"', '"-0"', '"1_000"')),
    "half a letter": (ANY, with_(NOTE, '"\\ud83d"', '"\\u0000"', '"\\udfff\\ud800"')),
    "byte order mark": (ANY, lambda r, _: "\ufeff" + as_json(r)),
    "cut off": (BAD, lambda r, d: as_json(r)[: d.randrange(len(as_json(r)))]),
    "cut off with a card": (BAD, lambda r, d: as_json(r | {NOTE: told(d)})[:-1]),
    "nothing": (BAD, lambda _, d: d.choice(["", " ", "\t\t ", "\n"])),
    "no JSON": (BAD, lambda r, d: d.choice(["upstream timed out", "<xml/>", repr(r), told(d)])),
    "no object": (BAD, lambda r, d: d.choice(["1", "null", '"a"', f"[{as_json(r)}]", card(d)])),
    "two objects": (BAD, lambda r, d: as_json(r) + d.choice(["{}", ",", "}", '"', as_json(r)])),
    "not UTF-8": (
        BAD,
        lambda r, d: as_json(r | {NOTE: "@"}).encode().replace(
            b"@", d.choice([b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", card(d).encode() + b"\xfe"])
        ),
    ),
    "a name twice": (BAD, lambda r, _: as_json(r)[:-1] + f',"{AMOUNT}":1}}'),
    "names in small letters": (BAD, lambda r, _: as_json(r).replace(AMOUNT, "tx_amount")),
    "id": (
        BAD,
        with_(ID, "null", None, '""', "-1", "1.5", "{}", "[1]", "true", '"0x1F"', digits(400)),
    ),
    "id of a card": (BAD, with_(ID, quoted(told), quoted(lambda d: card(d, "-")))),
    "amount": (
        BAD,
        with_(
            AMOUNT, "null", None, '"abc"', "{}", "[]", "true", "-0.01", "-5", "1.234", '"1,5"',
            "NaN", "Infinity", "-Infinity", '"NaN"', '"inf"', "1e400", "99999999999999999999",
            digits(400), digits(20), quoted(told), '"0x10"', '"1 000"', '"12.5\u20ac"',
        ),
    ),
    "time": (
        BAD,
        with_(
            TIME, "null", None, '"2999-01-01T00:00:00"', '"0000-01-01T00:00:00"', "0", "1535155200",
            '"99999-01-01T00:00:00"', '"2018-02-30T00:00:00"', '"2018-08-25T25:00:00"', '"now"',
            '"1999-12-31T23:59:59"', '"-2018-08-25T00:00:00"', '"2018-08-25T00:00:00 Mars/Base"',
            '"+292278994-08-17T07:12:55"', quoted(told),
        ),
    ),
    "customer": (BAD, with_(CUSTOMER, "null", None, "-3", '"x"', digits(400), "[]", quoted(told))),
    "card in the note": (BAD, with_(NOTE, quoted(told), quoted(card), card, escaped)),
    "long text": (
        BAD,
        with_(
            AMOUNT, json.dumps("x" * 100_000), lambda d: f'"{digits(100_000)(d)}"',
            lambda d: json.dumps(" ".join(d.choices("0123456789", k=50_000))),
            lambda d: json.dumps(f"{'(' * 50_000}{told(d)}"),
        ),
    ),
    "deep": (BAD, with_(AMOUNT, nested(400), nested(5_000), "[" * 20_000)),
}  # fmt: skip
_RARE = {"long note", "long text", "deep", "deep other field"}  # a tenth as often


def records(count: int, seed: int, start: datetime) -> Iterator[tuple[str, str, int, bytes]]:
    """Kind, what is to become of it, its transaction, its bytes."""
    draw = random.Random(seed)  # noqa: S311  # no secrets here
    names = list(KINDS)
    weights = [0.1 if name in _RARE else 1 for name in names]
    sound: list[tuple[int, bytes]] = []
    for number in range(count):
        at = start + timedelta(seconds=number * 86_400 / count)
        share = draw.random()
        record: Record = {
            ID: 10_000_000_000 + number,
            TIME: at.strftime("%Y-%m-%dT%H:%M:%S"),
            CUSTOMER: draw.randrange(5000),
            "TERMINAL_ID": draw.randrange(10_000),
            AMOUNT: draw.randrange(1, 30_000) / 100,
            "TX_FRAUD": 0,
        }
        if share < SHARES["good"]:
            made = as_json(record).encode()
            sound.append((record[ID], made))
            yield "good", GOOD, record[ID], made
        elif (share := share - SHARES["good"]) < SHARES["copy"] and sound:
            yield "copy", GOOD, *draw.choice(sound[-10_000:])
        elif (share := share - SHARES["copy"]) < SHARES["outside"]:
            after = (start + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%S")
            yield "outside", BAD, record[ID], as_json(record | {TIME: after}).encode()
        else:
            name = draw.choices(names, weights)[0]
            expected, make = KINDS[name]
            text = make(record, draw)
            yield name, expected, record[ID], text if isinstance(text, bytes) else text.encode()


def data_set(folder: Path) -> Path:
    """The Handbook's description with a column of free text."""
    shipped = yaml.safe_load(resources.find("datasets", "handbook").read_text())
    shipped["columns"]["note"] = {"source": NOTE, "type": "string", "required": False}
    path = folder / "hostile.yaml"
    path.write_text(yaml.safe_dump(shipped))
    return path


def cards_in(text: str) -> list[str]:
    """13 to 19 digits with a valid check digit, between whole groups of digits."""
    found = []
    for match in _DIGITS.findall(_ESCAPED.sub(r"\1", text)):
        groups = re.split("[ -]", match)
        ends, joined = list(itertools.accumulate(map(len, groups), initial=0)), "".join(groups)
        for place, first in enumerate(ends):
            near = [joined[first:last] for last in ends[place + 1 : place + 20]]
            found += [text for text in near if 13 <= len(text) <= 19 and luhn(text)]
    return found


def flat(column: Any) -> Iterator[str]:
    """Every text in an Arrow column."""
    import pyarrow as pa

    if pa.types.is_string(column.type):
        yield from (text for text in column.to_pylist() if text)
    elif pa.types.is_list(column.type):
        yield from flat(column.flatten())
    elif pa.types.is_struct(column.type):
        for part in column.flatten():
            yield from flat(part)


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Every text that a lake and a state hold: columns of Parquet files, and other files whole."""
    import pyarrow.parquet as pq

    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".snappy.parquet"):
            for batch in pq.ParquetFile(path).iter_batches(1000):
                for name in {*batch.schema.names} - {"record_id"}:
                    yield from ((f"{path}:{name}", text) for text in flat(batch[name]))
        elif path.is_file() and path.suffix in ("", ".json"):
            yield str(path), path.read_text(errors="replace")


def leaks(folder: Path) -> list[tuple[str, str]]:
    """Where a card number stands, masked for the report.

    Other files than tables are full of instants and sizes: there, what `card` makes is looked for.
    Models beside the state are numbers that no record has touched.
    """
    return [
        (at, number[:6] + "…")
        for at, text in texts(folder)
        if "/_stream/models/" not in at
        for number in cards_in(text)
        if ".parquet:" in at or is_made(number)
    ]


def is_made(number: str) -> bool:
    """Whether it looks as `card` makes them."""
    return len(number) == 16 and number[0] == "4"


class Peak(threading.Thread):
    """Highest memory of a process and its children, and the last figures that it showed."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.bytes, self.metrics = pid, 0, ""

    def run(self) -> None:
        import psutil

        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(self.pid)
            while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
                size = 0
                for process in (root, *root.children(recursive=True)):
                    with suppress(psutil.NoSuchProcess):
                        memory = process.memory_full_info()
                        size += getattr(memory, "pss", memory.rss)
                self.bytes = max(self.bytes, size)
                with suppress(OSError):
                    shown = urllib.request.urlopen(f"http://127.0.0.1:{METRICS}/metrics", timeout=5)
                    self.metrics = shown.read().decode()
                time.sleep(2)


def main(
    lake: str,
    topic: str,
    from_: str,
    count: str = "1000000",
    seed: str = "0",
    batch: str = "50000",
) -> int:
    import pyarrow.dataset as ds
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient, NewTopic

    from fraudlake.ingest import kafka

    address, start = kafka.named(topic), datetime.fromisoformat(from_)
    admin = AdminClient({"bootstrap.servers": address.servers})
    admin.create_topics([NewTopic(address.name, 2, 1)])[address.name].result(20)
    producer = Producer({"bootstrap.servers": address.servers, "linger.ms": 10})
    kinds: Counter[str] = Counter()
    wanted: set[int] = set()
    unwanted: set[int] = set()
    for kind, expected, tx_id, value in records(int(count), int(seed), start):
        while True:
            try:
                producer.produce(address.name, value)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
        kinds[kind] += 1
        {GOOD: wanted, BAD: unwanted}.get(expected, set()).add(tx_id)
    assert not producer.flush(60)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        words = {
            "lake": lake, "input": topic, "dataset": data_set(folder), "from": from_,
            "to": (start + timedelta(days=1)).isoformat(), "bad": 1, "metrics": METRICS,
            "records": batch, "logs": "json",
        }  # fmt: skip
        command = [str(Path(sys.executable).with_name("fraudlake")), "stream"]
        started = time.monotonic()
        with log.open("w") as file:
            service = subprocess.Popen(
                [*command, *(f"{k}={v}" for k, v in words.items())], stdout=subprocess.PIPE,
                stderr=file, text=True, env=os.environ,
            )  # fmt: skip
            peak = Peak(service.pid)
            peak.start()
            said, _ = service.communicate()
        took = time.monotonic() - started
        shown = log.read_text()
        if service.returncode:
            sys.exit(f"the service ended with {service.returncode}:\n{shown[-3000:]}")
        result = json.loads(said.splitlines()[-1])
        spilled = [("log", c) for c in cards_in(shown) if is_made(c)]
        spilled += [("metrics", c) for c in cards_in(peak.metrics) if is_made(c)]
    spilled += leaks(Path(lake))
    scored = set(ds.dataset(Path(lake, "scores")).to_table(["tx_id"])["tx_id"].to_pylist())
    parts = ("scored", "duplicates", "quarantine", "outside")
    print(json.dumps(kinds, indent=1), file=sys.stderr)
    sums = result["records"] == int(count) == sum(result[part] for part in parts)
    wrong = {
        "sound_not_scored": len(wanted - scored), "unsound_scored": len(unwanted & scored),
        "leaks": len(spilled),
    }  # fmt: skip
    print(json.dumps({
        "records": result["records"], **{part: result[part] for part in parts}, "sums": sums,
        "sound": len(wanted), **wrong, "first": spilled[:3], "batches": result["batches"],
        "seconds": round(took, 1), "peak_mb": peak.bytes // 2**20,
    }))  # fmt: skip
    return int(not sums or any(wrong.values()))


if __name__ == "__main__":
    from words import call

    call(main)
