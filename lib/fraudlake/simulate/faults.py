"""What goes wrong between the payment and the file: late, repeated and broken records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fraudlake.simulate.behaviour import Columns, row_keys, visits
from fraudlake.simulate.draws import Ints, integers, uniform
from fraudlake.simulate.world import World

LATE_DAYS = 3  # a late record comes 1 to 3 days after its day
REPEAT_DAYS = 2  # a duplicate comes 0 to 2 days after the record
RECORD, DUPLICATE, MALFORMED = range(3)


class Break(NamedTuple):
    """One way to break a line: in the text of a field (`"name":value`), or of the line (field "").

    What the pattern finds becomes `into`; None: the field is left out.
    """

    field: str
    pattern: str
    into: str | None


BREAKS = {
    "cut_off": Break("", "^(.{60}).*$", r"\1"),
    "no_json": Break("", "^.*$", "upstream timed out"),
    "no_object": Break("", "^.*$", "[1, 2, 3]"),
    "empty_line": Break("", "^.*$", ""),
    "id_missing": Break("transaction_id", "", None),
    "id_too_large": Break("transaction_id", ":.*$", ":9223372036854775808"),
    "id_no_number": Break("transaction_id", ":(.*)$", r':"tx-\1"'),
    "customer_missing": Break("customer_id", "", None),
    "customer_null": Break("customer_id", ":.*$", ":null"),
    "terminal_no_number": Break("terminal_id", ":.*$", ':"unknown"'),
    "time_missing": Break("event_time", "", None),
    "time_impossible": Break("event_time", "-..-..T", "-02-30T"),
    "time_no_time": Break("event_time", ":.*$", ':"yesterday"'),
    "amount_no_number": Break("amount", ":(.*)$", r':"\1 EUR"'),
    "amount_negative": Break("amount", ":", ":-"),
    "amount_decimals": Break("amount", "$", "001"),
    "amount_too_large": Break("amount", ":", ":99999999999999999"),
    "label_wrong": Break("is_fraud", ":.*$", ":2"),
}


@dataclass(frozen=True)
class Faults:
    """Shares of the transactions, 0 to 1, that are late, sent twice, or sent a second time broken.

    A broken line comes beside the good record, never in its place, so that the transactions are the
    same whatever the shares. Nothing arrives after the last day: where that would happen, a record
    is not late and a duplicate comes on the last day.
    """

    late: float = 0.0
    duplicates: float = 0.0
    malformed: float = 0.0

    @property
    def reach(self) -> int:
        """Days that the file of a day looks back."""
        return LATE_DAYS * (self.late > 0) + REPEAT_DAYS * (self.duplicates > 0)


def arriving(
    world: World, faults: Faults, customer: Ints, day: int, first_day: int, last_day: int
) -> Columns:
    """Rows of `visits` that arrive on `day`, in files that run from first_day to last_day.

    Returns
    -------
    The columns of `visits`, and: form (`RECORD`, `DUPLICATE`, `MALFORMED`), late (records whose day
    is over), broken (position in `BREAKS`, −1 where the line is sound).
    """
    parts = []
    for event_day in range(max(first_day, day - faults.reach), day + 1):
        rows = visits(world, customer, event_day)
        key = row_keys(world, rows)
        delay = np.where(
            uniform(key, "late") < faults.late, integers(uniform(key, "delay"), 1, LATE_DAYS), 0
        )
        delay[event_day + delay > last_day] = 0
        arrives = event_day + delay
        again = np.minimum(arrives + integers(uniform(key, "again"), 0, REPEAT_DAYS), last_day)
        for form, here in (
            (RECORD, arrives == day),
            (DUPLICATE, (again == day) & (uniform(key, "duplicate") < faults.duplicates)),
            (MALFORMED, (arrives == day) & (uniform(key, "malformed") < faults.malformed)),
        ):
            part = {name: column[here] for name, column in rows.items()}
            part["form"] = np.full(here.sum(), form)
            part["late"] = delay[here] > 0
            kind = integers(uniform(key[here], "break"), 0, len(BREAKS) - 1)
            part["broken"] = kind if form == MALFORMED else np.full(here.sum(), -1)
            parts.append(part)
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
