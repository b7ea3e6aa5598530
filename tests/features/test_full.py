"""The shipped set with every operation, on Spark: equal to the oracle, whole or with context."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.datasets import load_dataset
from fraudlake.features.batch.compute import compute, feature_columns
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.features.labels import label_changes
from fraudlake.features.oracle import oracle
from fraudlake.features.state import micro_batch, single, sorted_runs
from fraudlake.features.state.stores import RunPaths, Store

START = datetime(2026, 3, 1, tzinfo=UTC)
PLACES = [(48.85, 2.35), (13.76, 100.5), (-23.55, -46.63)]
LABELS = "tx_id bigint, is_fraud boolean, known_at timestamp, source string"


def payments(rows=250):
    """Payments of few cards, many within minutes of each other or at one instant."""
    random = np.random.default_rng(7)
    for tx_id in range(rows):
        online = random.random() < 0.4
        minutes = int(random.integers(0, 60)) * 1500 + int(random.integers(0, 12))
        place = PLACES[int(random.integers(len(PLACES)))]
        yield {
            "tx_id": tx_id,
            "event_time": START + timedelta(minutes=minutes),
            "customer_id": int(random.integers(2)),
            "card_id": int(random.integers(3)),
            "terminal_id": int(random.integers(3)),
            "merchant_id": int(random.integers(4)),
            "merchant_category": str(random.choice(["5411", "7011"])),
            "channel": "online" if online else "present",
            "device_id": int(random.integers(3)) if online else None,
            "ip_address": None,
            "country": str(random.choice(["FR", "TH"])),
            "latitude": place[0],
            "longitude": place[1],
            "amount": Decimal(int(random.integers(1, 10**6))) / 100,
        }


@pytest.fixture(scope="module")
def transactions():
    return list(payments())


@pytest.fixture(scope="module")
def statements(transactions):
    return [
        {
            "tx_id": row["tx_id"],
            "is_fraud": row["tx_id"] % 3 == 0,
            "known_at": row["event_time"] + timedelta(days=7),
            "source": "bank",
        }
        for row in transactions
    ]


@pytest.fixture(scope="module")
def frames(spark, transactions, statements):
    dataset = load_dataset("simulated")
    schema = ", ".join(f"{name} {kind}" for name, kind in dataset.column_types().items())
    return spark.createDataFrame(transactions, schema), spark.createDataFrame(statements, LABELS)


@pytest.fixture(scope="module")
def whole(frames):
    payments, labels = frames
    feature_set, entities = load_feature_set("full"), load_dataset("simulated").entities
    nothing = payments.where("false")
    built = compute(payments, lambda _: nothing, labels, feature_set, entities)
    assert {n: t for n, t in built.dtypes if n in feature_columns(feature_set)} == feature_columns(
        feature_set
    )
    return {row["tx_id"]: row.asDict() for row in built.collect()}


def test_full_set_equals_the_oracle(whole, transactions, statements):
    feature_set, entities = load_feature_set("full"), load_dataset("simulated").entities
    assert len(whole) == len(transactions)
    told_apart = {feature.name: set() for feature in feature_set.features}
    for expected in oracle(transactions, statements, feature_set, entities):
        got = whole[expected["tx_id"]]
        for feature in feature_set.features:
            value, other = got[feature.name], expected[feature.name]
            told_apart[feature.name].add(value)
            if value is None or other is None:
                assert value is other, feature
            elif feature.operation is None or feature.operation.exact:
                assert np.float64(value).tobytes() == np.float64(other).tobytes(), feature
            else:
                assert math.isclose(value, other, rel_tol=1e-9, abs_tol=1e-9), feature
    # A constant column would agree with anything.
    assert all(len(values) > 1 for values in told_apart.values()), told_apart


def test_few_rows_with_their_context_equal_the_whole(whole, frames):
    """What a stream does; equal to the bit, also where the oracle is only close."""
    payments, labels = frames
    feature_set, entities = load_feature_set("full"), load_dataset("simulated").entities
    targets = payments.where(f"event_time >= timestamp '{START + timedelta(days=40):%F}'")
    others = payments.join(targets.select("tx_id"), "tx_id", "left_anti")
    asked = []

    def context(entity):
        asked.append(entity)
        return others

    found = compute(targets, context, labels, feature_set, entities).collect()
    assert asked == list(feature_set.by_entity())
    assert "card,merchant_category" in asked
    assert 20 < len(found) < len(whole)
    for row in found:
        assert repr(row.asDict()) == repr(whole[row["tx_id"]])


def test_each_transaction_asked_for_alone_equals_the_whole(
    whole, frames, transactions, statements, tmp_path
):
    """All are remembered, in two partitions; none counts twice, and those asked with it not."""
    payments, labels = frames
    feature_set, dataset = load_feature_set("full"), load_dataset("simulated")

    def run_paths(known):
        stores = [*Store, *feature_set.by_entity()]
        return {s: RunPaths(str(tmp_path / str(n)), known, "w0", 2) for n, s in enumerate(stores)}

    changes = label_changes(labels)
    micro_batch.remember(payments, changes, feature_set, dataset.entities, run_paths(()))
    runs = {
        entity: [sorted_runs.Run(a) for n in range(2) for a in run_paths(("w0",))[entity].read(n)]
        for entity in feature_set.by_entity()
    }
    rows = [{**dict.fromkeys(dataset.columns), **row} for row in transactions]
    found = single.features_of_each(
        rows, feature_set, dataset.entities, dataset.column_types(), runs
    )
    for row, got in zip(rows, found.to_pylist(), strict=True):
        for feature in feature_set.features:
            value, other = got[feature.name], whole[row["tx_id"]][feature.name]
            if other is None:
                assert value is None or math.isnan(value), feature
            else:
                assert value == other, feature
