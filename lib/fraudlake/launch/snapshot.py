"""Training rows as columnar files, a shard for each rank: ranks read arrays and no table format.

A snapshot lives as long as the training it was written for. Its rows are in an order that a hash of
their keys gives, so that each row group holds a sample of its shard.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fraudlake.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Enough that a column of a group is read at full speed, few enough that many groups fit in memory.
GROUP_ROWS, GROUP_BYTES = 16_384, 1 << 20


@contextmanager
def written(rows: DataFrame, folder: str) -> Iterator[str]:
    """Write a shard for each partition of `rows`; remove them at the end.

    Of each shard one Parquet file has the rows that are held out, one the others, both in row
    groups of at most `GROUP_ROWS`. Equal rows give equal files.

    Parameters
    ----------
    rows
        `tx_id`, `label`, `held_out` and the features, in as many partitions as there will be ranks.
    folder
        Path or URI that the executors see too. What a killed run left there is replaced.

    Yields
    ------
    str
        The folder as a URI.
    """
    from pyspark.sql import functions as F

    spark = rows.sparkSession
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    files = path.getFileSystem(spark._jsc.hadoopConfiguration())
    try:
        mixed = rows.sortWithinPartitions("held_out", F.xxhash64("tx_id"), "tx_id").drop("tx_id")
        writer = mixed.write.mode("overwrite").partitionBy("held_out")
        writer = writer.option("maxRecordsPerFile", 0)
        count = min(GROUP_ROWS, max(GROUP_BYTES // (4 * len(mixed.columns)), 1_024))
        writer.option("parquet.block.row.count.limit", count).parquet(folder)
        yield files.makeQualified(path).toString()
    finally:
        files.delete(path, True)


class RowGroup(NamedTuple):
    """One row group of a file."""

    file: int
    number: int
    rows: int


class Shard:
    """Some rows of one shard of a snapshot, read a row group at a time.

    Parameters
    ----------
    folder
        What `written` yielded.
    number
        Of the shard, counted from 0.
    features
        In the order of the columns that are wanted.
    held_out
        Which rows: those that are not held out, those that are, or both.

    Attributes
    ----------
    groups
        Its row groups, always in the same order.
    rows
        How many there are.
    """

    def __init__(
        self, folder: str, number: int, features: Sequence[str], held_out: Collection[bool]
    ) -> None:
        from pyarrow import fs, parquet

        # Hadoop's name of S3's file system is not Arrow's.
        files, path = fs.FileSystem.from_uri(folder.replace("s3a://", "s3://", 1))
        self.number, self.features = number, list(features)
        self._files = []
        for each in sorted(held_out):
            part = f"{path}/held_out={str(each).lower()}"
            infos = files.get_file_info(fs.FileSelector(part, allow_not_found=True))
            self._files += [
                parquet.ParquetFile(info.path, filesystem=files)
                for info in infos
                if info.base_name.startswith(f"part-{number:05d}-")
            ]
        self.groups = [
            RowGroup(place, group, file.metadata.row_group(group).num_rows)
            for place, file in enumerate(self._files)
            for group in range(file.metadata.num_row_groups)
        ]
        self.rows = sum(group.rows for group in self.groups)

    def read(self, group: RowGroup) -> tuple[np.ndarray, np.ndarray]:
        """X float32 [n, features], NaN where a value is missing; label float32 [n], 1 or 0."""
        table = self._files[group.file].read_row_group(
            group.number, [*self.features, "label"], use_threads=False
        )
        x = np.empty((table.num_rows, len(self.features)), dtype=np.float32)
        for position, name in enumerate(self.features):
            x[:, position] = table[name].to_numpy()
        return x, table["label"].to_numpy().astype(np.float32)


def shards(
    folder: str, numbers: Sequence[int], features: Sequence[str], held_out: Collection[bool]
) -> list[Shard]:
    """Shards of a snapshot by their numbers.

    Raises
    ------
    DataError
        One has no rows, or the folder cannot be seen from where this runs.
    """
    found = [Shard(folder, number, features, held_out) for number in numbers]
    for shard in found:
        if not shard.rows:
            raise DataError(
                f"training snapshot: got no rows for rank {shard.number} in {folder}, expected a "
                "file that every executor can read: take fewer workers where the training rows are "
                "few, or put the lake on storage that all machines share"
            )
    return found
