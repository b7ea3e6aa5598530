"""What the tests of features share: a small world of rows, and kernels fed from plain rows."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.kernels.events import Events
from fraudlake.features.windows import windows

START = datetime(2018, 4, 1, tzinfo=UTC)
ENTITIES = {"customer": "customer_id", "terminal": "terminal_id"}
MICRO = timedelta(microseconds=1)
COMPARED = ("customer_id", "terminal_id", "country")


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


def as_events(rows, keys, changes):
    """Events of rows that lie sorted by (keys, event_time, tx_id)."""
    groups = sorted({tuple(r[key] for key in keys) for r in rows})
    cents = [None if r["amount"] is None else int(r["amount"] * 100) for r in rows]
    flat = [(i, *c) for i, r in enumerate(rows) for c in changes.get(r["tx_id"], [])]
    event, known, value = np.array(flat, np.int64).reshape(-1, 3).T
    texts = sorted({r[c] for r in rows for c in COMPARED if r.get(c) is not None}, key=str)
    return Events(
        np.array([groups.index(tuple(r[key] for key in keys)) for r in rows], np.int64),
        np.array([_micros(r["event_time"]) for r in rows], np.int64),
        {"amount": np.array([c or 0 for c in cents], np.int64)},
        {"amount": 100},
        {"amount": np.array([c is None for c in cents], bool)} if None in cents else {},
        event,
        known,
        value,
        {
            c: np.array([-1 if r.get(c) is None else texts.index(r[c]) for r in rows], np.int64)
            for c in COMPARED
        },
        {c: np.array([r.get(c) for r in rows], np.float64) for c in ("latitude", "longitude")},
    )


def kernel_values(transactions, statements, feature_set, targets=None):
    """tx_id → window features, by the kernels alone; of all transactions, or of those named."""
    changes = _signed_changes(statements)
    targets = {row["tx_id"] for row in transactions} if targets is None else targets
    result = {row["tx_id"]: {} for row in transactions if row["tx_id"] in targets}
    for features in feature_set.by_entity().values():
        keys = features[0].keys(ENTITIES)
        rows = sorted(
            (r for r in transactions if all(r[key] is not None for key in keys)),
            key=lambda r: (*(r[key] for key in keys), r["event_time"], r["tx_id"]),
        )
        asked = [i for i, row in enumerate(rows) if row["tx_id"] in targets]
        events = as_events(rows, keys, changes)
        found = windows(events, np.array(asked, np.int64), features)
        for values in result.values():
            values |= {f.name: f.empty for f in features}
        for place, position in enumerate(asked):
            values = {name: v[place].item() for name, v in found.items()}
            result[rows[position]["tx_id"]] |= {
                name: None if math.isnan(v) else v for name, v in values.items()
            }
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


@pytest.fixture(scope="session")
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
