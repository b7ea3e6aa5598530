"""Transactions that count in a stream's windows: the lake's before the cutover, its own since.

The cutover is an event time. Transactions of the lake before it are history at the start;
everything at or after it reaches the stream through its source, and is kept in the stream's own
table `seen`, one append a micro-batch. From both the stream's state can be built anew at any batch.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.errors import DataError
from fraudlake.instants import format_instant, parse_instant, time_range
from fraudlake.lake import Lake
from fraudlake.lake.tables import LABELS, TRANSACTIONS, Table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame


class History:
    """Transactions as known to one stream.

    Parameters
    ----------
    lake
        The lake whose `transactions` and `labels` are the history before the cutover.
    folder
        Where the stream keeps its table `seen`.
    columns
        Columns of a transaction that features and flags need, beside `tx_id`, `event_time` and
        `amount`, with their SQL types.
    cutover
        Event time at which the stream takes over; None: just after the lake's last transaction.
        A stream that was started before keeps its cutover.
    begin
        Whether a stream begins here if none has begun yet.

    Raises
    ------
    DataError
        The stream began at another cutover, or none has begun and none is to.
    """

    def __init__(
        self,
        lake: Lake,
        folder: str,
        columns: Mapping[str, str],
        cutover: datetime | None,
        *,
        begin: bool = True,
    ) -> None:
        event = {name: TRANSACTIONS.columns[name] for name in ("tx_id", "event_time", "amount")}
        more = {name: kind for name, kind in columns.items() if name not in event}
        self.columns = [*event, *more]
        self.table = Table(
            "seen",
            {"batch_id": "bigint", "labels_version": "bigint", **event},
            key=("tx_id",),
            cluster_by=("event_time",),
            required=("batch_id", "tx_id", "event_time"),
            append_only=True,
            streamed=True,
        )
        self.lake = lake
        self.own = Lake(lake.spark, folder)
        if not self.own.exists(self.table):
            if not begin:
                raise DataError(
                    f"state: got {folder} without a table `seen`, expected the state of a stream, "
                    "_stream in the lake if the stream was given no other"
                )
            versions = {f"{t.name}_version": str(lake.version(t)) for t in (TRANSACTIONS, LABELS)}
            start = format_instant(cutover or self._after_last_transaction())
            properties = {"stream": uuid.uuid4().hex, "seam": start, **versions}
            self.own.create(self.table, more, properties)
        elif begin:
            self.own.add_columns(self.table, more)
        noted = self.own.properties(self.table)
        self.stream = noted["stream"]
        self.cutover = parse_instant(noted["seam"])
        self.transactions_version = int(noted["transactions_version"])
        self.labels_version = int(noted["labels_version"])
        if cutover not in (None, self.cutover):
            raise DataError(
                f"from: got {format_instant(cutover)}, expected {noted['seam']}, where this stream "
                "began: leave `from` out to go on, or give a new stream another `state` folder"
            )

    def _after_last_transaction(self) -> datetime:
        from pyspark.sql import functions as F

        last = self.lake.read(TRANSACTIONS).agg(F.unix_micros(F.max("event_time"))).collect()[0][0]
        micros = timedelta(microseconds=0 if last is None else last + 1)
        return datetime(1970, 1, 1, tzinfo=UTC) + micros

    def remember(self, rows: DataFrame, batch_id: int) -> None:
        """Append a batch's transactions. Re-run rule: a batch that was appended is skipped.

        Parameters
        ----------
        rows
            `columns`, `batch_id` and `labels_version`.
        """
        self.own.append_once(self.table, rows, f"{self.stream}/{self.table.name}", batch_id)

    def before(self, batch_id: int, within: str) -> DataFrame:
        """Transactions known before this batch that meet an SQL condition on `event_time`.

        Returns
        -------
        DataFrame
            `tx_id`, `event_time`, `amount` and the entity columns; one row a transaction.
        """
        return self.arrived(f"batch_id < {batch_id}", within).select(*self.columns)

    def arrived(self, came: str = "true", within: str = "true") -> DataFrame:
        """Transactions that meet conditions in SQL, on `batch_id` and on `event_time`.

        Returns
        -------
        DataFrame
            As `before`, and `batch_id` and `labels_version` of the batch that it came in; null for
            the lake's transactions, which all meet `came`.
        """
        from pyspark.sql import functions as F

        provenance = ("batch_id", "labels_version")
        seen = self.own.read(self.table).where(came).where(within)
        seen = seen.select(*self.columns, *provenance).dropDuplicates(["tx_id"])
        base = self.lake.read(TRANSACTIONS, self.transactions_version)
        base = base.where(time_range(None, self.cutover)).where(within).select(*self.columns)
        late = seen.where(time_range(None, self.cutover)).select("tx_id")
        base = base.join(F.broadcast(late), "tx_id", "left_anti")
        unknown = {name: F.lit(None).cast("bigint") for name in provenance}
        return base.withColumns(unknown).unionByName(seen)
