"""Delta's log through its Java classes, where the public interface would start jobs of Spark.

Delta's writer looks up what an application has committed by computing the log's whole state: three
jobs, and more than the write of a micro-batch costs. The same is in the checksum file that every
commit leaves, and the state is computed only where that file is missing. Written against the Delta
that `requirements` pins.

Delta finds new commits by listing the log, whose files are four a commit on a local disk; eleven
such listings a micro-batch were soon more than all the rest of it. Commits are numbered without a
gap, so a look whether the next one stands says the same.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from fraudlake.lake.data_file import DataFile

_DELTA = "org.apache.spark.sql.delta"


@dataclass(frozen=True)
class Metadata:
    """What a table is.

    Attributes
    ----------
    identity
        Delta's own id of it.
    created
        When it was made, milliseconds since 1970 UTC.
    properties
        All of its properties.
    """

    identity: str
    created: int
    properties: dict[str, str]


@dataclass(frozen=True)
class State:
    """What Delta's log says of a table at a version.

    Attributes
    ----------
    root
        The table's folder.
    files
        Its files, as the log's `add` actions have them.
    reader_features, writer_features
        Names of the table features that a reader, and a writer, must know.
    properties
        All of the table's properties.
    writer_version
        Of the protocol; features have names from 7 on.
    """

    root: str
    files: list[dict[str, Any]]
    reader_features: list[str]
    writer_features: list[str]
    properties: dict[str, str]
    writer_version: int


def state(spark: SparkSession, path: str, version: int) -> State:
    """Files of the table in a folder at a version, read from the log without a job of Spark."""
    try:
        commit = Path(path, "_delta_log", f"{version:020}.json").stat()
    except FileNotFoundError:  # what is older than the log's retention is gone
        return _state(spark, path, version)
    # A job asks again and again. A table made anew in the same folder has another file there.
    return _known_state(spark, path, version, (commit.st_ino, commit.st_mtime_ns, commit.st_size))


def _state(spark: SparkSession, path: str, version: int) -> State:
    conf = spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001
    engine = _java(spark, "io.delta.kernel.defaults.engine.DefaultEngine").create(conf)
    table = _java(spark, "io.delta.kernel.Table").forPath(engine, path)
    snapshot = table.getSnapshotAsOfVersion(engine, version)
    told = _java(spark, "io.delta.kernel.defaults.internal.json.JsonUtils")
    files, batches = [], snapshot.getScanBuilder().build().getScanFiles(engine, True)
    while batches.hasNext():
        rows = batches.next().getRows()
        while rows.hasNext():
            files.append(json.loads(told.rowToJson(rows.next()))["add"])
    protocol = snapshot.getProtocol()
    features = [*protocol.getReaderFeatures()], [*protocol.getWriterFeatures()]
    properties = dict(snapshot.getMetadata().getConfiguration())
    return State(path, files, *features, properties, protocol.getMinWriterVersion())


@lru_cache(4)  # as many tables as a job reads: of a large one it is many files
def _known_state(spark: SparkSession, path: str, version: int, _: tuple[int, ...]) -> State:
    return _state(spark, path, version)


def version(spark: SparkSession, path: str) -> int:
    """Number of the newest commit of the table in a folder."""
    return _newest(spark, _log(spark, path)).version()


def metadata(spark: SparkSession, path: str) -> Metadata:
    """What the table's newest commit says of the table itself."""
    told = _newest(spark, _log(spark, path)).metadata()
    convert = _java(spark, "scala.jdk.javaapi.CollectionConverters").asJava
    created = told.createdTime()
    millis = created.get() if created.isDefined() else 0
    return Metadata(told.id(), millis, dict(convert(told.configuration())))


def applications(spark: SparkSession, path: str) -> dict[str, int]:
    """Applications that appended to the table, and the number of each one's last append."""
    return _applications(_newest(spark, _log(spark, path)))


