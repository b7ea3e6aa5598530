"""The HTTP scorer's requests: put together, answered one by one, refused where they are wrong."""

import asyncio
import json
import threading
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fraudlake.errors import ConfigError, SetupError
from fraudlake.serve import http
from fraudlake.serve.http import Batcher, BusyError, ScoreServer


class Recorder:
    """Answers with the double; keeps the batches; waits where it is told to."""

    def __init__(self):
        self.batches, self.go = [], threading.Event()
        self.go.set()

    def __call__(self, asked):
        self.go.wait(20)
        self.batches.append(list(asked))
        return [2 * one for one in asked]


async def gathered(batcher, count):
    tasks = [asyncio.create_task(batcher(number)) for number in range(count)]
    await asyncio.sleep(0.05)
    return tasks


def test_what_comes_meanwhile_is_computed_together():
    answers = Recorder()
    answers.go.clear()

    async def run():
        batcher = Batcher(answers, most=10)
        tasks = await gathered(batcher, 26)
        answers.go.set()
        assert await asyncio.gather(*tasks) == [2 * number for number in range(26)]
        assert await batcher(50) == 100

    asyncio.run(run())
    assert [len(batch) for batch in answers.batches] == [10, 10, 6, 1]


def test_a_batch_that_fails_fails_for_its_own_only(caplog):
    def answers(asked):
        if 0 in asked:
            raise ZeroDivisionError
        return asked

    async def run():
        batcher = Batcher(answers, most=2)
        found = await asyncio.gather(*(batcher(n) for n in range(5)), return_exceptions=True)
        assert [type(one) for one in found[:2]] == [ZeroDivisionError] * 2
        assert found[2:] == [2, 3, 4]
        assert batcher.begun is None

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records] == ["2 requests failed"]


def test_who_hangs_up_is_left_out_and_too_many_are_sent_away(monkeypatch):
    monkeypatch.setattr(http, "_MOST_WAITING", 3)
    answers = Recorder()
    answers.go.clear()

    async def run():
        batcher = Batcher(answers, most=1)
        first = (await gathered(batcher, 1))[0]
        second, *rest = await gathered(batcher, 3)
        with pytest.raises(BusyError):
            await batcher(9)
        second.cancel()
        answers.go.set()
        assert await asyncio.gather(first, *rest) == [0, 2, 4]

    asyncio.run(run())
    assert answers.batches == [[0], [1], [2]]


def read(body):
    number = int(body)
    if number < 0:
        raise ConfigError([f"number: got {number}", "sign: got -"])
    return number


def server_of(answers):
    model = SimpleNamespace(version=4)
    watch = SimpleNamespace(alias="champion", current=lambda: model, refused=None, reachable=True)
    known = SimpleNamespace(batch=7, newest=1_500_000)
    return ScoreServer(read, answers, 8, lambda: known, watch)


def asked_over_http(answers, requests):
    """Answers to requests (method, path, body), one after the other."""
    server = server_of(answers)

    async def run():
        async with TestClient(TestServer(server.application())) as client:
            found = []
            for method, path, body in requests:
                async with client.request(method, path, data=body) as response:
                    found.append((response.status, await response.text()))
            return found

    return asyncio.run(run()), server


def flags(asked):
    if 13 in asked:
        raise ZeroDivisionError
    return [{"flag": one > 10, "is": one} for one in asked]


def test_requests_are_answered_counted_and_refused():
    found, server = asked_over_http(
        flags,
        [
            ("POST", "/score", "3"), ("POST", "/score", "12"), ("POST", "/score", "-1"),
            ("POST", "/score", "13"), ("POST", "/score", "1" * 70_000), ("GET", "/score", None),
            ("GET", "/live", None), ("GET", "/ready", None), ("GET", "/metrics", None),
        ],
    )  # fmt: skip
    assert [status for status, _ in found] == [200, 200, 422, 500, 413, 405, 200, 200, 200]
    assert json.loads(found[1][1]) == {"flag": True, "is": 12}
    assert json.loads(found[2][1]) == {"problems": ["number: got -1", "sign: got -"]}
    assert server.counts() == {"scored": 2, "refused": 1, "busy": 0, "failed": 1}
    samples = found[-1][1].splitlines()
    for line in (
        'fraudlake_requests_total{outcome="scored"} 2.0',
        "fraudlake_flagged_total 1.0",
        "fraudlake_request_seconds_count 2.0",
        "fraudlake_batch_requests_count 3.0",
        "fraudlake_state_batch 7.0",
        "fraudlake_state_event_time_seconds 1.5",
        'fraudlake_model_version{alias="champion"} 4.0',
    ):
        assert line in samples


def test_too_many_wait(monkeypatch):
    monkeypatch.setattr(http, "_MOST_WAITING", 0)
    ((status, body),), server = asked_over_http(flags, [("POST", "/score", "1")])
    assert (status, json.loads(body)) == (503, {"problems": ["busy: try again"]})
    assert server.counts()["busy"] == 1


def test_a_scorer_that_is_stuck_does_not_live(monkeypatch):
    monkeypatch.setattr(http, "_STALL_S", 0)
    go = threading.Event()

    def stuck(asked):
        go.wait(20)
        return flags(asked)

    async def run():
        async with TestClient(TestServer(server_of(stuck).application())) as client:
            asked = asyncio.create_task(client.post("/score", data="1"))
            await asyncio.sleep(0.1)
            async with client.get("/live") as response:
                assert response.status == 503
            go.set()
            assert (await asked).status == 200

    asyncio.run(run())


def test_a_port_that_is_taken():
    class Server:
        def application(self):
            return web.Application()

    with pytest.raises(SetupError, match="expected an address to listen on"):
        http.serve(Server(), "192.0.2.1:80")
