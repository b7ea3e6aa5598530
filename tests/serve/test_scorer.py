"""Single transactions, scored beside a stream: what the stream gives them, bit for bit."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import threading
import time
import urllib.request
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from tests.stream.conftest import FIRST, as_model, scorer_on

from fraudlake import job, registry
from fraudlake.datasets import load_dataset
from fraudlake.errors import DataError
from fraudlake.features.definition.feature_set import FeatureSet, load_feature_set
from fraudlake.features.state.run_files import DamagedError
from fraudlake.ingest import sources
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS, TRANSACTIONS
from fraudlake.models import bundle
from fraudlake.serve import scorer as single_scorer
from fraudlake.serve.http import ScoreServer
from fraudlake.serve.request import TransactionReader
from fraudlake.serve.scorer import SingleScorer
from fraudlake.serve.state_reader import StateReader

pytestmark = pytest.mark.usefixtures("planned_at_once")

DATASET, FEATURES = load_dataset("handbook"), load_feature_set("handbook")
EVERY_S = 0.02


@pytest.fixture(scope="module")
def states(spark, world, model, tmp_path_factory):
    """The state after the first batch of live rows and after the second, and both batches."""
    folder = tmp_path_factory.mktemp("serve")
    for table in (TRANSACTIONS, LABELS):
        shutil.copytree(world.lake.path(table), folder / "lake" / table.name)
    lake = Lake(spark, str(folder / "lake"))
    live = world.live.sort_values(["TX_DATETIME", "TRANSACTION_ID"])
    parts, scorer = (live.iloc[:FIRST], live.iloc[FIRST:]), scorer_on(lake, model)
    for number, part in enumerate(parts):
        part.to_parquet(folder / f"{number}.parquet", index=False)
        scorer.process(sources.read(spark, DATASET, str(folder / f"{number}.parquet")), number)
        shutil.copytree(lake.folder("stream"), folder / f"after{number}")
    return SimpleNamespace(folder=folder, parts=parts)


@pytest.fixture
def state(states, tmp_path):
    """A copy of the state after the first batch, which a test may change."""
    return shutil.copytree(states.folder / "after0", tmp_path / "lake" / "_stream")


def bodies(rows):
    """Requests, one for each row of raw records."""
    return [
        json.dumps(
            {
                "tx_id": row.TRANSACTION_ID,
                "event_time": row.TX_DATETIME.isoformat(),
                "customer_id": row.CUSTOMER_ID,
                "terminal_id": row.TERMINAL_ID,
                "amount": row.TX_AMOUNT,
            }
        ).encode()
        for row in rows.itertuples()
    ]


def requests(rows):
    read = TransactionReader(DATASET, FEATURES)
    return [read(body) for body in bodies(rows)]


def scorer_of(state, model):
    reader = StateReader(str(state), FEATURES, EVERY_S)
    in_service = as_model(model)
    return SingleScorer(DATASET, FEATURES, reader.snapshot, lambda: in_service), reader


def as_flagged(answer):
    """Reasons as the table `flagged` has them."""
    return [(r["feature"], r["value"], r["contribution"]) for r in answer["reasons"]]


def check(answers, expected):
    for answer in answers:
        tx_id = answer["tx_id"]
        assert answer["score"] == expected.scores[tx_id]
        assert answer["flag"] == (tx_id in expected.flags) == (answer["reasons"] is not None)
        if answer["flag"]:
            assert as_flagged(answer) == [tuple(r) for r in expected.flags[tx_id][2]]


def test_what_is_committed_gets_the_same_answer_again(states, model, expected):
    """All together and one by one; a transaction that is remembered counts once."""
    scorer, _ = scorer_of(states.folder / "after1", model)
    rows = [row for part in states.parts for row in requests(part)]
    together = scorer(rows)
    assert len({answer["score"] for answer in together}) > 30
    check(together, expected)
    assert any(answer["flag"] for answer in together)
    assert [scorer([row])[0] for row in rows[::7]] == together[::7]
    newest = states.parts[1]["TX_DATETIME"].max()
    assert together[0] | {"score": 0, "flag": 0, "reasons": 0} == {
        "tx_id": rows[0]["tx_id"], "score": 0, "flag": 0, "reasons": 0,
        "threshold": as_model(model).threshold, "model_version": 1, "definition": FEATURES.hash,
        "as_of": {"batch": 1, "event_time": f"{newest.isoformat()}+00:00"},
    }  # fmt: skip


def test_the_next_transactions(states, model, expected):
    """Each customer's next one after the first batch, as the batch build scores it."""
    scorer, _ = scorer_of(states.folder / "after0", model)
    following = states.parts[1].drop_duplicates("CUSTOMER_ID")
    assert len(following) > 9
    answers = scorer(requests(following))
    check(answers, expected)
    assert {answer["as_of"]["batch"] for answer in answers} == {0}
    # The second batch makes a difference: it is not in what was asked.
    later = requests(states.parts[1].drop_duplicates("CUSTOMER_ID", keep="last"))
    assert [a["score"] for a in scorer(later)] != [expected.scores[r["tx_id"]] for r in later]


