"""New champions under load: one that is good, one whose files are damaged, one of other features.

    .venv/bin/python benchmarks/swap.py [rate=4000] [seconds=120] [trigger=3] [folder=build/load]

The service and the payments of `load.py`. After a quarter of the time version 2 becomes champion,
after half version 3, whose stored weights are damaged, after three quarters version 4, which was
trained on another definition. Then the tables are read: every payment that was sent has one score,
no micro-batch has scores of two versions, none of version 3 or 4. Prints how long after the
promotion the first payment was scored by version 2. Exit code 1 where anything is otherwise.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from datetime import UTC, datetime
from pathlib import Path

from load import Figures, make_lake, publish, running, wait

CARDS, HISTORY = 5000, 1_000_000


def add_versions(lake: Path) -> None:
    """Version 2, as 1 but for its calibration; 3 damaged; 4 of another definition."""
    from fraudlake.registry import Registry

    registry = Registry(str(lake))
    registry.promote(1)
    if Path(f"{lake}-mlflow/swap").exists():
        return
    files = registry.files(1)
    for number in (2, 3, 4):
        scorer = json.loads(files["scorer.json"])
        scorer["calibration"]["intercept"] = number / 100
        if number == 4:
            scorer["definition"] = "0" * len(scorer["definition"])
        changed = files | {"scorer.json": json.dumps(scorer).encode()}
        registry.register(
            changed, contender="xgboost", fingerprint=f"swap {number}", parameters={}, metrics={},
            tags={}, plots={}, config={},
        )  # fmt: skip
    weights = [p for p in Path(f"{lake}-mlflow").rglob("*.ubj") if p.is_file()]
    newest = sorted(weights, key=lambda path: path.stat().st_mtime)[-2]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    Path(f"{lake}-mlflow/swap").touch()


def verdict(lake: Path, sent: int, promoted: datetime) -> dict[str, float]:
    """What the tables say."""
    from pyspark.sql import functions as F

    from fraudlake import session
    from fraudlake.lake import Lake
    from fraudlake.lake.tables import SCORES

    spark = session.open_spark("swap")
    scores = Lake(spark, str(lake)).read(SCORES)
    seen = spark.read.format("delta").load(f"{lake}/_stream/seen").dropDuplicates(["tx_id"])
    joined = scores.join(seen.select("tx_id", "batch_id"), "tx_id")
    by_batch = joined.groupBy("batch_id").agg(F.count_distinct("model_version").alias("versions"))
    first = scores.where("model_version = 2").agg(F.min("scored_at")).collect()[0][0]
    found = {
        "sent": sent,
        "scores": scores.count(),
        "transactions": scores.select("tx_id").distinct().count(),
        "mixed batches": by_batch.where("versions > 1").count(),
        "scores of version 2": scores.where("model_version = 2").count(),
        "scores of version 3 or 4": scores.where("model_version > 2").count(),
        "seconds to version 2": (first.replace(tzinfo=UTC) - promoted).total_seconds(),
    }
    spark.stop()
    return found


def main(rate="4000", seconds="120", trigger="3", folder="build/load") -> int:
    from fraudlake.registry import Registry

    folder, rate, seconds = Path(folder).resolve(), float(rate), float(seconds)
    lake = folder / f"lake-{CARDS}-{HISTORY}"
    if not Path(f"{lake}-mlflow").exists():
        make_lake(lake, CARDS, HISTORY)
    add_versions(lake)
    registry, told = Registry(str(lake)), multiprocessing.Queue()
    refused = []
    with running(folder, lake, rate, float(trigger)):
        sender = multiprocessing.Process(target=publish, args=(rate, seconds, CARDS, told))
        sender.start()
        for version in (2, 3, 4):
            time.sleep(seconds / 4)
            registry.promote(version)
            if version == 2:
                promoted = datetime.now(UTC)
            else:
                name = 'model_refused_version{alias="champion"}'
                wait(lambda v=version, n=name: Figures()[n] == v, 60, f"refusal of {version}")
                refused.append(version)
        sent = told.get()["sent"]
        wait(lambda: Figures()['records_total{outcome="scored"}'] >= sent, 300, "the rest")
        serving = Figures()['model_version{alias="champion"}']
    registry.promote(1)
    found = verdict(lake, sent, promoted) | {"refused": refused, "serving at the end": serving}
    for name, value in found.items():
        print(f"{name:<28}{value}")
    good = found["sent"] == found["scores"] == found["transactions"] and serving == 2
    return 0 if good and not found["mixed batches"] + found["scores of version 3 or 4"] else 1


if __name__ == "__main__":
    from words import call

    call(main)
