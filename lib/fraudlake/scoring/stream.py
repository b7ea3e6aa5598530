"""The streaming scorer: micro-batches of raw records → `scores`, `flagged`, `quarantine`.

Each micro-batch is checked like an ingest, joined with the history it needs, run through the
kernels of the batch build and the scorer of the batch job, and appended. Every append carries
(application, batch id), one application a table, so a batch that runs again after a crash adds
nothing twice; what decided the batch was fixed by its first write (see `history`), so it decides
the same.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.models import bundle
from fraudlake.scoring.apply import score_rows
from fraudlake.scoring.batch import check_definition, create_tables, stamp
from fraudlake.scoring.history import Decision, History
from fraudlake.tables import (
    FLAGGED,
    LABELS,
    QUARANTINE,
    SCORES,
    TRANSACTIONS,
    Lake,
    Table,
    kept,
    time_range,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition import FeatureSet

log = logging.getLogger("fraudlake")

_MICROSECOND = timedelta(microseconds=1)


@dataclass
class StreamScorer:
    """Scores one micro-batch after the other; `process` is what `foreachBatch` calls.

    Parameters
    ----------
    model_version, threshold
        What decides batches that were not tried before.
    load
        Model version → bundle.
    until
        Records with this event time or a later one are left alone (counted as `outside`).
    """

    lake: Lake
    dataset: Dataset
    feature_set: FeatureSet
    history: History
    model_version: int
    threshold: float
    load: Callable[[int], dict[str, bytes]]
    until: datetime | None = None
    counts: Counter = field(default_factory=Counter)
    _bundles: dict[int, dict[str, bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        scorer = bundle.load(self._bundle(self.model_version))
        check_definition(self.model_version, scorer.definition, self.feature_set.hash)
        types = self.dataset.column_types()
        self._entities = list(dict.fromkeys(self.dataset.entities.values()))
        create_tables(self.lake, {column: types[column] for column in self._entities})
        self.lake.create(QUARANTINE)

    def process(self, raw: DataFrame, batch_id: int) -> None:
        """Check, score and write one micro-batch; calling it again with the same batch is safe.

        Parameters
        ----------
        raw
            Records as `fraudlake.ingest.sources.read_stream` gives them.
        batch_id
            Spark's number of the micro-batch.
        """
        from pyspark.sql import functions as F

        from fraudlake.ingest import checks

        started = time.monotonic()
        good, inside = F.size("reasons") == 0, F.expr(time_range(None, self.until))
        counts: Counter = Counter()
        with ExitStack() as stack:
            checked = stack.enter_context(kept(checks.check(raw, self.dataset)))
            counts["records"], counts["quarantine"], counts["outside"], first, last = checked.agg(
                F.count("*"),
                F.count_if(~good),
                F.count_if(good & ~inside),
                F.unix_micros(F.min(F.when(good & inside, F.col("event_time")))),
                F.unix_micros(F.max(F.when(good & inside, F.col("event_time")))),
            ).collect()[0]
            if counts["quarantine"]:
                rows = checks.quarantine_rows(checked.where(~good), self.dataset)
                self.lake.append_once(QUARANTINE, rows, self._application(QUARANTINE), batch_id)
            accepted = counts["records"] - counts["quarantine"] - counts["outside"]
            if accepted:
                decision = self._decide(batch_id)
                fresh = self._fresh(checked.where(good & inside), batch_id, decision, first, last)
                fresh = stack.enter_context(kept(fresh))
                counts["scored"] = fresh.count()
                counts["duplicates"] = accepted - counts["scored"]
                if counts["scored"]:
                    self.history.remember(fresh, batch_id, decision)
                    counts["flagged"] = self._score(fresh, batch_id, decision, first, last)
        self.counts.update(counts)
        self.counts["batches"] += 1
        figures = ", ".join(f"{value} {name}" for name, value in counts.items())
        log.info("batch %d: %s in %.1f s", batch_id, figures, time.monotonic() - started)

    def _application(self, table: Table) -> str:
        return f"{self.history.stream}/{table.name}"

    def _bundle(self, version: int) -> dict[str, bytes]:
        if version not in self._bundles:
            self._bundles[version] = self.load(version)
        return self._bundles[version]

    def _decide(self, batch_id: int) -> Decision:
        """What decided the batch at its first attempt, else what is in service now.

        Only the first batch after a start can have been tried before.
        """
        earlier = None if self.counts["batches"] else self.history.decision(batch_id)
        return earlier or Decision(
            self.model_version,
            self.threshold,
            self.lake.version(TRANSACTIONS),
            self.lake.version(LABELS),
        )

    def _fresh(
        self, good: DataFrame, batch_id: int, decision: Decision, first: int, last: int
    ) -> DataFrame:
        """Each transaction of the batch once, without those that are known already."""
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        order = Window.partitionBy("tx_id").orderBy("event_time", "raw")
        once = good.withColumn("_copy", F.row_number().over(order)).where("_copy = 1")
        known = self.history.before(batch_id, decision, between("event_time", first - 1, last))
        return once.select(*self.history.columns).join(known.select("tx_id"), "tx_id", "left_anti")

    def _score(
        self, fresh: DataFrame, batch_id: int, decision: Decision, first: int, last: int
    ) -> int:
        """Write scores and flags of new transactions; return how many reach the threshold."""
        from pyspark.sql import functions as F

        files = self._bundle(decision.model_version)
        features = self._features(fresh, batch_id, decision, first, last)
        scored = score_rows(features, files, decision.threshold, ["tx_id", "event_time"])
        scored = stamp(scored, decision.model_version, self.feature_set.hash, decision.threshold)
        within = between("event_time", first - 1, last)
        with kept(scored) as scored:
            reached = scored.where(F.col("score") >= F.col("threshold"))
            flagged = reached.count()
            details = fresh.select("tx_id", "amount", *self._entities)
            flags = details.join(F.broadcast(reached), "tx_id")
            for table, rows in ((SCORES, scored), (FLAGGED, flags)):
                keys = list(table.key)
                standing = self.lake.read(table).where(within).select(*keys)
                new = rows.join(F.broadcast(standing), keys, "left_anti")
                self.lake.append_once(table, new, self._application(table), batch_id)
        return flagged

    def _features(
        self, fresh: DataFrame, batch_id: int, decision: Decision, first: int, last: int
    ) -> DataFrame:
        from pyspark.sql import functions as F

        from fraudlake.features.compute import compute
        from fraudlake.features.feature import key_columns

        start = first - self.feature_set.lookback // _MICROSECOND

        def context(entity: str) -> DataFrame:
            columns = key_columns(entity, self.dataset.entities)
            keys = F.broadcast(fresh.select(*columns).distinct())
            earlier = self.history.before(batch_id, decision, between("event_time", start, last))
            return earlier.join(keys, columns, "left_semi")

        statements = self.history.statements(decision, between("known_at", start, last))
        return compute(fresh, context, statements, self.feature_set, self.dataset.entities)


def between(column: str, after: int, until: int) -> str:
    """SQL condition after < column ≤ until, both in microseconds since 1970 UTC.

    >>> between("event_time", 0, 5)
    'event_time > timestamp_micros(0) AND event_time <= timestamp_micros(5)'
    """
    return f"{column} > timestamp_micros({after}) AND {column} <= timestamp_micros({until})"


def run_stream(
    records: DataFrame, scorer: StreamScorer, checkpoint: str, trigger: float | None
) -> Counter:
    """Run the query until its source is exhausted (or for ever) and return what was counted.

    SIGTERM and SIGINT end it after the micro-batch in hand.

    Parameters
    ----------
    records
        A streaming DataFrame of raw records.
    checkpoint
        Folder of Spark's offsets and commits.
    trigger
        Seconds between micro-batches; None: process what is there, then stop.
    """
    pace = {"availableNow": True} if trigger is None else {"processingTime": f"{trigger} seconds"}
    query = (
        records.writeStream.foreachBatch(scorer.process)
        .option("checkpointLocation", checkpoint)
        .trigger(**pace)
        .start()
    )
    _wait(query)
    return scorer.counts


def _wait(query: StreamingQuery) -> None:
    stopping = []
    before = {
        number: signal.signal(number, lambda *_: stopping.append(True))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        while query.isActive and not (stopping and not query.status["isTriggerActive"]):
            query.awaitTermination(1)
        if query.isActive:
            log.info("stopping between two batches")
            query.stop()
        query.awaitTermination()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
