"""Scores of single transactions over HTTP: `POST /score`, and what an operator asks for.

Requests that come while others are computed are computed together next (dynamic batching): nobody
waits for a batch to fill, and the busier it is, the larger the batches. Nobody is asked for a
password: keep the port on loopback, or behind something that asks.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fraudlake.errors import ConfigError, SetupError
from fraudlake.service.metrics import Models

if TYPE_CHECKING:
    from fraudlake.serve.state_reader import StateSnapshot
    from fraudlake.service.model_watch import ModelWatch

log = logging.getLogger("fraudlake")

_MOST_BYTES = 64 * 1024  # of a request
_MOST_WAITING = 1000
_STALL_S = 60  # a batch in hand for longer: the service does not live
_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 5.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_OUTCOMES = ("scored", "refused", "busy", "failed")

Answers = Callable[[Sequence[Any]], Sequence[Any]]


class BusyError(Exception):
    """More wait already than will be answered soon."""


class Batcher:
    """Gives what many callers ask for, one at a time, to a function that takes many at once.

    One thread computes; what is asked for meanwhile goes into the next batch.

    Parameters
    ----------
    answers
        Things asked for → answers, in the same order.
    most
        Largest number in one batch.
    """

    def __init__(self, answers: Answers, most: int) -> None:
        self._answers, self._most = answers, most
        self._waiting: deque[tuple[Any, asyncio.Future]] = deque()
        self._thread = ThreadPoolExecutor(1, "scorer")
        self._working: asyncio.Task | None = None
        self.begun: float | None = None  # when the batch in hand was, by the monotonic clock
        self.sizes: Callable[[int], None] = lambda _: None

    async def __call__(self, asked: Any) -> Any:
        """The answer to one.

        Raises
        ------
        BusyError
            Too many wait.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise BusyError
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            count = min(self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            # Whoever has hung up needs no answer.
            batch = [(asked, future) for asked, future in batch if not future.done()]
            if batch:
                await self._answer(batch)
        self._working = None

    async def _answer(self, batch: list[tuple[Any, asyncio.Future]]) -> None:
        self.begun = time.monotonic()
        asked = [one for one, _ in batch]
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._answers, asked)
        except Exception as error:
            log.exception("%d requests failed", len(batch))
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
        self.begun = None
        self.sizes(len(batch))


class ScoreServer:
    """Answers `/score`, `/metrics`, `/live` and `/ready`.

    Parameters
    ----------
    read
        Body of a request → transaction; raises `ConfigError` with all that is wrong.
    answers
        Transactions → answers.
    most
        Most transactions computed at a time.
    snapshot
        Asked for what the stream remembers, for `/metrics`.
    watch
        The model in service.
    """

    def __init__(
        self,
        read: Callable[[bytes], Any],
        answers: Answers,
        most: int,
        snapshot: Callable[[], StateSnapshot],
        watch: ModelWatch,
    ) -> None:
        self._read, self._batcher, self._snapshot = read, Batcher(answers, most), snapshot
        self.collectors = CollectorRegistry()
        self.collectors.register(Models((watch,)))

        def add(kind: Any, name: str, text: str, labels: tuple[str, ...] = (), **more: Any) -> Any:
            return kind(f"fraudlake_{name}", text, labels, registry=self.collectors, **more)

        self._requests = add(Counter, "requests", "Requests by what became of them", ("outcome",))
        for outcome in _OUTCOMES:
            self._requests.labels(outcome)
        self._flagged = add(Counter, "flagged", "Answers at or above the threshold")
        self._seconds = add(
            Histogram, "request_seconds", "Time of a scored request", buckets=_SECONDS
        )
        sizes = add(Histogram, "batch_requests", "Requests computed at a time", buckets=_SIZES)
        self._batcher.sizes = sizes.observe
        batch = add(Gauge, "state_batch", "Last micro-batch of the stream that counts")
        batch.set_function(lambda: snapshot().batch)
        newest = add(Gauge, "state_event_time_seconds", "Latest event time that counts")
        newest.set_function(lambda: (snapshot().newest or 0) / 1e6)

    def counts(self) -> dict[str, int]:
        """Requests by what became of them, since the start."""
        value = self.collectors.get_sample_value
        name = "fraudlake_requests_total"
        return {o: int(value(name, {"outcome": o}) or 0) for o in _OUTCOMES}

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=_MOST_BYTES)
        app.add_routes(
            [
                web.post("/score", self._score),
                web.get("/metrics", self._metrics),
                web.get("/live", self._live),
                web.get("/ready", self._live),
            ]
        )
        return app

    async def _score(self, request: web.Request) -> web.Response:
        begun = time.monotonic()
        body = await request.read()
        try:
            answer = await self._batcher(self._read(body))
        except ConfigError as error:
            self._requests.labels("refused").inc()
            return _json(422, {"problems": error.problems})
        except BusyError:
            self._requests.labels("busy").inc()
            return _json(503, {"problems": ["busy: try again"]}, {"Retry-After": "1"})
        except Exception:  # noqa: BLE001 - it is in the log, once for its batch
            self._requests.labels("failed").inc()
            return _json(500, {"problems": ["the scorer failed; its log says why"]})
        self._requests.labels("scored").inc()
        self._flagged.inc(answer["flag"])
        self._seconds.observe(time.monotonic() - begun)
        return _json(200, answer)

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self.collectors), content_type="text/plain")

    async def _live(self, _: web.Request) -> web.Response:
        """State and model are there before the port is open, so who lives is ready."""
        begun = self._batcher.begun
        if begun is not None and time.monotonic() - begun > _STALL_S:
            return web.Response(status=503, text=f"a batch is in hand for more than {_STALL_S} s\n")
        return web.Response(text="ok\n")


def serve(server: ScoreServer, address: str) -> None:
    """Answer until SIGTERM or SIGINT; requests in hand are answered first.

    Parameters
    ----------
    address
        `host:port`.

    Raises
    ------
    SetupError
        The port is taken, or the host is not of this machine.
    """
    host, _, port = address.rpartition(":")
    try:
        web.run_app(
            server.application(),
            host=host,
            port=int(port),
            print=lambda _: log.info("answering on %s", address),
            access_log=None,
            shutdown_timeout=10,
        )
    except OSError as error:
        raise SetupError(
            f"listen: got {address}, expected an address to listen on ({error.strerror})"
        ) from None


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> web.Response:
    body = json.dumps(content, allow_nan=False).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
