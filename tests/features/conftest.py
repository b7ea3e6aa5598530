"""What the tests of features share: a small world of rows, and kernels fed from plain rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.features.definition import FeatureSet
from fraudlake.features.kernels import Events, windows

START = datetime(2018, 4, 1, tzinfo=UTC)
ENTITIES = {"customer": "customer_id", "terminal": "terminal_id"}
MICRO = timedelta(microseconds=1)


def _micros(instant):
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // MICRO


def _signed_changes(statements):
    """tx_id → (known_at, ±1) wherever a statement says other than the one before."""
    found = {}
    said = {}
    for s in sorted(statements, key=lambda s: (s["tx_id"], s["known_at"], s["source"])):
        if s["is_fraud"] != said.get(s["tx_id"], False):
            change = _micros(s["known_at"]), 1 if s["is_fraud"] else -1
            found.setdefault(s["tx_id"], []).append(change)
        said[s["tx_id"]] = s["is_fraud"]
    return found


def kernel_values(transactions, statements, feature_set):
    """tx_id → window features, by the kernels alone."""
    changes = _signed_changes(statements)
    result = {row["tx_id"]: {} for row in transactions}
    for entity, features in feature_set.by_entity().items():
        key = ENTITIES[entity]
        rows = sorted(
            (r for r in transactions if r[key] is not None),
            key=lambda r: (r[key], r["event_time"], r["tx_id"]),
        )
        keys = sorted({r[key] for r in rows})
        cents = [None if r["amount"] is None else int(r["amount"] * 100) for r in rows]
        flat = [(i, *c) for i, r in enumerate(rows) for c in changes.get(r["tx_id"], [])]
        event, known, value = np.array(flat, np.int64).reshape(-1, 3).T
        events = Events(
            np.array([keys.index(r[key]) for r in rows], np.int64),
            np.array([_micros(r["event_time"]) for r in rows], np.int64),
            {"amount": np.array([c or 0 for c in cents], np.int64)},
            {"amount": 100},
            {"amount": np.array([c is None for c in cents], bool)} if None in cents else {},
            event,
            known,
            value,
        )
        found = windows(events, np.arange(len(rows)), features)
        for position, row in enumerate(rows):
            result[row["tx_id"]] |= {name: v[position].item() for name, v in found.items()}
        for row in transactions:
            if row[key] is None:
                result[row["tx_id"]] |= {f.name: f.empty for f in features}
    return result


def make_world(seed, rows=300, customers=7, terminals=4, days=40, nulls=True):
    """Transactions with ties, gaps and nulls; labels late, corrected, contradicted."""
    random = np.random.default_rng(seed)
    transactions, statements = [], []
    instants = random.integers(0, days * 24, rows)
    for tx_id in random.permutation(rows):
        # Whole hours make ties and events exactly on a window's edge.
        at = START + timedelta(hours=int(instants[tx_id])) + int(random.integers(0, 2)) * MICRO
        transactions.append(
            {
                "tx_id": int(tx_id),
                "event_time": at,
                "amount": Decimal(int(random.integers(0, 100_000))) / 100,
                "customer_id": int(random.zipf(1.5)) % customers,
                "terminal_id": None
                if nulls and random.random() < 0.05
                else int(random.integers(terminals)),
            }
        )
        known = at + timedelta(days=7)
        if random.random() < 0.5:
            fraud = bool(random.random() < 0.4)
            for source in ("bank", "analyst", "court")[: int(random.integers(1, 4))]:
                statements.append(
                    {
                        "tx_id": int(tx_id),
                        "is_fraud": fraud,
                        "known_at": known,
                        "source": source,
                    }
                )
                fraud = not fraud
                known += timedelta(days=int(random.integers(0, 12)))
    return transactions, statements


@pytest.fixture
def kernel():
    return kernel_values


@pytest.fixture
def world():
    return make_world


@pytest.fixture
def feature_set():
    """A feature set from blocks as YAML would give them."""

    def make(*blocks):
        return FeatureSet.model_validate({"features": list(blocks)})

    return make


@pytest.fixture
def entities():
    return ENTITIES