def append(spark: SparkSession, path: str, rows: DataFrame, after: int) -> int | None:
    """Append in one commit rows that were chosen for a version of the table; none, no commit.

    The commit reads the whole table of that version, so Delta refuses it where any other came in
    between.

    Returns
    -------
    int or None
        Rows appended; None: there is a commit after that version, and nothing was appended.
    """
    log = _log(spark, path)
    newest = _newest(spark, log)
    if newest.version() != after:
        return None
    transaction, actions, commit = _written(spark, log, newest, rows)
    transaction.readWholeTable()
    each, number = actions.iterator(), 0
    while each.hasNext():
        number += json.loads(each.next().stats())["numRecords"]
    if number and not commit(actions):
        return None
    return number


def append_once(
    spark: SparkSession,
    path: str,
    rows: DataFrame,
    application: str,
    number: int,
    after: int | None = None,
) -> bool:
    """Append in one commit with an application's transaction, unless that stands.

    The commit carries the same `txn` as one of Delta's public writer, and clashes with one of the
    same application that comes in between.

    Parameters
    ----------
    after
        The table's version for which the rows were chosen: as in `append`.

    Returns
    -------
    bool
        False: there is a commit after that version; nothing was appended.
    """
    log = _log(spark, path)
    newest = _newest(spark, log)
    if _applications(newest).get(application, -1) >= number:
        return True
    if after not in (None, newest.version()):
        return False
    transaction, actions, commit = _written(spark, log, newest, rows)
    if after is not None:
        transaction.readWholeTable()
    now = _java(spark, "scala.Some")(int(time.time() * 1000))
    mark = _java(spark, f"{_DELTA}.actions.SetTransaction")(application, number, now)
    transaction.readTxn().append(_sequence(spark, [application]))
    return commit(actions.appended(mark))


def appended(path: str, after: int, until: int) -> list[dict[str, Any]] | None:
    """Files that commits after one version added to the table in a folder, to another included.

    Returns
    -------
    list or None
        As the log's `add` actions have them; None: they did more than append, or what they did
        does not stand in the log any more.
    """
    files = []
    for number in range(after + 1, until + 1):
        commit = Path(path, "_delta_log", f"{number:020}.json")
        if not commit.exists():
            return None
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "cdc" in action or action.get("remove", {}).get("dataChange"):
                return None
            if action.get("add", {}).get("dataChange"):
                files.append(action["add"])
    return files


def replace(
    spark: SparkSession,
    path: str,
    files: Sequence[DataFile],
    gone: Collection[str] | None,
    after: int | None = None,
) -> bool:
    """Put files, which stand in the table's folder, in the place of others in one commit.

    The commit reads the whole table, so Delta refuses it where any other came in between.

    Parameters
    ----------
    gone
        Those others, as the log's `add` actions name them; None: all.
    after
        The table's version for which the files were written; None: the newest.

    Returns
    -------
    bool
        False: there is a commit after that version, and nothing was committed.
    """
    log, none, nothing = _log(spark, path), _none(spark), _mapping(spark, {})
    newest = _newest(spark, log)
    if after not in (None, newest.version()):
        return False
    transaction = log.startTransaction(none, _java(spark, "scala.Some")(newest))
    now = int(time.time() * 1000)
    transaction.readWholeTable()
    add, rest = _java(spark, f"{_DELTA}.actions.AddFile"), [None, None, *[none] * 5]
    # From the log: Delta itself would start a job to list them.
    removed = [
        add(f["path"], nothing, f["size"], now, True, None, *rest).removeWithTimestamp(now, True)
        for f in (state(spark, path, newest.version()).files if gone is None or gone else ())
        if gone is None or f["path"] in gone
    ]
    added = [add(quote(f.path), nothing, f.size, now, True, f.stats, *rest) for f in files]
    metric = _java(spark, "org.apache.spark.sql.execution.metric.SQLMetrics").createMetric
    counted = {"numFiles": len(files), "numOutputBytes": sum(f.size for f in files)}
    counted["numOutputRows"] = sum(f.rows for f in files)
    metrics = {}
    for name, value in counted.items():
        metrics[name] = metric(spark.sparkContext._jsc.sc(), name)
        metrics[name].set(value)
    session = spark._jsparkSession  # noqa: SLF001
    transaction.registerSQLMetrics(session, _mapping(spark, metrics))
    modes = _java(spark, "org.apache.spark.sql.SaveMode")
    mode = modes.Overwrite if gone is None or removed else modes.Append
    operation = _java(spark, f"{_DELTA}.DeltaOperations$Write")(mode, *[none] * 8)
    try:
        transaction.commit(_sequence(spark, [*removed, *added]), operation, nothing)
    except _conflicts():
        if after is None:
            raise
        return False
    return True