def test_those_asked_for_together_do_not_see_one_another(states, model):
    scorer, _ = scorer_of(states.folder / "after0", model)
    first = requests(states.parts[1].iloc[:1])[0]
    same = [first | {"tx_id": 10**6 + n, "event_time": first["event_time"]} for n in range(5)]
    same.append(first | {"event_time": first["event_time"] - timedelta(minutes=1)})
    alone = [scorer([row])[0] for row in same]
    assert scorer(same) == alone
    assert len({answer["score"] for answer in alone[:5]}) == 1


def test_fifty_callers_at_a_time(states, model, expected):
    scorer, reader = scorer_of(states.folder / "after1", model)
    sizes = []

    def answers(rows):
        sizes.append(len(rows))
        time.sleep(0.02)  # so long that others come meanwhile
        return scorer(rows)

    watch = SimpleNamespace(alias="champion", current=scorer.model, refused=None, reachable=True)
    read = TransactionReader(DATASET, FEATURES)
    server = ScoreServer(read, answers, 16, reader.snapshot, watch)

    async def run():
        async with TestClient(TestServer(server.application())) as client:

            async def ask(body):
                async with client.post("/score", data=body) as response:
                    assert response.status == 200
                    return await response.json()

            return await asyncio.gather(*map(ask, bodies(states.parts[0])))

    found = asyncio.run(run())
    assert len(found) == FIRST == sum(sizes)
    assert 1 < max(sizes) <= 16
    check(found, expected)


def test_a_new_batch_is_taken_up_and_half_a_run_is_not(states, state, model):
    scorer, reader = scorer_of(state, model)
    rows = requests(states.parts[1])
    before = scorer(rows)
    shutil.copytree(states.folder / "after1", state, dirs_exist_ok=True)
    last = state / "runs" / "terminal" / "00001" / "b000000000001.run"
    last.rename(state / "kept")
    with reader:
        time.sleep(10 * EVERY_S)
        assert scorer(rows) == before == scorer_of(state, model)[0](rows)
        (state / "kept").rename(last)
        deadline = time.monotonic() + 20
        while reader.snapshot().batch < 1 and time.monotonic() < deadline:
            time.sleep(EVERY_S)
    after = scorer(rows)
    assert after[0]["as_of"]["batch"] == 1
    assert [a["score"] for a in after] != [b["score"] for b in before]


def test_runs_that_the_stream_removes(states, state, model):
    """What is open stays readable; a manifest whose runs are gone waits for the next one."""
    shutil.copytree(states.folder / "after1", state, dirs_exist_ok=True)
    scorer, reader = scorer_of(state, model)
    rows = requests(states.parts[1])
    before = scorer(rows)
    for path in state.glob("runs/*/*/*.run"):
        path.unlink()
    manifest = json.loads((state / "manifests" / "000000000001.json").read_text())
    runs = {store: [*names, "b000000000001"] for store, names in manifest["runs"].items()}
    runs["customer"][0] = "m000000000001"
    content = json.dumps({**manifest, "batch_id": 2, "runs": runs})
    (state / "manifests" / "000000000002.json").write_text(content)
    with pytest.raises(DamagedError, match="got no file"):
        reader.look()
    assert scorer(rows) == before
    # Merged into one run, and whole.
    shutil.copytree(states.folder / "after1" / "runs", state / "runs", dirs_exist_ok=True)
    for path in state.glob("runs/customer/*/w*.run"):
        path.rename(path.with_name("m000000000001.run"))
    reader.look()
    assert scorer(rows) == before
    shutil.copytree(states.folder / "after1" / "runs", state / "runs", dirs_exist_ok=True)
    for path in state.glob("runs/*/*/b000000000001.run"):
        shutil.copy(path, path.with_name("b000000000002.run"))
    reader.look()
    assert reader.snapshot().batch == 2


