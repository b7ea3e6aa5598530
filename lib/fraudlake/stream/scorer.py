"""The streaming scorer: micro-batches of raw records → `scores`, `flagged`, `quarantine`.

Each micro-batch is checked like an ingest, run through the kernels of the batch build over what the
stream remembers, and through the scorer of the batch job, and appended. What decides it was fixed
before (see `state`), and every append carries (application, batch id), one application a table: a
batch that runs again after a crash decides the same and adds nothing twice.
"""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from fraudlake.errors import DataError, FraudlakeError
from fraudlake.features.state import micro_batch
from fraudlake.ingest import checks
from fraudlake.ingest.files import readable
from fraudlake.instants import left_open_range, time_range
from fraudlake.lake import Lake
from fraudlake.lake.frames import checkpointed
from fraudlake.lake.tables import FLAGGED, QUARANTINE, SCORES
from fraudlake.models import bundle
from fraudlake.scoring.apply import score_rows
from fraudlake.scoring.batch import MODEL, provenance
from fraudlake.scoring.flags import as_flags, create_tables, undecided
from fraudlake.stream import writes
from fraudlake.stream.manifest import BatchManifest, Decision
from fraudlake.stream.state import StreamState

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.streaming.query import StreamingQuery

    from fraudlake.datasets import Dataset
    from fraudlake.features.definition.feature_set import FeatureSet
    from fraudlake.service.admission import Model
    from fraudlake.service.metrics import Service

log = logging.getLogger("fraudlake")

# A share of fewer records says nothing about their producer.
_ENOUGH = 100
_REASONS_TOLD = 3


class _StoppedError(Exception):
    """A batch that is not begun; it is the first of the next start."""


