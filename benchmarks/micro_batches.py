"""What a micro-batch of the stream costs: seconds and processor seconds, without a source.

    .venv/bin/python benchmarks/micro_batches.py lake=build/handbook input=handbook \
        from=2018-08-01 [size=10000] [batches=8] [commits=0]

Records of the Handbook from a day on, in event order, in batches of one size, given to the stream's
scorer one after the other, as `foreachBatch` would. `lake` has transactions, labels and a champion;
it is read, and the tables go to a temporary folder. The first batches pay for compilers. Before the
second half of them, files of so many `commits` are laid into the tables' logs, as after as many
batches.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import psutil
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from fraudlake import instants, session
from fraudlake.datasets import load_dataset
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.ingest import sources
from fraudlake.lake import Lake
from fraudlake.models import bundle
from fraudlake.registry import Registry
from fraudlake.service.admission import Model
from fraudlake.service.metrics import Service
from fraudlake.stream.history import History
from fraudlake.stream.scorer import StreamScorer
from fraudlake.stream.state import StreamState


def processor_seconds():
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    used = 0.0
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            used += sum(process.cpu_times()[:2])
    return used


def lengthen(log: Path, commits: int) -> None:
    """Four files a commit, as on a local disk; their names are before those of all commits."""
    for number in range(4 * commits):
        (log / f"{0:020}.{number:07}").touch()


def main(lake, input, from_, size="10000", batches="8", commits="0"):  # noqa: A002 - as in jobs
    cutover, size, batches = instants.parse_instant(from_), int(size), int(batches)
    dataset, feature_set = load_dataset("handbook"), load_feature_set("handbook")
    payments = ds.dataset(input).to_table().sort_by("TX_DATETIME")
    payments = payments.filter(pc.field("TX_DATETIME") >= cutover.replace(tzinfo=None))
    registry = Registry(lake)
    version = registry.resolve("champion")
    files = registry.files(version)
    model = Model(version, files, bundle.digest(files), bundle.load(files).threshold(100))
    with tempfile.TemporaryDirectory() as folder:
        for table in ("transactions", "labels"):
            shutil.copytree(Path(lake, table), Path(folder, "lake", table))
        spark = session.open_spark("micro-batches", **{"spark.sql.adaptive.enabled": "false"})
        own = Lake(spark, f"{folder}/lake")
        types = dataset.column_types()
        history = History(own, f"{folder}/state", {n: types[n] for n in feature_set.columns(
            dataset.entities)}, cutover)  # fmt: skip
        started = time.perf_counter()
        stream_state = StreamState(history, f"{folder}/state", dataset, feature_set)
        took = time.perf_counter() - started
        print(f"state made in {took:.1f} s, {stream_state.size() / 1e6:.0f} MB")
        scorer = StreamScorer(
            own, dataset, feature_set, stream_state, lambda: (model,), registry.files,
            Service(600, ()),
        )  # fmt: skip
        for number in range(batches):
            if number == batches // 2:
                for table in ("lake/scores", "lake/flagged", "state/seen"):
                    lengthen(Path(folder, table, "_delta_log"), int(commits))
            path = f"{folder}/{number}.parquet"
            pq.write_table(payments.slice(number * size, size), path)
            records = sources.read(spark, dataset, path)
            started, used = time.perf_counter(), processor_seconds()
            scorer.process(records, number)
            took, used = time.perf_counter() - started, processor_seconds() - used
            print(f"batch {number}: {size} records, {took:.2f} s, {used:.2f} processor seconds")
        spark.stop()


if __name__ == "__main__":
    from words import call

    call(main)
