"""A scorer over a DataFrame: the same code scores test rows, the feature table and the stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from fraudlake.lake.tables import REASONS_TYPE
from fraudlake.models.encoding import to_matrix

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import DataFrame

    from fraudlake.models.scorer import Scorer

REASONS_PER_FLAG = 5

_loaded: dict[str, Scorer] = {}
_broadcasts: dict[tuple[str, str], Broadcast[dict[str, bytes]]] = {}


def scorer_of(files: dict[str, bytes], digest: str) -> Scorer:
    """The scorer of a bundle, opened once in each Python worker."""
    if digest not in _loaded:
        from fraudlake.models import bundle

        _loaded.clear()
        _loaded[digest] = bundle.load(files, digest)
    return _loaded[digest]


def _sent(
    context: SparkContext, files: dict[str, bytes], digest: str
) -> Broadcast[dict[str, bytes]]:
    """A bundle for the workers, sent once, however many micro-batches it scores.

    Spark keeps a file of each broadcast on the driver's disk until the application ends.
    """
    key = context.applicationId, digest
    if key not in _broadcasts:
        _broadcasts[key] = context.broadcast(files)
    return _broadcasts[key]


def score_rows(
    frame: DataFrame,
    files: dict[str, bytes],
    threshold: float | None,
    carry: Sequence[str],
    provenance: Mapping[str, pa.Scalar] | None = None,
) -> DataFrame:
    """Score every row; give reasons for those that reach the threshold.

    Parameters
    ----------
    frame
        One row a transaction, with the model's feature columns.
    files
        The model's bundle (`fraudlake.models.bundle`).
    threshold
        Flag where score ≥ threshold; None gives scores alone.
    carry
        Columns of `frame` to keep.
    provenance
        Columns to add that are the same in every row. (A literal of Spark's is part of the code
        that it makes, so a time or a number of a batch would have it compiled anew each time.)

    Returns
    -------
    DataFrame
        `carry`, `provenance`, `score` (double) and, with a threshold, `reasons` (array of structs
        `feature` (or rule), `value`, `contribution` in log-odds, strongest first: what pushes the
        score up, at least one and at most 5; null on rows below the threshold). One row for each
        row of `frame`.
    """
    from pyspark.sql.pandas.types import from_arrow_type
    from pyspark.sql.types import DataType, StructType

    from fraudlake.models import bundle

    provenance = provenance or {}
    digest = bundle.digest(files)
    features = list(bundle.load(files, digest).features)
    needed = list(dict.fromkeys([*carry, *features]))
    schema = StructType([frame.schema[name] for name in carry])
    for name, value in provenance.items():
        schema = schema.add(name, from_arrow_type(value.type))
    schema = schema.add("score", "double")
    if threshold is not None:
        schema = schema.add("reasons", DataType.fromDDL(REASONS_TYPE))
    sent = _sent(frame.sparkSession.sparkContext, files, digest)

    def score(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        scorer = scorer_of(sent.value, digest)
        for batch in batches:
            matrix = to_matrix(batch, features, scorer.encodings)
            scores = scorer.score(matrix)
            columns = [batch.column(name) for name in carry]
            columns += [pa.repeat(value, batch.num_rows) for value in provenance.values()]
            columns.append(pa.array(scores, pa.float64()))
            names = [*carry, *provenance, "score"]
            if threshold is not None:
                columns.append(reasons_of(scorer, matrix, scores >= threshold))
                names.append("reasons")
            yield pa.RecordBatch.from_arrays(columns, names)

    return frame.select(*needed).mapInArrow(score, schema)


def reasons_of(scorer: Scorer, matrix: np.ndarray, flags: np.ndarray) -> pa.Array:
    """What pushes a flagged row's score up, as `score_rows` says; null where it has no flag."""
    import numpy as np
    import pyarrow as pa

    kind = pa.list_(
        pa.struct(
            [("feature", pa.string()), ("value", pa.float64()), ("contribution", pa.float64())]
        )
    )
    reasons: list[list[dict] | None] = [None] * len(matrix)
    rows = np.flatnonzero(flags)
    if len(rows):
        names, values, contributions = scorer.reasons(matrix[rows])
        order = np.argsort(-contributions, axis=1, kind="stable")[:, :REASONS_PER_FLAG]
        for row, value, line, best in zip(rows, values, contributions, order, strict=True):
            reasons[row] = [
                {
                    "feature": names[i],
                    "value": float(value[i]),
                    "contribution": float(line[i]),
                }
                for i in best
                if line[i] > 0 or i == best[0]
            ]
    return pa.array(reasons, kind)
