"""Training rows as columnar files, one for each rank: ranks read arrays and no table format.

A snapshot lives as long as the training it was written for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@contextmanager
def written(rows: DataFrame, folder: str) -> Iterator[str]:
    """Write one Parquet file for each partition of `rows`; remove them at the end.

    Parameters
    ----------
    rows
        In as many partitions as there will be ranks.
    folder
        Path or URI that the executors see too. What a killed run left there is replaced.

    Yields
    ------
    str
        The folder as a URI.
    """
    spark = rows.sparkSession
    jvm: Any = spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    files = path.getFileSystem(spark._jsc.hadoopConfiguration())
    try:
        rows.write.mode("overwrite").option("maxRecordsPerFile", 0).parquet(folder)
        yield files.makeQualified(path).toString()
    finally:
        files.delete(path, True)


def read(
    folder: str, rank: int, features: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One rank's rows.

    Parameters
    ----------
    folder
        What `written` yielded.

    Returns
    -------
    x : float32 [n, features], NaN where a value is missing
    label : float32 [n], 1 or 0
    held_out : bool [n]

    Raises
    ------
    DataError
        The rank has no rows, or the folder cannot be seen from where it runs.
    """
    from pyarrow import fs, parquet

    # Hadoop's name of S3's file system is not Arrow's.
    files, path = fs.FileSystem.from_uri(folder.replace("s3a://", "s3://", 1))
    infos = files.get_file_info(fs.FileSelector(path, allow_not_found=True))
    mine = [info.path for info in infos if info.base_name.startswith(f"part-{rank:05d}-")]
    if not mine:
        raise DataError(
            f"training snapshot: got no rows for rank {rank} in {folder}, expected a file that "
            "every executor can read: take fewer workers where the training rows are few, or put "
            "the lake on storage that all machines share"
        )
    table = parquet.read_table(mine[0], filesystem=files)
    x = np.empty((table.num_rows, len(features)), dtype=np.float32)
    for position, name in enumerate(features):
        x[:, position] = table[name].to_numpy()
    label = table["label"].to_numpy().astype(np.float32)
    return x, label, table["held_out"].to_numpy().astype(bool)
