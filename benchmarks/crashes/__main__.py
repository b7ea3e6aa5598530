"""Kills the stream by SIGKILL over and over; then every record must count exactly once.

    python benchmarks/crashes folder=build/crashes kills=200 [seed=1] [seconds=14400] [control=1]
        [master=local[2]]

`fraudlake stream` runs as a process of its own on made-up payments, of which more come all the
time, with doubles, also of days before, broken records, labels that become known, and models that
are swapped. It is killed at named places (`campaign.PLACES`), and from outside at random moments:
Python and Java of the driver, a Python worker, and on a cluster (`master=spark://127.0.0.1:7077`
after `make standalone-up`) an executor. Then it finishes, and its tables are held against a batch
recomputation of the same records. Exit code 1 where anything differs, or a place was never reached.

`control=1`: the same with plain appends that look for nothing. Exit code 0 only where doubles were
found.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from campaign import PLACES, Campaign
from payments import World
from service import Service
from verdict import differences


def main(
    folder: str = "build/crashes",
    kills: str = "20",
    seed: str = "1",
    seconds: str = "14400",
    control: str = "",
    master: str = "local[2]",
) -> int:
    from fraudlake import session

    # An end from outside takes the stream with it too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    own = {"spark.sql.shuffle.partitions": "2", "spark.driver.memory": "1g"}
    world = World(Path(folder))
    if not world.stands():
        spark = session.open_spark("crashes", **own)
        world.make(spark)
        spark.stop()
    world.begin(int(seed), files=60 + 8 * int(kills))
    started = time.monotonic()
    with Service(world, master, bool(control)) as service:
        campaign = Campaign(world, service, int(seed))
        campaign.run(campaign.plan(int(kills)), float(seconds))
        campaign.finish(1800)
        batches = service.batches()
    took = time.monotonic() - started
    spark = session.open_spark("crashes", **own)
    found = differences(spark, world)
    spark.stop()
    print(f"\n{'kill':<36}{'outcome':<32}{'number':>6}")
    for (kind, outcome), number in sorted(campaign.kills.items()):
        print(f"{kind:<36}{outcome:<32}{number:>6}")
    print(f"\n{'difference from the batch':<52}{'rows':>6}")
    for name, number in found.items():
        print(f"{name:<52}{number:>6}")
    killed = campaign.kills.total()
    print(
        f"\n{killed} kills, {service.starts} starts, {batches} batches, {len(world.fed())} records,"
        f" {took:.0f} s; seed {seed}, {master}"
    )
    if control:
        doubled = found["scores twice"] + found["flags twice"]
        print(f"control: plain appends left {doubled} doubles")
        return 0 if doubled else 1
    reached = {kind for kind, _ in campaign.kills}
    missed = [name for name in PLACES if name not in reached] if killed > 2 * len(PLACES) else []
    if missed:
        print(f"never reached: {', '.join(missed)}")
    short = killed < int(kills)
    return 1 if any(found.values()) or missed or short else 0


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))
    from words import call

    call(main)