def _written(
    spark: SparkSession, log: Any, newest: Any, rows: DataFrame
) -> tuple[Any, Any, Callable[[Any], bool]]:
    """A transaction whose files are written: itself, its actions, and what commits them.

    That one says whether Delta took them: no where another commit came in between.
    """
    session, none, nothing = spark._jsparkSession, _none(spark), _mapping(spark, {})  # noqa: SLF001
    transaction = log.startTransaction(none, _java(spark, "scala.Some")(newest))
    mode = _java(spark, "org.apache.spark.sql.SaveMode").Append
    options = _java(spark, f"{_DELTA}.DeltaOptions")(nothing, session.sessionState().conf())
    chosen = rows.select(*newest.schema().fieldNames())
    write = _java(spark, f"{_DELTA}.commands.WriteIntoDelta")(
        log, mode, options, _sequence(spark, []), nothing, chosen._jdf, none, none, False
    )

    def commit(actions: Any) -> bool:
        operation = _java(spark, f"{_DELTA}.DeltaOperations$Write")
        try:
            transaction.commit(actions, operation(mode, *[none] * 8), nothing)
        except _conflicts():
            return False
        return True

    return transaction, write.write(transaction, session, none, False), commit


def _conflicts() -> tuple[type[Exception], ...]:
    """What Delta says to a commit that read what another one, in between, has changed."""
    from delta import exceptions

    return (
        exceptions.ConcurrentAppendException,
        exceptions.ConcurrentDeleteReadException,
        exceptions.MetadataChangedException,
    )


def summarise(spark: SparkSession, path: str, every: int) -> None:
    """Write a summary of the log, if the newest commit comes so many or more after the last one.

    What the table's `delta.logRetentionDuration` lets go is removed then.
    """
    none, log = _none(spark), _log(spark, path)

    def is_due(snapshot: Any) -> bool:
        return snapshot.version() - snapshot.checkpointProvider().version() >= every

    # What is known stands on the last summary that was looked for, and no look is made otherwise.
    if is_due(_newest(spark, log)) and is_due(newest := log.update(False, none, none)):
        log.checkpointAndCleanUpDeltaLog(newest, none)
        log.update(False, none, none)


def _applications(snapshot: Any) -> dict[str, int]:
    checksum = snapshot.checksumOpt()
    known = checksum.isDefined() and checksum.get().setTransactions().isDefined()
    listed = checksum.get().setTransactions().get() if known else snapshot.setTransactions()
    found, each = {}, listed.iterator()
    while each.hasNext():
        one = each.next()
        found[one.appId()] = one.version()
    return found


def _newest(spark: SparkSession, log: Any) -> Any:
    """The newest snapshot: the known one, as long as its commit stands and the next does not."""
    snapshot = log.unsafeVolatileSnapshot()
    names = _java(spark, f"{_DELTA}.util.FileNames$").__getattr__("MODULE$")
    disk = log.logPath().getFileSystem(log.newDeltaHadoopConf())
    here, after = (
        disk.exists(names.unsafeDeltaFile(log.logPath(), snapshot.version() + more))
        for more in (0, 1)
    )
    if here and not after:
        return snapshot
    none = _none(spark)
    return log.update(False, none, none)


def _java(spark: SparkSession, name: str) -> Any:
    """A class of Java by its full name: of a name in parts, Java looks for each in all JARs."""
    return getattr(spark.sparkContext._jvm, name)


def _none(spark: SparkSession) -> Any:
    return _java(spark, "scala.Option").empty()


def _sequence(spark: SparkSession, values: Sequence[Any]) -> Any:
    return _java(spark, "org.apache.spark.api.python.PythonUtils").toSeq(values)


def _mapping(spark: SparkSession, values: Mapping[str, Any]) -> Any:
    return _java(spark, "org.apache.spark.api.python.PythonUtils").toScalaMap(values)


def _log(spark: SparkSession, path: str) -> Any:
    session = spark._jsparkSession  # noqa: SLF001
    return _java(spark, f"{_DELTA}.DeltaLog").forTable(session, path)