def test_a_damaged_run_is_not_taken(states, state, model, caplog):
    _, reader = scorer_of(state, model)
    shutil.copytree(states.folder / "after1", state, dirs_exist_ok=True)
    path = next(state.glob("runs/customer/*/b000000000001.run"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with reader:
        time.sleep(10 * EVERY_S)
    assert reader.snapshot().batch == 0
    (record,) = caplog.records
    assert "going on as of batch 0" in record.getMessage()


def test_another_state_in_the_same_folder(states, state, model):
    """An operator has begun anew: runs of the same names hold other rows."""
    scorer, reader = scorer_of(state, model)
    rows = requests(states.parts[1])
    before = scorer(rows)
    shutil.rmtree(state)
    with pytest.raises(OSError, match="No such file"):
        reader.look()
    assert scorer(rows) == before
    shutil.copytree(states.folder / "after1", state)
    for path in state.glob("runs/*/*/b000000000001.run"):
        path.rename(path.with_name("b000000000000.run"))
    shutil.copy(states.folder / "after0" / "manifests" / "000000000000.json", state / "manifests")
    (state / "manifests" / "000000000001.json").unlink()
    os.utime(state / "state.json")
    reader.look()
    assert [a["score"] for a in scorer(rows)] != [b["score"] for b in before]
    assert scorer(rows) == scorer_of(state, model)[0](rows)


def test_no_state_and_another_definition(states, tmp_path):
    with pytest.raises(DataError, match="start the stream first"):
        StateReader(str(tmp_path), FEATURES, EVERY_S)
    other = FeatureSet.model_validate({"features": [{"column": "amount"}]})
    with pytest.raises(DataError, match="which the state in"):
        StateReader(str(states.folder / "after0"), other, EVERY_S)


def test_history_alone_before_the_first_batch(states, state, model, expected):
    shutil.rmtree(state / "manifests")
    scorer, reader = scorer_of(state, model)
    check(scorer(requests(states.parts[0].drop_duplicates("CUSTOMER_ID"))), expected)
    assert reader.snapshot().batch == -1


def test_a_value_that_is_missing_is_null(states, model, monkeypatch):
    scorer, _ = scorer_of(states.folder / "after0", model)
    flagging = replace(scorer.model(), threshold=0.0)
    monkeypatch.setattr(
        single_scorer, "to_matrix", lambda rows, names, _: np.full((len(rows), len(names)), np.nan)
    )
    (answer,) = replace(scorer, model=lambda: flagging)(requests(states.parts[0].iloc[:1]))
    assert {reason["value"] for reason in answer["reasons"]} == {None}
    assert json.dumps(answer, allow_nan=False)


class OneModel:
    """A registry of one version; `files` is set by the test."""

    def __init__(self, lake):
        self.lake = lake

    def resolve(self, _):
        return 1

    def describe(self, _):
        return {}


@pytest.fixture
def serve(state, monkeypatch):
    """The job, from parsed words to its result, without Spark."""

    def run(files, port):
        monkeypatch.setattr(registry, "Registry", OneModel)
        monkeypatch.setattr(OneModel, "files", lambda *_: files, raising=False)
        return job.call("serve", None, lake=state.parent, dataset="handbook", alerts=4, listen=port)

    return run


def test_the_job_serves_until_it_is_stopped(serve, states, model, expected):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = []

    def ask():
        deadline = time.monotonic() + 20
        body = bodies(states.parts[0])[0]
        while not found and time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/score", body) as answer:
                    found.append(json.load(answer))
            except OSError:
                time.sleep(0.05)
        if found:
            os.kill(os.getpid(), signal.SIGTERM)

    caller = threading.Thread(target=ask)
    caller.start()
    result = serve(model, port)
    caller.join()
    check(found, expected)
    assert result == {"job": "serve", "scored": 1, "refused": 0, "busy": 0, "failed": 0}


def test_a_model_of_another_definition_is_refused(serve, model):
    manifest = json.loads(model["scorer.json"])
    other = {**model, "scorer.json": json.dumps(manifest | {"definition": "abc"}).encode()}
    assert bundle.load(other).definition == "abc"
    with pytest.raises(DataError, match="trained on feature definition abc"):
        serve(other, 0)
