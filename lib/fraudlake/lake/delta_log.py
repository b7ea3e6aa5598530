"""Delta's log through its Java classes, where the public interface would start jobs of Spark.

Delta's writer looks up what an application has committed by computing the log's whole state: three
jobs, and more than the write of a micro-batch costs. The same is in the checksum file that every
commit leaves. Written against the Delta that `requirements` pins; the public writer stays the way
for tables without such a file and for catalogs.

Delta finds new commits by listing the log, whose files are four a commit on a local disk; eleven
such listings a micro-batch were soon more than all the rest of it. Commits are numbered without a
gap, so a look whether the next one stands says the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def version(spark: SparkSession, path: str) -> int:
    """Number of the newest commit of the table in a folder."""
    return _newest(spark, _log(spark, path)).version()


def append_once(
    spark: SparkSession, path: str, rows: DataFrame, application: str, number: int
) -> bool:
    """Append in one commit with an application's transaction, unless that stands.

    The commit carries the same `txn` as one of the public writer with `txnAppId` and `txnVersion`,
    and clashes with one of the same application that comes in between.

    Returns
    -------
    bool
        False: the newest commit left no checksum file, or none that lists transactions; nothing was
        done.
    """
    jvm = _jvm(spark)
    none, delta = jvm.scala.Option.empty(), jvm.org.apache.spark.sql.delta
    log = _log(spark, path)
    newest = _newest(spark, log)
    checksum = newest.checksumOpt()
    listed = checksum.get().setTransactions() if checksum.isDefined() else none
    if not listed.isDefined():
        return False
    committed = listed.get().iterator()
    while committed.hasNext():
        one = committed.next()
        if one.appId() == application and one.version() >= number:
            return True
    transaction = log.startTransaction(none, jvm.scala.Some(newest))
    chosen = rows.select(*newest.schema().fieldNames())
    append, nothing = jvm.org.apache.spark.sql.SaveMode.Append, jvm.PythonUtils.toScalaMap({})
    session = spark._jsparkSession  # noqa: SLF001
    options = delta.DeltaOptions(nothing, session.sessionState().conf())
    write = delta.commands.WriteIntoDelta(
        log, append, options, jvm.PythonUtils.toSeq([]), nothing, chosen._jdf,
        none, none, False,
    )  # fmt: skip
    actions = write.write(transaction, session, none, False)
    now = jvm.scala.Some(int(time.time() * 1000))
    mark = delta.actions.SetTransaction(application, number, now)
    transaction.readTxn().append(jvm.PythonUtils.toSeq([application]))
    operation = getattr(delta, "DeltaOperations$Write")
    transaction.commit(actions.appended(mark), operation(append, *[none] * 8), nothing)
    return True


def summarise(spark: SparkSession, path: str, every: int) -> None:
    """Write a summary of the log, if the newest commit comes so many or more after the last one.

    What the table's `delta.logRetentionDuration` lets go is removed then.
    """
    none = _jvm(spark).scala.Option.empty()
    log = _log(spark, path)

    def is_due(snapshot: Any) -> bool:
        return snapshot.version() - snapshot.checkpointProvider().version() >= every

    # What is known stands on the last summary that was looked for, and no look is made otherwise.
    if is_due(_newest(spark, log)) and is_due(newest := log.update(False, none, none)):
        log.checkpointAndCleanUpDeltaLog(newest, none)
        log.update(False, none, none)


def _newest(spark: SparkSession, log: Any) -> Any:
    """The newest snapshot: the known one, as long as its commit stands and the next does not."""
    jvm, snapshot = _jvm(spark), log.unsafeVolatileSnapshot()
    names = getattr(jvm.org.apache.spark.sql.delta.util, "FileNames$").__getattr__("MODULE$")
    disk = log.logPath().getFileSystem(log.newDeltaHadoopConf())
    here, after = (
        disk.exists(names.unsafeDeltaFile(log.logPath(), snapshot.version() + more))
        for more in (0, 1)
    )
    if here and not after:
        return snapshot
    none = jvm.scala.Option.empty()
    return log.update(False, none, none)


def _jvm(spark: SparkSession) -> Any:
    return spark.sparkContext._jvm


def _log(spark: SparkSession, path: str) -> Any:
    session = spark._jsparkSession  # noqa: SLF001
    return _jvm(spark).org.apache.spark.sql.delta.DeltaLog.forTable(session, path)
