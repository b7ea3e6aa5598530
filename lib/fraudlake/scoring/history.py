"""What the stream has to remember: the lake's transactions before the seam, its own since.

The seam is an event time. Transactions of the lake before it are history at the start; everything
at or after it reaches the stream through its source, and is remembered in the stream's own table
`seen`, one append a micro-batch, which also fixes what decided that batch (model version,
threshold, table versions), so that a batch that is run again decides the same.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from fraudlake.errors import DataError
from fraudlake.options import format_instant, parse_instant
from fraudlake.tables import LABELS, TRANSACTIONS, Lake, Table, time_range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Decision:
    """What decided a micro-batch; written with its first write, read back when it runs again."""

    model_version: int
    threshold: float
    transactions_version: int
    labels_version: int


class History:
    """Transactions that count in windows, as known to one stream.

    Parameters
    ----------
    lake
        The lake whose `transactions` and `labels` are the history before the seam.
    folder
        Where the stream keeps its own state.
    columns
        Columns of a transaction that features and flags need, beside `tx_id`, `event_time` and
        `amount`, with their SQL types.
    seam
        Event time at which the stream takes over; None: just after the lake's last transaction.
        A stream that was started before keeps its seam.
    """

    def __init__(
        self, lake: Lake, folder: str, columns: Mapping[str, str], seam: datetime | None
    ) -> None:
        event = {name: TRANSACTIONS.columns[name] for name in ("tx_id", "event_time", "amount")}
        more = {name: kind for name, kind in columns.items() if name not in event}
        self.columns = [*event, *more]
        self.table = Table(
            "seen",
            {
                "batch_id": "bigint",
                **event,
                "model_version": "int",
                "threshold": "double",
                "transactions_version": "bigint",
                "labels_version": "bigint",
            },
            key=("tx_id",),
            cluster_by=("event_time",),
            required=("batch_id", "tx_id", "event_time"),
            append_only=True,
        )
        self.lake = lake
        self.own = Lake(lake.spark, folder)
        if not self.own.exists(self.table):
            start = seam or self._after_last_transaction()
            properties = {"stream": uuid.uuid4().hex, "seam": format_instant(start)}
            self.own.create(self.table, more, properties)
        found = self.own.properties(self.table)
        self.stream = found["stream"]
        self.seam = parse_instant(found["seam"])
        if seam not in (None, self.seam):
            raise DataError(
                f"from: got {format_instant(seam)}, expected {found['seam']}, where this stream "
                f"began: leave `from` out to go on, or give a new stream another `state` folder"
            )

    def _after_last_transaction(self) -> datetime:
        from datetime import UTC

        from pyspark.sql import functions as F

        last = self.lake.read(TRANSACTIONS).agg(F.unix_micros(F.max("event_time"))).collect()[0][0]
        micros = timedelta(microseconds=0 if last is None else last + 1)
        return datetime(1970, 1, 1, tzinfo=UTC) + micros

    def decision(self, batch_id: int) -> Decision | None:
        """What decided this batch when it was first tried; None where it was not."""
        fields = list(Decision.__dataclass_fields__)
        row = self._seen().where(f"batch_id = {batch_id}").select(*fields).first()
        return Decision(**row.asDict()) if row else None

    def remember(self, rows: DataFrame, batch_id: int, decision: Decision) -> None:
        """Append the batch's transactions with what decides it. Re-run rule: once a batch."""
        from pyspark.sql import functions as F

        fixed = {name: F.lit(value) for name, value in asdict(decision).items()}
        types = self.table.columns
        stamped = rows.select(*self.columns).withColumns(
            {name: value.cast(types[name]) for name, value in fixed.items()}
            | {"batch_id": F.lit(batch_id).cast("bigint")}
        )
        self.own.append_once(self.table, stamped, f"{self.stream}/seen", batch_id)

    def before(self, batch_id: int, decision: Decision, within: str) -> DataFrame:
        """Transactions known before this batch that meet an SQL condition on `event_time`.

        Returns
        -------
        DataFrame
            `tx_id`, `event_time`, `amount` and the entity columns; one row a transaction.
        """
        from pyspark.sql import functions as F

        own = self._seen().where(f"batch_id < {batch_id}").where(within).select(*self.columns)
        base = self.lake.read(TRANSACTIONS, decision.transactions_version)
        base = base.where(time_range(None, self.seam)).where(within).select(*self.columns)
        late = own.where(time_range(None, self.seam)).select("tx_id")
        return base.join(F.broadcast(late), "tx_id", "left_anti").unionByName(own)

    def statements(self, decision: Decision, within: str) -> DataFrame:
        """Label statements that the batch may know and that meet an SQL condition on `known_at`."""
        return self.lake.read(LABELS, decision.labels_version).where(within)

    def _seen(self) -> DataFrame:
        return self.own.read(self.table)
