"""Raw files on disk: one Spark task writes one file, the folder keeps what made it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudlake.errors import DataError
from fraudlake.simulate.behaviour import DAY, transactions
from fraudlake.simulate.faults import DUPLICATE, MALFORMED, RECORD, Faults, arriving
from fraudlake.simulate.fraud import KINDS
from fraudlake.simulate.world import World

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

CUSTOMERS_PER_FILE = 100_000
_BATCH = 10_000  # lines handed to Spark at a time
ROWS = 1  # raised when equal arguments give other rows than before
_CONFIG, _SUCCESS, _STAGING = "_config.json", "_SUCCESS", "_staging"
_EPOCH = date(1970, 1, 1)


def file_lines(
    world: World, faults: Faults, customer: np.ndarray, day: int, first_day: int, last_day: int
) -> pa.RecordBatch:
    """The lines of one file: what arrives on a day from some customers, by the time of day.

    Returns
    -------
    One row a line: value (string), form (`RECORD`, `DUPLICATE`, `MALFORMED`), late (boolean), kind
    (position in `KINDS`), all int8 but the first.
    """
    import pyarrow as pa

    from fraudlake.simulate.records import json_lines

    rows = arriving(world, faults, customer, day, first_day, last_day)
    columns = transactions(world, rows)
    order = np.lexsort((rows["form"], columns["transaction_id"], columns["event_time"] % DAY))
    columns = {name: column[order] for name, column in columns.items()}
    rows = {name: column[order] for name, column in rows.items()}
    return pa.record_batch(
        {
            "value": json_lines(columns, rows["broken"]),
            "form": rows["form"].astype(np.int8),
            "late": rows["late"].astype(np.int8),
            "kind": columns["fraud_kind"].astype(np.int8),
        }
    )


def lines(
    spark: SparkSession,
    world: World,
    faults: Faults,
    first: date,
    days: int,
    per_day: int,
) -> DataFrame:
    """All lines, each partition one file: first the files of the first day, and so on.

    Parameters
    ----------
    first
        First day (UTC).
    per_day
        The customers are divided between so many files a day.

    Returns
    -------
    The columns of `file_lines`; days × per_day partitions.
    """
    first_day = (first - _EPOCH).days

    def make(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                day, part = divmod(number, per_day)
                edges = (world.customers * part // per_day, world.customers * (part + 1) // per_day)
                customer = np.arange(*edges)
                last_day = first_day + days - 1
                file = file_lines(world, faults, customer, first_day + day, first_day, last_day)
                yield from (file.slice(at, _BATCH) for at in range(0, file.num_rows, _BATCH))

    files = days * per_day
    schema = "value string, form tinyint, late tinyint, kind tinyint"
    return spark.range(0, files, 1, files).mapInArrow(make, schema)


class RawFolder:
    """The folder of one simulation: `2026-01-05-0000.jsonl`, …, `_config.json` and `_SUCCESS`.

    Files lie side by side, so that the folder, a pattern such as `2026-01-*` and a file stream read
    them alike. Names and times of modification (the end of the day that a file holds, where the
    file system lets them be set) follow the order of arrival.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        jvm: Any = spark._jvm
        self.root = root.rstrip("/")
        self._path = jvm.org.apache.hadoop.fs.Path
        self._io = jvm.org.apache.commons.io.IOUtils
        self._fs = self._path(self.root).getFileSystem(spark._jsc.hadoopConfiguration())

    def finished(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """Counts of an earlier run with the same configuration; None where there is work to do.

        Re-run rule: a finished folder is left as it is, an unfinished one is written anew.

        Raises
        ------
        DataError
            The folder holds something else.
        """
        config = {**config, "rows": ROWS}
        names = self._names("")
        have = json.loads(self._read(_CONFIG)) if _CONFIG in names else None
        if have is None and names:
            raise DataError(
                f"output: got {self.root}, which holds {min(names)} and no simulation, expected a "
                "new or empty folder; name another one"
            )
        if have is not None and have != config:
            other = sorted(k for k in have.keys() | config if have.get(k) != config.get(k))
            shown = "; ".join(f"{k} is {have.get(k)}, asked for {config.get(k)}" for k in other)
            raise DataError(
                f"output: got {self.root}, which holds another simulation ({shown}), expected the "
                "same one or a new folder; name another folder or remove this one"
            )
        if _SUCCESS not in names:
            return None
        result = json.loads(self._read(_SUCCESS))
        complete = sum(name.endswith(".jsonl") for name in names) == result["files"]
        return result if complete else None

    def write(
        self, config: Mapping[str, Any], rows: DataFrame, first: date, days: int, per_day: int
    ) -> dict[str, Any]:
        """Write the files of `lines`, the folder's configuration and, last, the counts.

        Returns
        -------
        Counts, exact whatever is retried: records (lines), transactions, frauds by kind, late,
        duplicates, malformed, days, files.
        """
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        for name in self._names(""):
            self._fs.delete(self._path(f"{self.root}/{name}"), True)
        self._write(_CONFIG, {**config, "rows": ROWS})

        record = F.col("form") == RECORD
        measures = {
            "records": F.lit(True),
            "transactions": record,
            "late": record & (F.col("late") == 1),
            "duplicates": F.col("form") == DUPLICATE,
            "malformed": F.col("form") == MALFORMED,
            **{k.name: record & (F.col("kind") == n) for n, k in enumerate(KINDS) if n},
        }
        # Observed after the last shuffle (there is none), so a task that is run again counts once.
        seen = Observation()
        rows = rows.observe(seen, *[F.count_if(m).alias(name) for name, m in measures.items()])
        rows.select("value").write.text(f"{self.root}/{_STAGING}", compression="none")
        counts = seen.get
        self._publish(first, per_day)
        counts["frauds"] = {k.name: counts.pop(k.name) for k in KINDS[1:]}
        files = sum(name.endswith(".jsonl") for name in self._names(""))
        result = {**counts, "days": days, "files": files}
        self._write(_SUCCESS, result)
        return result

    def _publish(self, first: date, per_day: int) -> None:
        """Rename part k to the day and number that it is, in order."""
        for name in sorted(n for n in self._names(_STAGING) if n.startswith("part-")):
            day, number = divmod(int(name.split("-")[1]), per_day)
            target = self._path(f"{self.root}/{first + timedelta(days=day)}-{number:04d}.jsonl")
            self._fs.rename(self._path(f"{self.root}/{_STAGING}/{name}"), target)
            arrived = ((first - _EPOCH).days + day + 1) * DAY + number
            self._fs.setTimes(target, arrived, -1)
        self._fs.delete(self._path(f"{self.root}/{_STAGING}"), True)

    def _names(self, folder: str) -> list[str]:
        path = self._path(f"{self.root}/{folder}" if folder else self.root)
        if not self._fs.exists(path):
            return []
        return [s.getPath().getName() for s in self._fs.listStatus(path)]

    def _read(self, name: str) -> str:
        stream = self._fs.open(self._path(f"{self.root}/{name}"))
        try:
            return self._io.toString(stream, "UTF-8")
        finally:
            stream.close()

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        stream = self._fs.create(self._path(f"{self.root}/{name}"), True)
        stream.write(bytearray((json.dumps(content, indent=2) + "\n").encode()))
        stream.close()
