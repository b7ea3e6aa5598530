"""Holds what the stream wrote against a batch recomputation of what it was fed."""

from __future__ import annotations

from collections import Counter

import pandas as pd
from payments import ALERTS, CUTOVER, VERSIONS, World

BROKEN = "abc"  # amount of a record that belongs into the quarantine


def recomputed(spark, world: World) -> tuple[dict[int, pd.Series], pd.Series, set[str]]:
    """Scores of each version, amounts and the quarantine, by the batch from the same records."""
    from fraudlake.datasets import load_dataset
    from fraudlake.features.definition.feature_set import load_feature_set
    from fraudlake.features.table.build import build
    from fraudlake.ingest.pipeline import ingest
    from fraudlake.instants import time_range
    from fraudlake.lake import Lake
    from fraudlake.lake.tables import FEATURES, QUARANTINE, TRANSACTIONS
    from fraudlake.registry import Registry
    from fraudlake.scoring.apply import score_rows

    lake, dataset = Lake(spark, str(world.folder / "batch")), load_dataset(str(world.dataset))
    ingest(lake, dataset, str(world.folder / "history"))
    ingest(lake, dataset, str(world.input))
    build(lake, load_feature_set("handbook"), dataset)
    live = lake.read(FEATURES).where(time_range(CUTOVER, None))
    registry, scores = Registry(str(world.lake)), {}
    for version in range(1, VERSIONS + 1):
        found = score_rows(live, registry.files(version), None, ["tx_id"]).toPandas()
        scores[version] = found.set_index("tx_id")["score"]
    amounts = lake.read(TRANSACTIONS).select("tx_id", "amount").toPandas()
    rejected = {row[0] for row in lake.read(QUARANTINE).select("record_id").collect()}
    return scores, amounts.set_index("tx_id")["amount"], rejected


def differences(spark, world: World) -> dict[str, int]:
    """What is wrong → how many rows; all of it 0 where every record counts exactly once."""
    from fraudlake.lake import Lake
    from fraudlake.lake.tables import FLAGGED, QUARANTINE, SCORES
    from fraudlake.models import bundle
    from fraudlake.registry import Registry

    expected, amounts, rejected = recomputed(spark, world)
    lake, seen_in = Lake(spark, str(world.lake)), Lake(spark, str(world.lake / "_stream"))
    scores = lake.read(SCORES).select("tx_id", "model_version", "score").toPandas()
    flags = lake.read(FLAGGED).select("tx_id", "model_version", "score", "amount").toPandas()
    quarantine = lake.read(QUARANTINE).select("record_id").toPandas()["record_id"]
    seen = spark.read.load(f"{seen_in.root}/seen").select("tx_id", "batch_id").distinct().toPandas()
    registry = Registry(str(world.lake))
    thresholds = {
        version: bundle.load(registry.files(version)).threshold(ALERTS) for version in expected
    }
    every = set(expected[1].index)
    ours = pd.concat(expected).rename_axis(["model_version", "tx_id"]).rename("expected")
    once = scores.drop_duplicates(["tx_id", "model_version"])
    both = once.join(ours, ["model_version", "tx_id"])
    found = {
        "scores twice": len(scores) - len(once),
        "transactions without a score": len(every - {*scores["tx_id"]}),
        "scores of unknown transactions": len({*scores["tx_id"]} - every),
        "scores that differ": int((both["score"] != both["expected"]).sum()),
        "transactions not in seen, or in two batches": len(every ^ {*seen["tx_id"]})
        + len(seen) - seen["tx_id"].nunique(),
        "flags twice": len(flags) - flags["tx_id"].nunique(),
        "flags with another amount": int(
            (flags["amount"] != flags["tx_id"].map(amounts)).sum()
        ),
    }  # fmt: skip
    flagged = flags.drop_duplicates("tx_id").set_index("tx_id")
    counts: Counter = Counter()
    for _, rows in once.merge(seen.drop_duplicates("tx_id"), "left").groupby(
        "batch_id", dropna=False
    ):
        counts.update(_batch(rows, flagged, thresholds))
    found |= {
        "batches of mixed models": counts["mixed"],
        "batches whose flags are not those of one model": counts["flags"],
        "flags of unknown transactions": len(set(flagged.index) - every),
        "quarantine twice": len(quarantine) - quarantine.nunique(),
        "quarantine that differs": len(rejected ^ {*quarantine}),
    }
    fed = world.fed()
    broken = sum(row["TX_AMOUNT"] == BROKEN for row in fed)
    since = CUTOVER.strftime("%Y-%m-%dT%H:%M:%S")
    new = {
        row["TRANSACTION_ID"]
        for row in fed
        if row["TX_AMOUNT"] != BROKEN and row["TX_DATETIME"] >= since
    }
    found["records that the sums do not explain"] = len(new ^ {*scores["tx_id"]}) + abs(
        broken - quarantine.nunique()
    )
    return found


def _batch(rows: pd.DataFrame, flagged: pd.DataFrame, thresholds: dict[int, float]) -> Counter:
    """Of one micro-batch: each transaction by the same versions, one of which decides the flags."""
    by_version = {v: part.set_index("tx_id")["score"] for v, part in rows.groupby("model_version")}
    transactions = {*rows["tx_id"]}
    mixed = any({*part.index} != transactions for part in by_version.values())
    mine = flagged[flagged.index.isin(transactions)]
    for version, part in by_version.items():
        reached = part[part >= thresholds[version]]
        if (
            {*reached.index} == {*mine.index}
            and (mine["model_version"] == version).all()
            and (mine["score"] == reached.reindex(mine.index)).all()
        ):
            return Counter(mixed=mixed)
    return Counter(mixed=mixed, flags=1)
