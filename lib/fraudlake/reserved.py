"""Names that entities, columns of a data set and features cannot have, and what keeps each.

Spark takes names that differ by case alone for one, so case counts nowhere here. Names that begin
with `_` are the library's own: no data set and no feature set can name anything so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fraudlake.lake.tables import FEATURES, FLAGGED, LABELS, SCORES, TRANSACTIONS, Table


@dataclass(frozen=True)
class Reserved:
    """Names that one kind of thing cannot have.

    Attributes
    ----------
    names
        Name, in lower case → what keeps it.
    instead
        What to do.
    """

    names: Mapping[str, str]
    instead: str

    def problems(self, given: Iterable[str]) -> list[str]:
        """What is wrong with different names that stand side by side, one sentence each.

        Examples
        --------
        >>> for problem in COLUMNS.problems(["Label", "shop", "SHOP"]):
        ...     print(problem)
        got Label, expected a name that nothing else keeps (training: whether a row is fraud): \
give the column another name, its `source` stays
        got shop and SHOP, expected names that differ by more than case: give the column another \
name, its `source` stays
        """
        alike: dict[str, list[str]] = {}
        for name in given:
            alike.setdefault(name.lower(), []).append(name)
        kept = [
            f"got {name}, expected a name that nothing else keeps ({self.names[lower]}): "
            f"{self.instead}"
            for lower, names in alike.items()
            for name in names
            if lower in self.names
        ]
        return kept + [
            f"got {' and '.join(names)}, expected names that differ by more than case: "
            f"{self.instead}"
            for names in alike.values()
            if len(names) > 1
        ]


def _of(*tables: Table) -> dict[str, str]:
    """The columns of tables that have columns of a data set or features beside them."""
    return {name: f"the table {table.name}" for table in tables for name in table.columns}


_LABEL = {"label": "training: whether a row is fraud"}
_IS_FRAUD = {"is_fraud": "labels: whether a transaction is fraud"}

COLUMNS = Reserved(
    {
        name: keeper
        for name, keeper in {
            **_of(TRANSACTIONS, FEATURES, SCORES, FLAGGED),
            "tx_ref": "ingest: an id as it was written, where it is text",
            "raw": "ingest: the record as it came",
            "reasons": "ingest: what is wrong with a record",
            "unknown": "ingest: fields that the data set does not name",
            "absent": "ingest: fields that a record does not have",
            "published_at": "a topic: when a record was published",
            **_IS_FRAUD,
            "known_at": "labels: when they became known",
            **_LABEL,
            "batch_id": "a stream: the micro-batch of a transaction",
            "labels_version": "a stream: the labels that a micro-batch knew",
        }.items()
        if name not in TRANSACTIONS.required  # each data set says where these are
    },
    "give the column another name, its `source` stays",
)
ENTITIES = Reserved(
    {
        TRANSACTIONS.name: "a stream's state: the store of what has come",
        LABELS.name: "a stream's state: the store of labels that wait",
        "batch_id": "parity: the micro-batch that a window is of",
    },
    "give the entity another name, its column keeps its own",
)
FEATURE_NAMES = Reserved(
    {
        **_of(FEATURES),
        **_LABEL,
        "held_out": "training: whether a row is for the calibration",
        **_IS_FRAUD,
    },
    "give the column another name in the data set",
)
