"""What is done to any DataFrame: cache it, cut it from its plan, unite several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def checkpointed(frame: DataFrame, **measures: Column) -> tuple[DataFrame, list[Any]]:
    """The frame, computed once, and without its plan: what is made of it is planned in no time.

    The rows go when nothing refers to them any more. Lost with an executor, they are not computed
    again: for what a retry makes good, such as a micro-batch.

    Parameters
    ----------
    measures
        Aggregates over the frame, computed on the way.

    Returns
    -------
    tuple
        The frame, and the measures' values.
    """
    from pyspark.sql import Observation

    if not measures:
        return frame.localCheckpoint(), []
    observation = Observation()
    named = [column.alias(name) for name, column in measures.items()]
    rows = frame.observe(observation, *named).localCheckpoint()
    return rows, [observation.get[name] for name in measures]


@contextmanager
def cached(frame: DataFrame) -> Iterator[DataFrame]:
    """The frame, computed once and cached until the block ends."""
    from pyspark import StorageLevel

    frame = frame.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield frame
    finally:
        frame.unpersist()


def union(frames: Sequence[DataFrame]) -> DataFrame:
    """Rows of all frames, columns by name."""
    return reduce(lambda a, b: a.unionByName(b), frames)
