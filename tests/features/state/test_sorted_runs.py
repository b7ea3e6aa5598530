"""What a stream remembers, against the kernels of the batch build over everything that has come."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.features.conftest import ENTITIES, _micros, _signed_changes, as_events, kernel_values
from tests.features.operations.test_operations import feature_sets, rows, statements, thorough

from fraudlake.features.feature import reach_of
from fraudlake.features.state import label_changes, run_files, sorted_runs

BATCHES = 4


def text(row, keys):
    return repr([row[key] for key in keys]).encode()


def batch_of(rows, keys, changes):
    rows = sorted(rows, key=lambda r: (text(r, keys), r["event_time"], r["tx_id"]))
    found, number = np.unique([text(r, keys) for r in rows], return_inverse=True)
    events = as_events(rows, keys, changes)
    missing = {"amount": np.zeros(len(rows), bool)} | dict(events.missing)
    events = replace(events, entity=number, missing=missing)
    raw = {"values/amount": events.values["amount"], "missing/amount": missing["amount"]}
    raw |= {f"degrees/{c}": values for c, values in events.degrees.items()}
    for column in ("country", "terminal_id"):
        values = [r.get(column) for r in rows]
        raw[f"codes/{column}"] = np.array([repr(v).encode() for v in values])
        raw[f"absent/{column}"] = np.array([v is None for v in values])
    return sorted_runs.Batch(found, events, np.array([r["tx_id"] for r in rows]), raw), rows


def label_run(arrived, keys, changes, features):
    """Labels of transactions that came before."""
    flat = [
        (_micros(r["event_time"]), r["tx_id"], *c)
        for r in arrived
        for c in changes.get(r["tx_id"], [])
    ]
    if not flat:
        return sorted_runs.Run({})
    of = [text(r, keys) for r in arrived for _ in changes.get(r["tx_id"], [])]
    found, number = np.unique(of, return_inverse=True)
    said = label_changes.Changes(number, *np.array(flat).T)
    return sorted_runs.Run(label_changes.label_arrays(found, said, features))


def differences(found, said, feature_set, when, later, merged):
    """Each row in its batch `when`, its labels from batch `later` on, runs merged or not."""
    wrong = []
    features = feature_set.features
    keys = features[0].keys(ENTITIES)
    keyed = [r for r in found if all(r[key] is not None for key in keys)]
    runs = []
    for number in range(BATCHES):
        known = [s for s in said if later[s["tx_id"]] <= number]
        changes = _signed_changes(known)
        fresh = [r for r in keyed if when[r["tx_id"]] == number]
        arrived = [r for r in keyed if when[r["tx_id"]] < number]
        just = {tx: c for tx, c in changes.items() if later[tx] == number}
        runs.append(label_run(arrived, keys, just, features))
        if fresh:
            batch, order = batch_of(fresh, keys, changes)
            own = sorted_runs.run_of(batch, features)
            values = sorted_runs.answer(batch, own, runs, features)
            ids = {r["tx_id"] for r in fresh}
            expected = kernel_values([*arrived, *fresh], known, feature_set, ids)
            for place, row in enumerate(order):
                for name, value in expected[row["tx_id"]].items():
                    got = values[name][place].item()
                    if (None if math.isnan(got) else got) != value:
                        wrong.append((name, row, got, value))
            runs.append(own)
        if merged[number]:
            runs = [sorted_runs.merge(runs, -(2**62))]
    return wrong


@thorough
@given(rows, statements, feature_sets(), st.data())
def test_every_batch_is_answered_as_the_batch_build_would(found, said, feature_set, data):
    """Rows in any order of arrival, labels with them or later."""
    batch = st.integers(0, BATCHES - 1)
    when = data.draw(st.lists(batch, min_size=20, max_size=20))
    later = data.draw(st.lists(batch, min_size=21, max_size=21))
    merged = data.draw(st.lists(st.booleans(), min_size=BATCHES, max_size=BATCHES))
    assert not differences(found, said, feature_set, when, later, merged)


@pytest.mark.parametrize(
    "boundary", [{}, {"current": False}, {"current": False, "ties": False}, {"delay": "2d"}]
)
def test_transactions_that_do_not_count_for_each_other(world, feature_set, boundary):
    """Each as the next one after what is remembered; one that is remembered itself counts once."""
    found, said = world(4, rows=120, days=12)
    operations = [
        "count",
        {"std": "amount"},
        {"max": "amount"},
        {"decay": "amount", "half_life": "1d"},
    ]
    operations += [{"rate": "fraud"}] if "delay" in boundary else []
    made = feature_set(
        {"entity": "customer", "operations": operations, "windows": ["2d", "9d"], **boundary}
    )
    keys, changes = ["customer_id"], _signed_changes(said)
    remembered = found[:80]
    runs = [
        sorted_runs.run_of(batch_of(part, keys, changes)[0], made.features)
        for part in (remembered[:50], remembered[50:])
    ]
    asked, order = batch_of(found, keys, {})
    each = replace(asked.events, entity=np.arange(len(found)))
    asked = replace(asked, keys=asked.keys[asked.events.entity], events=each)
    values = sorted_runs.answer(
        asked, sorted_runs.run_of(asked, made.features), runs, made.features
    )
    for place, row in enumerate(order):
        known = [r for r in remembered if r["tx_id"] != row["tx_id"]]
        expected = kernel_values([*known, row], said, made, {row["tx_id"]})
        got = {name: found[place].item() for name, found in values.items()}
        assert got == expected[row["tx_id"]], row


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("delay", ["1d", "9d"])
def test_rates_of_frauds_as_they_become_known(world, feature_set, delay, merged):
    found, said = world(2, nulls=False)
    operations = ["count", {"rate": "fraud"}, {"std": "amount"}, {"max": "amount"}]
    made = feature_set(
        {"entity": "terminal", "operations": operations, "windows": ["3d", "9d"], "delay": delay}
    )
    random = np.random.default_rng(0)
    when, later = random.integers(0, BATCHES, (2, len(found)))
    assert not differences(found, said, made, when, later, [merged] * BATCHES)


def test_a_merge_forgets_what_no_later_window_reaches(feature_set, world):
    made = feature_set(
        {"entity": "terminal", "operations": ["count", {"rate": "fraud"}], "windows": ["3d"],
         "delay": "8d"},
    )  # fmt: skip
    transactions, said = world(1, rows=400, nulls=False)
    transactions.sort(key=lambda r: (r["event_time"], r["tx_id"]))
    old, new = transactions[:300], transactions[300:]
    changes, features = _signed_changes(said), made.features
    runs = [
        sorted_runs.run_of(batch_of(part, ["terminal_id"], changes)[0], features)
        for part in (old[:150], old[150:])
    ]
    batch, _ = batch_of(new, ["terminal_id"], changes)
    own = sorted_runs.run_of(batch, features)
    whole = sorted_runs.answer(batch, own, runs, features)
    merged = sorted_runs.merge(runs, int(batch.events.time.min()) - reach_of(features) + 1)
    assert 0 < len(merged.tx_id) < 300
    (points,) = merged.frauds.values()
    assert 0 < len(points.packed) < sum(len(r.frauds[n].packed) for r in runs for n in r.frauds)
    after = sorted_runs.answer(batch, own, [merged], features)
    for name, values in whole.items():
        assert values.tolist() == after[name].tolist(), name
    assert any(values.any() for values in whole.values())


def test_files_are_whole_or_refused(tmp_path):
    path = tmp_path / "a" / "b.run"
    arrays = {"numbers": np.arange(1000), "texts": np.array([b"x", b"longer"]), "none": np.empty(0)}
    run_files.write(path, arrays)
    for name, array in run_files.read(path).items():
        assert array.dtype == arrays[name].dtype
        assert array.tolist() == arrays[name].tolist()
    run_files.write(path, {})
    assert run_files.read(path) == {}
    run_files.write(path, arrays)
    content = bytearray(path.read_bytes())
    content[-70] ^= 1
    path.write_bytes(content)
    with pytest.raises(run_files.DamagedError, match="checksum"):
        run_files.read(path)
    path.write_bytes(content[:500])
    with pytest.raises(run_files.DamagedError):
        run_files.read(path)
    path.unlink()
    with pytest.raises(run_files.DamagedError, match="no file"):
        run_files.read(path)


def test_a_file_that_stands_is_checked_once_and_one_that_was_removed_is_let_go(
    tmp_path, monkeypatch
):
    checked = Counter()
    whole = run_files._checked
    monkeypatch.setattr(run_files, "_checked", lambda path: checked.update([path]) or whole(path))
    standing = [tmp_path / f"{number}.run" for number in range(1200)]
    for path in standing:
        run_files.write(path, {"numbers": np.arange(10)})
    for _ in range(2):
        for path in standing:
            run_files.read(path)
    assert checked == Counter(standing)
    assert len(list(Path("/proc/self/fd").iterdir())) < len(standing)  # mapped, and closed again
    for number in range(5000):
        path = tmp_path / f"passing-{number}.run"
        run_files.write(path, {"numbers": np.arange(10)})
        run_files.read(path)
        path.unlink()
    mapped = Path("/proc/self/maps").read_text().count("passing")
    assert mapped < 3 * len(standing)
