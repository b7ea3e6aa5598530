"""Every operation against the oracle, and against itself with fewer rows around."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fraudlake.features.definition.feature_set import FeatureSet
from fraudlake.features.feature import Input
from fraudlake.features.operations import OPERATIONS
from fraudlake.features.oracle import oracle

START = datetime(2018, 4, 1, tzinfo=UTC)
LARGEST = 10**18 - 1  # cents of a decimal(18,2)
# What is exact is equal to the oracle to the bit; the others to this relative difference.
TOLERANCE = 1e-9
SURE = 10**12

thorough = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
# Few instants on a coarse grid: ties, and events exactly on the edge of a window, are the rule.
instants = st.builds(
    lambda hours, micros: START + timedelta(hours=hours, microseconds=micros),
    st.integers(-30, 66),
    st.integers(-1, 1),
)
cents = st.one_of(st.integers(0, 400), st.integers(10**12, 10**12 + 2), st.just(LARGEST))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "event_time": instants,
            "customer_id": st.one_of(st.none(), st.integers(0, 1)),
            "terminal_id": st.one_of(st.none(), st.sampled_from([0, 1, 11])),
            "country": st.one_of(st.none(), st.sampled_from(["FR", "US", "TH"])),
            "amount": st.one_of(st.none(), cents.map(lambda c: Decimal(c) / 100)),
            "latitude": st.one_of(st.none(), st.sampled_from([-90.0, 48.85, 48.8501, 90.0])),
            "longitude": st.sampled_from([-180.0, 0.0, 2.35, 179.9]),
        }
    ),
    max_size=20,
).map(lambda found: [row | {"tx_id": i} for i, row in enumerate(found)])
statements = st.lists(
    st.fixed_dictionaries(
        {
            "tx_id": st.integers(0, 20),
            "is_fraud": st.booleans(),
            "known_at": instants,
            "source": st.sampled_from("ab"),
        }
    ),
    max_size=20,
    unique_by=lambda s: (s["tx_id"], s["known_at"], s["source"]),
)
# What a definition says of the columns above, by what an operation takes.
COLUMNS = {
    Input.NUMBER: ["amount"],
    Input.VALUE: ["country", "terminal_id"],
    Input.PLACE: [["latitude", "longitude"]],
}
PARAMETERS = {
    "half_life": [{"half_life": "7h"}, {"half_life": "60d"}],
    "k": [{"k": 3}],
    None: [{}],
}
OVER_LABELS = {name for name, o in OPERATIONS.items() if o.input is Input.LABELS}
COMPARING = {name for name, o in OPERATIONS.items() if o.compares}


def said(operation):
    """Every operation there is, as definitions say it."""
    columns = COLUMNS.get(operation.input, [operation.word])
    more = PARAMETERS[operation.parameter]
    return [{operation.name: c} | p if c else operation.name for c in columns for p in more]


ALL = [entry for operation in OPERATIONS.values() for entry in said(operation)]
entity = st.sampled_from(
    ["customer", "terminal", ["customer", "terminal"], ["terminal", "country"]]
)
length = st.integers(1, 48).map("{}h".format)
boundaries = st.one_of(
    st.fixed_dictionaries({"delay": length}),
    st.sampled_from([{}, {"current": False}, {"current": False, "ties": False}]),
)


def words(operation):
    return operation if isinstance(operation, str) else next(iter(operation))


@st.composite
def feature_sets(draw):
    boundary = draw(boundaries)
    left_out = set() if "delay" in boundary else OVER_LABELS
    left_out |= set() if boundary else COMPARING
    block = {
        "entity": draw(entity),
        "operations": [o for o in ALL if words(o) not in left_out],
        "windows": draw(st.lists(length, min_size=1, max_size=2, unique=True)),
        "empty": draw(st.sampled_from([0, -1, None])),
        **boundary,
    }
    return FeatureSet.model_validate({"features": [block]})


def same(feature, got, expected):
    if got is None or expected is None:
        return got is expected
    # Beyond 2⁵³ minor units a sum is rounded once more when it becomes a double.
    if feature.operation.exact and abs(expected) < SURE:
        return np.float64(got).tobytes() == np.float64(expected).tobytes()
    return math.isclose(got, expected, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def differs(feature, got, expected):
    how = "to the bit" if feature.operation.exact else f"to {TOLERANCE}"
    return f"{feature.name}: the kernel gives {got}, `plain` {expected}, expected equal {how}"


@thorough
@given(rows=rows, statements=statements, features=feature_sets())
def test_operations_agree_with_the_oracle(rows, statements, features, kernel, entities):
    found = kernel(rows, statements, features)
    for expected in oracle(rows, statements, features, entities):
        got = found[expected["tx_id"]]
        for feature in features.features:
            value, wanted = got[feature.name], expected[feature.name]
            assert same(feature, value, wanted), differs(feature, value, wanted)


@pytest.mark.parametrize(
    "boundary", [{"delay": "7d"}, {"current": False}, {"current": False, "ties": False}, {}]
)
def test_operations_agree_with_the_oracle_on_a_larger_world(boundary, world, kernel, entities):
    transactions, labels = world(len(boundary), rows=150, customers=3, terminals=2)
    random = np.random.default_rng(1)
    for row in transactions:
        row["country"] = str(random.choice(["FR", "US", "TH", "ES", "IT"]))
        row["latitude"] = None if row["tx_id"] % 9 == 0 else float(random.uniform(-90, 90))
        row["longitude"] = float(random.uniform(-180, 180))
        row["amount"] = None if row["tx_id"] % 11 == 0 else row["amount"]
    operations = [o for o in ALL if "delay" in boundary or words(o) not in OVER_LABELS]
    operations = [o for o in operations if boundary or words(o) not in COMPARING]
    operations = [o for o in operations if o != {"decay": "amount", "half_life": "7h"}]
    blocks = [
        {"entity": e, "operations": operations, "windows": ["4d", "20d"], **boundary}
        for e in ("customer", ["terminal", "customer"])
    ]
    features = FeatureSet.model_validate({"features": blocks})
    found = kernel(transactions, labels, features)
    seen = {feature.name: set() for feature in features.features}
    for expected in oracle(transactions, labels, features, entities):
        for feature in features.features:
            got = found[expected["tx_id"]][feature.name]
            wanted = expected[feature.name]
            assert same(feature, got, wanted), differs(feature, got, wanted)
            seen[feature.name].add(got)
    assert all(len(values) > 1 for values in seen.values()), seen


@thorough
@given(
    rows=rows,
    statements=statements,
    features=feature_sets(),
    asked=st.sets(st.integers(0, 19), min_size=1, max_size=3),
)
def test_values_do_not_depend_on_what_else_is_there(rows, statements, features, asked, kernel):
    """With the rows of their own look-back alone, some targets have the very same values."""
    everything = kernel(rows, statements, features)
    wanted = [row for row in rows if row["tx_id"] in asked]
    near = [
        row
        for row in rows
        if any(
            t["event_time"] - features.lookback <= row["event_time"] <= t["event_time"]
            for t in wanted
        )
    ]
    for tx_id, values in kernel(near, statements, features, asked).items():
        assert repr(values) == repr(everything[tx_id])


@thorough
@given(rows=rows, statements=statements, features=feature_sets(), hours=st.integers(-30, 66))
def test_later_rows_and_labels_change_nothing(rows, statements, features, hours, kernel):
    now = START + timedelta(hours=hours)
    past = [row for row in rows if row["event_time"] <= now]
    known = [s for s in statements if s["known_at"] <= now]
    everything = kernel(rows, statements, features)
    for tx_id, values in kernel(past, known, features).items():
        assert repr(values) == repr(everything[tx_id])