@dataclass
class StreamScorer:
    """Scores one micro-batch after the other; `process` is what `foreachBatch` calls.

    Parameters
    ----------
    models
        Asked before each batch that was not tried before: the model in service and, where there is
        one, that which scores in its shadow.
    load
        Model version → bundle, for a batch that was begun with another model.
    service
        Told of every batch.
    in_service
        Asked, before each batch that was not tried before, whether the version that decides it is
        the one in service; if not, the batch has scores and no flags. None: as the batch before.
    until
        Records with this event time or a later one are left alone (counted as `outside`).
    max_bad_share
        Highest share of bad records that a micro-batch may have. One with more is refused whole,
        unless it has fewer than 100 records: its producer has changed.
    model
        Name of the registered model.
    shadows
        Batches whose model was not in service.
    failure
        The error for the user that ended a batch, where one did; Spark shows a stack of traces.
    stopping
        Set it, and the next batch is not begun: `process` raises.
    """

    lake: Lake
    dataset: Dataset
    feature_set: FeatureSet
    state: StreamState
    models: Callable[[], tuple[Model, ...]]
    load: Callable[[int], dict[str, bytes]]
    service: Service
    in_service: Callable[[int], bool | None] = lambda _: True
    until: datetime | None = None
    max_bad_share: float = 1.0
    model: str = MODEL
    counts: Counter = field(default_factory=Counter)
    shadows: int = 0
    failure: FraudlakeError | None = None
    stopping: bool = False

    def __post_init__(self) -> None:
        self._details = self.dataset.flag_types()
        create_tables(self.lake, self._details)
        self._flagged = self.lake.read(FLAGGED).schema
        self.lake.create(QUARANTINE)
        self._steps: tuple[datetime | None, list[list[Column]]] = None, []

    def process(self, raw: DataFrame, batch_id: int) -> None:
        """Check, score and write one micro-batch; calling it again with the same batch is safe.

        Parameters
        ----------
        raw
            Records as `fraudlake.ingest.sources.read_stream` gives them.
        batch_id
            Spark's number of the micro-batch.

        Raises
        ------
        DataError
            Too many bad records, of which nothing is written then; a model of another digest; a
            checkpoint older than the state.
        """
        if self.stopping:
            raise _StoppedError
        started = time.monotonic()
        with self.service.batch(batch_id) as counts:
            try:
                self._process(raw, batch_id, counts)
            except FraudlakeError as error:
                log.error("%s", error)  # noqa: TRY400  # it is meant to be read without a trace
                self.failure = error
                raise
            self.counts.update(counts)
            self.counts["batches"] += 1
            counted = ", ".join(f"{value} {name}" for name, value in counts.items())
            log.info("batch %d: %s in %.1f s", batch_id, counted, time.monotonic() - started)

    def remarks(self) -> list[str]:
        """What the user should know of the batches, in sentences."""
        shortfall, batches = self.models()[0].shortfall, self.counts["batches"]
        found = [shortfall] if shortfall else []
        if self.shadows:
            found.append(
                f"{self.shadows} of {batches} micro-batches were decided by a version that is not "
                "in service: its scores are in `scores`, and it flags nothing"
            )
        return found

    def _process(self, raw: DataFrame, batch_id: int, counts: Counter) -> None:
        from pyspark.sql import functions as F

        good, inside = F.size("reasons") == 0, F.expr(time_range(None, self.until))
        bad, passing = ~good, "passed_over" in raw.columns
        if passing:
            good, bad = good & ~F.col("passed_over"), bad & ~F.col("passed_over")
        checked, measured = checkpointed(
            self._check(raw),
            records=F.count("*"),
            quarantine=F.count_if(bad),
            outside=F.count_if(good & ~inside),
            first=F.min(F.when(good & inside, F.unix_micros("event_time"))),
            last=F.max(F.when(good & inside, F.unix_micros("event_time"))),
            **({"passed_over": F.count_if("passed_over")} if passing else {}),
        )
        counts["records"], counts["quarantine"], counts["outside"], first, last, *passed = measured
        if passing:
            counts["passed_over"] = passed[0]
        payments = counts["records"] - sum(passed)
        if payments >= _ENOUGH and counts["quarantine"] > self.max_bad_share * payments:
            raise self._refusal(checked.where(bad), batch_id, counts)
        if counts["quarantine"]:
            rows = checks.quarantine_rows(checked.where(bad), self.dataset)
            application = self._application(QUARANTINE.name)
            look = partial(writes.not_quarantined, self.lake, application)
            writes.append(self.lake, QUARANTINE, {application: rows}, batch_id, look)
        accepted = payments - counts["quarantine"] - counts["outside"]
        with ThreadPoolExecutor(1) as beside:
            published = beside.submit(_published, checked)
            if accepted:
                rows = checked.where(good & inside).select(*self.state.history.columns, "raw")
                manifest = self.state.plan_batch(batch_id, self._decision(), last)
                self.shadows += not manifest.decision.flags
                counts |= self._score_whatever_is_lost(rows, manifest, first, last)
                counts["duplicates"] = accepted - counts["scored"]
                self.state.compact(manifest)
            if (found := published.result()) is not None:
                at, number = found["at"].to_numpy(), found["n"].to_numpy()
                self.service.latency(time.time() - at / 10, number)

    def _decision(self) -> Decision:
        models = self.models()
        flags = self.in_service(version := models[0].version)
        if flags is None:
            flags = version == self.state.last_in_service()
        versions = tuple((model.version, model.digest) for model in models)
        return Decision(versions, models[0].threshold, flags)

    def _check(self, raw: DataFrame) -> DataFrame:
        """`checks.check`, its steps made once a minute."""
        made = checks.this_minute()
        if made != self._steps[0]:
            self._steps = made, checks.steps(raw.columns, self.dataset, made)
        return checks.checked(raw, self._steps[1])

    def _refusal(self, bad: DataFrame, batch_id: int, counts: Counter) -> DataError:
        from pyspark.sql import functions as F

        kinds = F.array_distinct(F.transform("reasons", checks.kind))
        rows = bad.select(F.explode(kinds).alias("kind"), "source_file")
        measures = [F.count("*").alias("n"), F.min("source_file").alias("first")]
        found = rows.groupBy("kind").agg(*measures).orderBy(F.desc("n"), "kind")
        told = found.limit(_REASONS_TOLD).collect()
        reasons = "; ".join(f"{row.n} times {row.kind}, first in {row.first}" for row in told)
        return DataError(
            f"batch {batch_id}: got {counts['quarantine']} bad records of {counts['records']} "
            f"({reasons}), expected a share of at most max_bad_share={self.max_bad_share:g}; "
            "nothing of the batch is written. If a producer has changed, correct the data set's "
            "description. Start with a higher `max_bad_share` to send them to quarantine and go on"
        )

    def _application(self, name: str) -> str:
        return f"{self.state.history.stream}/{name}"

    def _files(self, version: int, digest: str, batch_id: int) -> dict[str, bytes]:
        """A model of the batch: of those in service, else from the registry."""
        known = {model.digest: model.files for model in self.models()}
        files = known.get(digest) or self.load(version)
        if bundle.digest(files) != digest:
            raise DataError(
                f"model version {version}: got digest {bundle.digest(files)}, expected {digest}, "
                f"which batch {batch_id} was begun with"
            )
        return files

    def _score_whatever_is_lost(
        self, rows: DataFrame, manifest: BatchManifest, first: int, last: int
    ) -> Counter:
        """Score a batch; where a file of the state is lost or damaged, once more with a new one."""
        from pyspark.errors import PythonException

        try:
            return self._score(rows, manifest, first, last)
        except PythonException as error:
            if "DamagedError" not in str(error):
                raise
            lost = next(line for line in str(error).splitlines() if "DamagedError" in line)
            log.warning("%s", lost)
            manifest = self.state.rebuild(manifest)
            return self._score(rows, manifest, first, last)

    def _score(self, rows: DataFrame, manifest: BatchManifest, first: int, last: int) -> Counter:
        """Write a batch's transactions, scores and flags; count what is new and what is flagged."""
        from pyspark.sql import functions as F

        history, batch_id, decision = self.state.history, manifest.batch_id, manifest.decision
        within = left_open_range("event_time", first - 1, last)
        oldest = self.state.oldest(manifest.newest)
        if first < oldest:
            known = history.before(batch_id, left_open_range("event_time", first - 1, oldest))
            known = known.select("tx_id")
            rows = rows.join(known, "tx_id", "left_anti")
        # A feature may have the name of a column, so columns come out under others.
        own = {name: f"_own_{name}" for name in history.columns}
        entities, paths = self.dataset.entities, self.state.run_paths(manifest)
        features = micro_batch.windows(rows, self.feature_set, entities, paths, own)
        if len(decision.models) > 1:
            features, _ = checkpointed(features)
        is_flag = F.col("score") >= F.col("threshold")
        made = [
            checkpointed(
                self._scored(features, own, *model, manifest),
                new=F.count("*"),
                flagged=F.count_if(is_flag),
            )
            for model in decision.models
        ]
        scored = [rows for rows, _ in made]
        new, flagged = made[0][1]

        def unscored(rows: DataFrame) -> DataFrame:
            return writes.not_standing(self.lake, SCORES, rows, within)

        def unflagged(rows: DataFrame) -> DataFrame:
            missing = writes.not_standing(self.lake, FLAGGED, rows, within)
            decider = self.model, decision.models[0][0]
            return undecided(self.lake, missing, _time(first), _time(last + 1), *decider)

        names = ["scores", *(f"scores/{version}" for version, _ in decision.models[1:])]
        frames = dict(zip(map(self._application, names), scored, strict=True))
        tables = [(SCORES, frames, unscored)]
        if decision.flags:
            rows = as_flags(scored[0].where(is_flag), self._flagged, self._details)
            tables.append((FLAGGED, {self._application("flagged"): rows}, unflagged))
        untouched = manifest.versions if self.state.nothing_written_since(manifest) else {}
        with ThreadPoolExecutor() as pool:
            begun = [pool.submit(history.remember, scored[0], batch_id)]
            for table, frames, look in tables:
                version = untouched.get(table.name)
                begun.append(
                    pool.submit(writes.append, self.lake, table, frames, batch_id, look, version)
                )
            for write in begun:
                write.result()
        return Counter(scored=new, flagged=flagged if decision.flags else 0)

    def _scored(
        self,
        features: DataFrame,
        own: dict[str, str],
        version: int,
        digest: str,
        manifest: BatchManifest,
    ) -> DataFrame:
        import pyarrow as pa

        files = self._files(version, digest, manifest.batch_id)
        threshold = manifest.decision.threshold
        columns = provenance(self.model, version, self.feature_set.hash, threshold) | {
            "batch_id": pa.scalar(manifest.batch_id),
            "labels_version": pa.scalar(manifest.labels_version),
        }
        scored = score_rows(features, files, threshold, list(own.values()), columns)
        return scored.withColumnsRenamed({alias: name for name, alias in own.items()})


