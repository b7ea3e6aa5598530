"""Snapshots as `launch.snapshot` writes them, without Spark; a group of one rank."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pyarrow import parquet

FEATURES = ["a", "b", "c"]


def rows(count, seed=0):
    """X float32 [n, 3] with holes and very different scales, label by the second."""
    rng = np.random.default_rng(seed)
    x = rng.normal(5, [1, 1000, 0.001], (count, 3)).astype(np.float32)
    x[::7, 0] = np.nan
    x[:, 2] = 3.0
    return x, (x[:, 1] > 500).astype(np.int32)


def write(folder, shards, held_out=None, group_rows=64):
    """Shards of (x, label) and of rows held out; gives the URI."""
    for flag, parts in (("false", shards), ("true", held_out or [])):
        part = folder / f"held_out={flag}"
        part.mkdir(parents=True, exist_ok=True)
        for number, (x, label) in enumerate(parts):
            columns = dict(zip(FEATURES, x.T, strict=True)) | {"label": label}
            path = part / f"part-{number:05d}-x.parquet"
            parquet.write_table(pa.table(columns), path, row_group_size=group_rows)
    return folder.as_uri()


class Alone:
    """A group of one rank."""

    rank, size, device = 0, 1, "cpu"

    def sum(self, values):
        return values
