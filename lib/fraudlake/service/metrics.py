"""Figures of a running stream for Prometheus, and whether it lives and is ready, over HTTP.

`/metrics`, `/live` and `/ready` on one port. Nobody is asked for a password: keep the port on
loopback, or behind something that asks.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fraudlake.errors import SetupError
from fraudlake.service.logs import batch_in_hand

if TYPE_CHECKING:
    import numpy as np
    from prometheus_client.metrics_core import Metric

    from fraudlake.service.model_watch import ModelWatch

log = logging.getLogger("fraudlake")

LATENCY_BOUNDS_S = (
    *(0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 10.0),
    *(15.0, 30.0, 60.0, 600.0),
)
_BATCH_BOUNDS_S = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 300.0)
OUTCOMES = ("scored", "duplicates", "quarantine", "outside", "passed_over")


class Service:
    """What a stream tells about itself: called by the stream, read over HTTP by others.

    Parameters
    ----------
    stall
        Seconds after which a micro-batch in hand means that the service no longer lives.
    watches
        The models in service.

    Examples
    --------
    >>> service = Service(stall=600, watches=())
    >>> with service.batch(0) as counts:
    ...     counts.update(records=3, scored=2, duplicates=1)
    >>> 'fraudlake_records_total{outcome="scored"} 2.0' in service.text()
    True
    """

    def __init__(self, stall: float, watches: Iterable[ModelWatch]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.collectors = CollectorRegistry()
        ProcessCollector(registry=self.collectors)

        def add(kind: Any, name: str, text: str, labels: tuple[str, ...] = (), **more: Any) -> Any:
            return kind(f"fraudlake_{name}", text, labels, registry=self.collectors, **more)

        self._records = add(Counter, "records", "Records by what became of them", ("outcome",))
        for outcome in OUTCOMES:
            self._records.labels(outcome)
        self._flagged = add(Counter, "flagged", "Transactions at or above the threshold")
        self._batches = add(
            Histogram, "batch_seconds", "Time a micro-batch took", buckets=_BATCH_BOUNDS_S
        )
        self._finished = add(Gauge, "last_batch_time_seconds", "When a micro-batch last finished")
        self._input = add(Gauge, "input_records_per_second", "Records arriving")
        self._processed = add(Gauge, "processed_records_per_second", "Records processed")
        self._lag = add(Gauge, "lag_records", "Records of the topic not read yet", ("topic",))
        self._state_bytes = add(Gauge, "state_bytes", "Size of the stream's state on disk")
        self._latency = _Latency()
        self.collectors.register(self._latency)
        self._watches = tuple(watches)
        self.collectors.register(Models(self._watches))
        self._stall = stall
        self._in_hand: tuple[int, float] | None = None
        self._serving = self._ended = False

    @contextmanager
    def batch(self, batch_id: int) -> Iterator[Counter]:
        """One micro-batch, from its first look at the records to its last commit.

        Gives a counter to fill: `records`, `scored`, `duplicates`, `quarantine`, `outside`,
        `flagged`. Log lines within carry the batch's number. A batch that raises counts nothing.
        """
        counts: Counter = Counter()
        token, started = batch_in_hand.set(batch_id), time.monotonic()
        self._in_hand = batch_id, started
        try:
            yield counts
        finally:
            self._in_hand = None
            batch_in_hand.reset(token)
        for outcome in OUTCOMES:
            self._records.labels(outcome).inc(counts[outcome])
        self._flagged.inc(counts["flagged"])
        self._batches.observe(time.monotonic() - started)
        self._finished.set_to_current_time()

    def latency(self, seconds: np.ndarray, records: np.ndarray) -> None:
        """Add times from publication to commit; `records[i]` records took `seconds[i]`."""
        self._latency.add(seconds, records)

    def progress(self, progress: Mapping[str, Any] | None) -> None:
        """Take rates and lag from Spark's progress of a query (`query.lastProgress`)."""
        if not progress:
            return
        self._input.set(progress["inputRowsPerSecond"] or 0)  # unknown at the first trigger
        self._processed.set(progress["processedRowsPerSecond"] or 0)
        for source in progress["sources"]:
            for topic, lag in lags(source["endOffset"], source["latestOffset"]).items():
                self._lag.labels(topic).set(lag)

    def state(self, size: int) -> None:
        """Tell how many bytes the stream keeps on disk."""
        self._state_bytes.set(size)

    def serving(self) -> None:
        """Everything the stream needs was found, and its query runs."""
        self._serving = True

    def ended(self) -> None:
        """The stream takes no further batch: on its way out, or dead."""
        self._ended = True

    def not_live(self) -> str:
        """Why the service should be started anew; empty where it lives."""
        in_hand = self._in_hand
        if in_hand and time.monotonic() - in_hand[1] > self._stall:
            return f"batch {in_hand[0]} is in hand for more than {self._stall:g} s"
        return ""

    def not_ready(self) -> str:
        """Why the service does not score now; empty where it does."""
        if self._ended:
            return "stopping"
        return self.not_live() or ("" if self._serving else "starting")

    def text(self) -> str:
        """The metrics as `/metrics` shows them."""
        from prometheus_client import generate_latest

        return generate_latest(self.collectors).decode()


