"""What a rank of a network takes: memory, the loader's share of a step, the cost of a second one.

    .venv/bin/python benchmarks/ranks.py [rows=2000000] [memory_mb=64] [features=20] [batch=8192]
        [hidden=512] [parts=memory,loader,two]

Writes two shards of so many rows as Parquet and trains a network of two hidden layers on them for
one epoch, without Spark. `memory`: the peak of one rank's memory above what it had before, beside
`memory_mb` and the bytes of its rows. `loader`: processor time of the batches alone, of that of a
whole epoch. `two`: rows a second of processor time, of one rank alone and of each of two that sum
their gradients by Gloo. Times are of the processor, so that other processes count little.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
from words import call


def write(folder: Path, rows: int, features: int) -> str:
    """Two shards, a row group at a time; gives their URI."""
    import pyarrow as pa
    from pyarrow import parquet

    from fraudlake.launch.snapshot import GROUP_ROWS

    draw = np.random.default_rng(0)
    (folder / "held_out=false").mkdir()
    for number in (0, 1):
        path = folder / "held_out=false" / f"part-{number:05d}-x.parquet"
        schema = pa.schema(
            [(f"f{i}", pa.float32()) for i in range(features)] + [("label", "int32")]
        )
        with parquet.ParquetWriter(path, schema) as file:
            for start in range(0, rows, GROUP_ROWS):
                count = min(GROUP_ROWS, rows - start)
                columns = list(draw.standard_normal((features, count), np.float32))
                label = pa.array(draw.random(count) < 0.01).cast("int32")
                file.write_table(pa.table([*columns, label], schema=schema))
    return folder.as_uri()


class Alone:
    rank, size, device = 0, 1, "cpu"

    def sum(self, values):
        return values


def peak(stop: threading.Event, found: list[int]) -> None:
    import psutil

    process = psutil.Process()
    while not stop.wait(0.005):
        found.append(process.memory_info().rss)


def contender(said, workers, memory_mb):
    from fraudlake.models.mlp.contender import MlpContender

    return MlpContender(
        kind="mlp", workers=workers, hidden=(said["hidden"],) * 2, batch_size=said["batch"],
        epochs=1, dropout=0.1, memory_mb=memory_mb, learning_rate=0.001,
    )  # fmt: skip


def rank(folder, said, part, number, size, port, answers):
    import torch

    from fraudlake.launch import snapshot
    from fraudlake.launch.ddp_spark import TorchGroup
    from fraudlake.launch.loader import Loader
    from fraudlake.models.mlp import ranks

    torch.set_num_threads(1)
    group = Alone()
    if size > 1:
        store = torch.distributed.TCPStore("127.0.0.1", port, size, number == 0)
        minute = timedelta(minutes=10)
        torch.distributed.init_process_group(
            "gloo", store=store, rank=number, world_size=size, timeout=minute
        )
        group = TorchGroup(number, size, "cpu")
    names = [f"f{i}" for i in range(said["features"])]
    shards = snapshot.shards(folder, [number], names, {False})
    settings = contender(said, size, said["memory_mb"])
    # What is loaded at the first use is no row.
    small = snapshot.shards(folder, [number], names, {False})
    for shard in small:
        shard.groups = shard.groups[:1]
        shard.rows = shard.groups[0].rows
    ranks.fit(group, small, settings, 1)

    found: list[int] = []
    stop = threading.Event()
    thread = threading.Thread(target=peak, args=(stop, found))
    if part == "memory":
        thread.start()
        time.sleep(0.1)
    before, started = time.process_time(), time.perf_counter()
    ranks.fit(group, shards, settings, 1)
    whole = time.process_time() - before
    answer = {"cpu_s": whole, "wall_s": time.perf_counter() - started}
    if part == "memory":
        stop.set()
        thread.join()
        answer["peak_mb"] = (max(found) - found[0]) / 2**20
    if part == "loader":
        steps = -(-said["rows"] // said["batch"])
        for name, memory in (("read", said["memory_mb"] << 20), ("kept", 1 << 40)):
            loader = Loader(shards[0], memory, 1, lambda x: x)
            if name == "kept":
                list(loader.batches(0, steps, steps - 1))
            before = time.process_time()
            for _ in loader.batches(1, steps):
                pass
            answer[f"loader_{name}_cpu_s"] = time.process_time() - before
    answers.put((number, answer))


def run(folder, said, part, size=1):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    processes = [
        spawn.Process(target=rank, args=(folder, said, part, number, size, port, answers))
        for number in range(size)
    ]
    for process in processes:
        process.start()
    found = dict(answers.get(timeout=1800) for _ in processes)
    for process in processes:
        process.join()
    return [found[number] for number in range(size)]


def main(
    rows="2000000",
    memory_mb="64",
    features="20",
    batch="8192",
    hidden="512",
    parts="memory,loader,two",
):
    numbers = {"rows": rows, "memory_mb": memory_mb, "features": features}
    said = {n: int(value) for n, value in (numbers | {"batch": batch, "hidden": hidden}).items()}
    rows = said["rows"]
    result = dict(said) | {"rows_mb": rows * 4 * (said["features"] + 1) / 2**20}
    with tempfile.TemporaryDirectory() as name:
        folder = write(Path(name), rows, said["features"])
        if "memory" in parts:
            result["peak_mb"] = run(folder, said, "memory")[0]["peak_mb"]
        if "loader" in parts:
            one = run(folder, said, "loader")[0]
            for how in ("read", "kept"):
                result[f"loader_share_{how}"] = one[f"loader_{how}_cpu_s"] / one["cpu_s"]
        if "two" in parts:
            (one,), two = run(folder, said, "two"), run(folder, said, "two", 2)
            result["rows_s_of_one"] = rows / one["cpu_s"]
            result["rows_s_of_each_of_two"] = rows / np.mean([each["cpu_s"] for each in two])
            result["efficiency"] = result["rows_s_of_each_of_two"] / result["rows_s_of_one"]
    print(json.dumps(result))


if __name__ == "__main__":
    call(main)
