"""Payments for the benchmark: drawn with skew, or the Handbook's many times over.

Seeded, in pieces of about a million rows, with late ones and doubles.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

PIECE = 1_000_000
FRAUD = 0.009


def _amount(cents: pa.ChunkedArray) -> pa.Array:
    """The same in units of 100 cents: a decimal is an integer of 128 bits, here never negative."""
    halves = np.zeros((len(cents), 2), np.int64)
    halves[:, 0] = cents.to_numpy()
    return pa.Array.from_buffers(pa.decimal128(18, 2), len(cents), [None, pa.py_buffer(halves)])


@dataclass(frozen=True)
class World:
    """What is generated.

    Attributes
    ----------
    rows
        Payments, duplicates apart.
    days
        They are spread evenly over this many days.
    customers, terminals
        How many of each; customers are drawn evenly, terminals by Zipf's law.
    skew
        Exponent of Zipf's law: 0 even, 1 the first of 10,000 terminals has a tenth of all payments.
    late
        Share of payments that stand in a later file than their time says.
    duplicates
        Share of payments that come a second time.
    handbook, copies
        Folder of the Handbook's Parquet files: its payments this many times, each time with other
        ids, instead of drawn ones.
    """

    rows: int = 1_000_000
    days: int = 180
    customers: int = 0
    terminals: int = 0
    skew: float = 0.0
    late: float = 0.01
    duplicates: float = 0.01
    seed: int = 1
    handbook: str = ""
    copies: int = 7

    def pieces(self) -> Iterator[pa.Table]:
        """Tables of `PIECE` payments in the order of time, without late ones and doubles.

        Times are distinct, so that engines which count all rows of one instant agree with those
        that count up to the row itself.
        """
        if self.handbook:
            yield from self._copies()
            return
        customers = self.customers or max(1, self.rows // 300)
        terminals = self.terminals or max(1, self.rows // 150)
        weights = 1 / np.arange(1, terminals + 1) ** self.skew
        share = np.cumsum(weights / weights.sum())
        step = self.days * 86_400_000_000 // self.rows
        for start in range(0, self.rows, PIECE):
            count = min(PIECE, self.rows - start)
            random = np.random.default_rng([self.seed, start])
            tx_id = np.arange(start, start + count)
            terminal = np.searchsorted(share, random.random(count)).astype(np.int64)
            yield pa.table(
                {
                    "tx_id": tx_id,
                    "event_time": pa.array(
                        1_700_000_000_000_000 + tx_id * step + random.integers(0, step, count),
                        pa.timestamp("us", "UTC"),
                    ),
                    "customer_id": random.integers(0, customers, count),
                    "terminal_id": np.minimum(terminal, terminals - 1),
                    "cents": random.integers(100, 30_000, count),
                    "fraud": (random.random(count) < FRAUD).astype(np.int64),
                }
            )

    def _copies(self) -> Iterator[pa.Table]:
        """The Handbook's payments; a few microseconds more make their times distinct."""
        names = ["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT"]
        raw = pq.read_table(self.handbook, columns=[*names, "TX_FRAUD"])
        tx_id, time, customer, terminal, amount, fraud = (column for column in raw.columns)
        number = tx_id.cast("int64").to_numpy()
        micros = time.cast(pa.timestamp("us")).cast("int64").to_numpy() + number % 1_000_000
        cents = np.rint(amount.cast("float64").to_numpy() * 100).astype(np.int64)
        for copy in range(self.copies):
            yield pa.table(
                {
                    "tx_id": number + copy * 10_000_000,
                    "event_time": pa.array(micros, pa.timestamp("us", "UTC")),
                    "customer_id": pc.add(customer.cast("int64"), copy * 100_000),
                    "terminal_id": pc.add(terminal.cast("int64"), copy * 100_000),
                    "cents": cents,
                    "fraud": fraud.cast("int64"),
                }
            )

    def write(self, folder: Path) -> int:
        """One Parquet file a piece; late payments and doubles stand in the file after their own.

        Returns how many payments, each counted once.
        """
        folder.mkdir(parents=True)
        waiting: list[pa.Table] = []
        number, payments = 0, 0
        for number, plain in enumerate(self.pieces()):
            piece = plain.append_column("amount", _amount(plain["cents"]))
            random = np.random.default_rng([self.seed, number, 1])
            draw = random.random(len(piece))
            payments += len(piece)
            late = draw < self.late
            twice = draw > 1 - self.duplicates
            table = pa.concat_tables([*waiting, piece.filter(pa.array(~late))])
            shuffled = table.take(pa.array(random.permutation(len(table))))
            pq.write_table(shuffled, folder / f"{number:05d}.parquet")
            waiting = [piece.filter(pa.array(late)), piece.filter(pa.array(twice))]
        pq.write_table(pa.concat_tables(waiting), folder / f"{number + 1:05d}.parquet")
        return payments
