"""Which decisions hang on which feature: one after the other gets the values of other transactions.

A feature that is shuffled says nothing any more, and all else stays as it is. What then moves
across the threshold was decided by it; where that is more for one group than for another, the
feature decides about groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake.features.kernels import xxhash
from fraudlake.models.encoding import to_matrix
from fraudlake.scoring.apply import scorer_of

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from fraudlake.models.scorer import Scorer

DONORS = 10_000
EVERY = "(all)"
_COUNTS = ("rows", "flags", "frauds", "lost", "gained", "frauds_lost", "frauds_gained")


def probe(
    rows: DataFrame, files: dict[str, bytes], threshold: float, group: str | None = None
) -> list[dict[str, Any]]:
    """Count decisions that move when a feature is shuffled.

    A transaction gets each feature's value from one of 10,000 others, which its id draws: the
    result does not hang on how rows lie in partitions. Nothing but counts leaves the tasks.

    Parameters
    ----------
    rows
        `tx_id`, `label` (1, 0, or null where nobody knows), the model's features, and the group's
        column.
    files
        The model's bundle.
    threshold
        Flag where score ≥ threshold.
    group
        A column whose values are counted apart as well.

    Returns
    -------
    list of dict
        For each feature, the one that moves most first: `feature`, `group` (`(all)`, or a value of
        the group's column), `rows`, `flags` and `frauds` among them, `lost` (flags that go),
        `gained` (flags that come), `frauds_lost` and `frauds_gained` (known frauds among those).

    References
    ----------
    Breiman (2001), Random forests: permutation of one variable, here on decisions.
    """
    from pyspark.sql import functions as F

    from fraudlake.models import bundle

    digest = bundle.digest(files)
    scorer = bundle.load(files, digest)
    features = list(scorer.features)
    # Those with the smallest hashes of their ids: the same ones at each run.
    sample = rows.orderBy(F.xxhash64("tx_id"), "tx_id").limit(DONORS).select(*features).toArrow()
    donors = to_matrix(sample, features, scorer.encodings)
    kept = ["tx_id", "label", *([group] if group else []), *features]
    schema = ", ".join(["feature string", "part string", *(f"{n} bigint" for n in _COUNTS)])

    def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        for batch in batches:
            found = moved(scorer_of(files, digest), batch, donors, threshold, group)
            columns = {
                name: pa.array([one[name] for one in found], pa.string())
                for name in ("feature", "part")
            }
            columns |= {n: pa.array([one[n] for one in found], pa.int64()) for n in _COUNTS}
            yield pa.RecordBatch.from_pydict(columns)

    counted = rows.select(*kept).mapInArrow(count, schema).groupBy("feature", "part")
    sums = counted.agg(*(F.sum(name).alias(name) for name in _COUNTS)).collect()
    found = [{("group" if k == "part" else k): v for k, v in row.asDict().items()} for row in sums]
    moves = {one["feature"]: one["lost"] + one["gained"] for one in found if one["group"] == EVERY}
    return sorted(
        found,
        key=lambda one: (
            -moves[one["feature"]],
            one["feature"],
            one["group"] != EVERY,
            one["group"],
        ),
    )


def moved(
    scorer: Scorer,
    batch: pa.RecordBatch,
    donors: np.ndarray,
    threshold: float,
    group: str | None,
) -> list[dict[str, Any]]:
    """The counts of `probe` for some rows: a dictionary for each feature and group.

    Parameters
    ----------
    donors
        Values of other transactions, float64 [n, features].
    """
    matrix = to_matrix(batch, scorer.features, scorer.encodings)
    before = scorer.score(matrix) >= threshold
    fraud = batch.column("label").fill_null(0).to_numpy(zero_copy_only=False) == 1
    ids = xxhash.of_integers(batch.column("tx_id").to_numpy())
    parts = {EVERY: np.ones(len(ids), dtype=bool)} | _parts(batch, group)
    found = []
    for place, name in enumerate(scorer.features):
        shuffled = matrix.copy()
        # Another donor for each feature of a transaction.
        drawn = xxhash.of_integers(ids + place).astype(np.uint64) % np.uint64(len(donors))
        shuffled[:, place] = donors[drawn, place]
        after = scorer.score(shuffled) >= threshold
        marks = {
            "rows": np.ones(len(ids), dtype=bool),
            "flags": before,
            "frauds": fraud,
            "lost": before & ~after,
            "gained": after & ~before,
            "frauds_lost": before & ~after & fraud,
            "frauds_gained": after & ~before & fraud,
        }
        found += [
            {"feature": name, "part": part}
            | {key: int((mark & inside).sum()) for key, mark in marks.items()}
            for part, inside in parts.items()
        ]
    return found


def _parts(batch: pa.RecordBatch, group: str | None) -> dict[str, np.ndarray]:
    """Value of the group's column → its rows."""
    if group is None:
        return {}
    values = batch.column(group).cast("string").fill_null("(none)")
    values = values.to_numpy(zero_copy_only=False)
    return {str(value): values == value for value in np.unique(values.astype(str))}