@contextmanager
def serve(service: Service, address: str) -> Iterator[int]:
    """Answer `/metrics`, `/live` and `/ready` until the block ends; gives the port.

    `/live` and `/ready` answer 200, or 503 with the reason.

    Parameters
    ----------
    address
        `host:port`; port 0 takes a free one.

    Raises
    ------
    SetupError
        The port is taken, or the host is not of this machine.
    """
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    from prometheus_client import make_wsgi_app
    from prometheus_client.exposition import ThreadingWSGIServer

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Every scrape would be a line."""

    exposition = make_wsgi_app(service.collectors)
    checks = {"/live": service.not_live, "/ready": service.not_ready}

    def answer(environ: dict, start: Any) -> Any:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return exposition(environ, start)
        text, status = "expected /metrics, /live or /ready", "404 Not Found"
        if path in checks:
            text = checks[path]()
            status = "503 Service Unavailable" if text else "200 OK"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text or 'ok'}\n".encode()]

    try:
        host, _, port = address.rpartition(":")
        server = make_server(host, int(port), answer, ThreadingWSGIServer, Quiet)
    except OSError as error:
        raise SetupError(
            f"metrics: got {address}, expected an address to listen on ({error.strerror})"
        ) from None
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def lags(end: str | None, latest: str | None) -> dict[str, int]:
    """Records of each topic between two of Spark's offsets; of other sources nothing.

    >>> lags('{"payments":{"0":5,"1":7}}', '{"payments":{"0":9,"1":7}}')
    {'payments': 4}
    >>> lags('{"logOffset":1}', None)
    {}
    """
    reached, there = json.loads(end or "{}") or {}, json.loads(latest or "{}") or {}
    return {
        topic: sum(offset - reached.get(topic, {}).get(p, 0) for p, offset in offsets.items())
        for topic, offsets in there.items()
        if isinstance(offsets, dict)
    }


class _Latency:
    """A histogram that takes many observations at once; prometheus_client's takes one."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: np.ndarray, records: np.ndarray) -> None:
        import numpy as np

        bucket = np.searchsorted(LATENCY_BOUNDS_S, seconds)
        counts = np.bincount(bucket, weights=records, minlength=len(self._counts))
        with self._lock:
            self._counts = [a + int(b) for a, b in zip(self._counts, counts, strict=True)]
            self._sum += float(np.dot(seconds, records))

    def collect(self) -> Iterator[Metric]:
        from itertools import accumulate

        from prometheus_client.core import HistogramMetricFamily

        with self._lock:
            totals, whole = list(accumulate(self._counts)), self._sum
        bounds = [*map(str, LATENCY_BOUNDS_S), "+Inf"]
        yield HistogramMetricFamily(
            "fraudlake_latency_seconds",
            "Time of a record from its publication to the commit of its score",
            buckets=list(zip(bounds, totals, strict=True)),
            sum_value=whole,
        )


class Models:
    """The models in service, as they are when asked."""

    def __init__(self, watches: tuple[ModelWatch, ...]) -> None:
        self._watches = watches

    def collect(self) -> Iterator[Metric]:
        """Version in service, version refused and registry, for each alias."""
        from prometheus_client.core import GaugeMetricFamily

        version = GaugeMetricFamily(
            "fraudlake_model_version", "Version in service, 0 for none", labels=["alias"]
        )
        refused = GaugeMetricFamily(
            "fraudlake_model_refused_version", "Version refused, 0 for none", labels=["alias"]
        )
        answers = GaugeMetricFamily(
            "fraudlake_registry_up", "Whether the registry answered last", labels=["alias"]
        )
        for watch in self._watches:
            model = watch.current()
            version.add_metric([watch.alias], model.version if model else 0)
            refused.add_metric([watch.alias], watch.refused or 0)
            answers.add_metric([watch.alias], int(watch.reachable))
        yield from (version, refused, answers)