def _time(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)


def _published(checked: DataFrame) -> pa.Table | None:
    """How many records (`n`) were published when (`at`, tenths of seconds); None: nobody knows."""
    from pyspark.sql import functions as F

    if "published_at" not in checked.columns:
        return None
    tenths = F.floor(F.unix_millis("published_at") / 100)
    return checked.groupBy(tenths.alias("at")).agg(F.count("*").alias("n")).toArrow()


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
    scorer.service.serving()
    _wait(query, scorer)
    return scorer.counts


def _wait(query: StreamingQuery, scorer: StreamScorer) -> None:
    def stop(*_: object) -> None:
        scorer.stopping = True

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with readable():
            # With more to do there is no time between two batches: the next one is not begun then.
            while query.isActive and not (scorer.stopping and not query.status["isTriggerActive"]):
                query.awaitTermination(1)
                scorer.service.progress(query.lastProgress)
                scorer.service.state(scorer.state.size())
            if query.isActive:
                query.stop()
            query.awaitTermination()
    except Exception as error:
        if scorer.failure is not None:
            raise scorer.failure from None
        if not (scorer.stopping and _StoppedError.__name__ in str(error)):
            raise
    finally:
        scorer.service.ended()
        for number, handler in before.items():
            signal.signal(number, handler)
    if scorer.stopping:
        log.info("stopped between two batches")
