"""The reference data set, all 1.47 million rows: kernels against other ways to the same numbers."""

import itertools
from datetime import UTC, timedelta
from decimal import Decimal

import numpy as np
import pytest

from fraudlake.features.definition.feature_set import FeatureSet, load_feature_set
from fraudlake.features.kernels.events import Events
from fraudlake.features.oracle import oracle
from fraudlake.features.windows import windows

pytestmark = pytest.mark.slow

DAY = 86_400_000_000
COLUMNS = {
    "TRANSACTION_ID": "tx_id",
    "TX_DATETIME": "event_time",
    "CUSTOMER_ID": "customer_id",
    "TERMINAL_ID": "terminal_id",
    "TX_AMOUNT": "amount",
    "TX_FRAUD": "is_fraud",
}


@pytest.fixture(scope="module")
def frame(handbook):
    """All months with our names; `time` in microseconds, `cents` whole."""
    import pandas as pd

    months = [
        pd.read_parquet(path, columns=[*COLUMNS]) for path in sorted(handbook.glob("*.parquet"))
    ]
    rows = pd.concat(months, ignore_index=True).rename(columns=COLUMNS)
    rows["time"] = rows["event_time"].astype("datetime64[us]").astype(np.int64)
    rows["cents"] = (rows["amount"] * 100).round().astype(np.int64)
    return rows


def by_kernels(frame, key):
    """The rows sorted by (key, time, transaction), with the Handbook's features of that entity."""
    rows = frame.sort_values([key, "time", "tx_id"], ignore_index=True)
    frauds = np.flatnonzero(rows["is_fraud"])
    events = Events(
        np.unique(rows[key], return_inverse=True)[1],
        rows["time"].to_numpy(),
        {"amount": rows["cents"].to_numpy()},
        {"amount": 100},
        change_event=frauds,
        change_time=rows["time"].to_numpy()[frauds] + 7 * DAY,
        change_value=np.ones(len(frauds), np.int64),
    )
    features = load_feature_set("handbook").by_entity()[key.removesuffix("_id")]
    return rows.assign(**windows(events, np.arange(len(rows)), features))


@pytest.fixture(scope="module")
def customers(frame):
    return by_kernels(frame, "customer_id")


@pytest.fixture(scope="module")
def terminals(frame):
    return by_kernels(frame, "terminal_id")


def one_by_one(rows, key):
    """Positions of each entity's rows, times and running totals: one entity after the other."""
    borders = np.flatnonzero(np.diff(rows[key], prepend=-1, append=-1))
    time, cents, fraud = (rows[c].to_numpy() for c in ("time", "cents", "is_fraud"))
    for first, end in itertools.pairwise(borders):
        at = slice(first, end)
        total = np.concatenate(([0], np.cumsum(cents[at])))
        frauds = np.concatenate(([0], np.cumsum(fraud[at])))
        yield at, time[at], total, frauds


def test_customer_columns_on_every_row(customers):
    expected = {n: np.empty(len(customers)) for n in customers.columns if n.startswith("customer_")}
    for at, time, total, _ in one_by_one(customers, "customer_id"):
        end = np.arange(1, len(time) + 1)
        for days in (1, 7, 30):
            begin = np.searchsorted(time, time - days * DAY, side="right")
            expected[f"customer_count_{days}d"][at] = end - begin
            mean = (total[end] - total[begin]) / ((end - begin) * 100)
            expected[f"customer_mean_amount_{days}d"][at] = mean
    for name in expected.keys() - {"customer_id"}:
        assert np.array_equal(expected[name], customers[name]), name


def test_terminal_columns_on_every_row(terminals):
    expected = {n: np.empty(len(terminals)) for n in terminals.columns if n.startswith("terminal_")}
    for at, time, _, frauds in one_by_one(terminals, "terminal_id"):
        end = np.searchsorted(time, time - 7 * DAY, side="right")
        for days in (1, 7, 30):
            begin = np.searchsorted(time, time - (7 + days) * DAY, side="right")
            count = end - begin
            expected[f"terminal_count_{days}d_delay7d"][at] = count
            rate = (frauds[end] - frauds[begin]) / np.maximum(count, 1)
            expected[f"terminal_rate_fraud_{days}d_delay7d"][at] = rate
    for name in expected.keys() - {"terminal_id"}:
        assert np.array_equal(expected[name], terminals[name]), name
    assert np.count_nonzero(terminals["terminal_rate_fraud_7d_delay7d"]) > 20_000


@pytest.mark.parametrize("key", ["customer_id", "terminal_id"])
def test_sample_of_entities_against_the_oracle(request, key):
    """The five entities with the most frauds and five drawn, all months."""
    rows = request.getfixturevalue(f"{key.removesuffix('_id')}s")
    defrauded = rows.groupby(key)["is_fraud"].sum().nlargest(5).index
    drawn = np.random.default_rng(1).choice(rows[key].unique(), 5, replace=False)
    entity = key.removesuffix("_id")
    declared = load_feature_set("handbook").declared
    blocks = [block for block in declared if getattr(block, "entity", ()) == (entity,)]
    only = FeatureSet.model_validate({"features": blocks})
    compared = 0
    for number in {*defrauded, *drawn}:
        part = rows[rows[key] == number]
        transactions = [
            {
                "tx_id": r.tx_id,
                "event_time": r.event_time.to_pydatetime().replace(tzinfo=UTC),
                "amount": Decimal(r.cents) / 100,
                key: number,
            }
            for r in part.itertuples()
        ]
        statements = [
            {
                "tx_id": r["tx_id"],
                "is_fraud": bool(fraud),
                "known_at": r["event_time"] + timedelta(days=7),
                "source": "handbook",
            }
            for r, fraud in zip(transactions, part["is_fraud"], strict=True)
        ]
        values = oracle(transactions, statements, only, {entity: key})
        for name in (feature.name for feature in only.features):
            assert [v[name] for v in values] == part[name].tolist(), (number, name)
            compared += len(values)
    assert compared > 6_000
