"""The lake: every way to read a table of it, and to write one.

A table has one rule for running its job again, and each write here names it:

| write | re-run rule |
|---|---|
| `insert_missing` | rows whose key stands are left as they are; nothing to add, no commit |
| `insert_few` | the same, of rows that the driver has |
| `append_once` | a (application, version) pair that was committed is skipped |
| `replace_where` | the rows that meet a condition are replaced whole; equal inputs, equal rows |
| `replace_table` | rows and columns are replaced whole; equal inputs, equal rows |
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

from fraudlake.errors import DataError
from fraudlake.instants import time_range
from fraudlake.lake import commits, delta_log, violations
from fraudlake.lake.commits import Commit
from fraudlake.lake.data_file import DataFile, DataFileWriter
from fraudlake.lake.plain import obstacle_to_reading, obstacle_to_writing
from fraudlake.lake.scan import Scan, TableFile, files_of, first_value, rows_of, scan_of
from fraudlake.lake.tables import FEATURES, REASONS_TYPE, TRANSACTIONS, Table
from fraudlake.options import absolute_lake, is_catalog

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, DataFrameWriter, SparkSession

    from fraudlake.lake.delta_log import Metadata, State

log = logging.getLogger("fraudlake")

_TRIES = 20  # to write beside others; a stream commits every few seconds
_FEW_FILES = 32  # Spark looks at so many without a job
_PATTERN = re.compile(r"[*?\[\]{}\\]")  # what Spark would take for a pattern of paths
_CONSTRAINT = "delta.constraints."  # the prefix that Delta keeps them under


class Lake:
    """All tables under one root: a folder or URI (`PATH/NAME`), or `catalog.schema` (`….NAME`).

    Parameters
    ----------
    root
        A relative folder counts from the working folder.
    features
        Name of the table that stands for `FEATURES`: feature tables of several definitions can
        stand side by side.

    Raises
    ------
    ValueError
        `root` is empty.
    """

    def __init__(self, spark: SparkSession, root: str, features: str = FEATURES.name) -> None:
        self.spark = spark
        self.root = absolute_lake(root.rstrip("/"))
        self.features = features
        self.in_catalog = is_catalog(self.root)

    def _name(self, table: Table) -> str:
        return self.features if table is FEATURES else table.name

    def reference(self, table: Table) -> str:
        """How SQL names the table."""
        if self.in_catalog:
            return f"{self.root}.{self._name(table)}"
        return f"delta.`{self.path(table)}`"

    def path(self, table: Table) -> str:
        """Where a path lake keeps the table."""
        return f"{self.root}/{self._name(table)}"

    def folder(self, name: str) -> str:
        """A working folder of the lake (snapshots, stream state): in its root or the warehouse."""
        if not self.in_catalog:
            return f"{self.root}/_{name}"
        warehouse = self.spark.conf.get("spark.sql.warehouse.dir")
        return f"{warehouse}/_fraudlake/{self.root}/{name}"

    def exists(self, table: Table) -> bool:
        """Whether the lake has the table."""
        from delta.tables import DeltaTable

        if self.in_catalog:
            return self.spark.catalog.tableExists(self.reference(table))
        return DeltaTable.isDeltaTable(self.spark, self.path(table))

    def read(self, table: Table, version: int | None = None) -> DataFrame:
        """The table, as of a version where one is given.

        Raises
        ------
        DataError
            The table does not exist; the message says which job writes it.
        """
        if not self.exists(table):
            raise DataError(
                f"{self._name(table)}: got no table under {self.root}, expected one; run the job "
                "that writes it first (ingest → features → train → score)"
            )
        if version is None:
            return self.spark.table(self.reference(table))
        return self.spark.sql(f"SELECT * FROM {self.reference(table)} VERSION AS OF {version}")

    def whole(self, table: Table, version: int) -> DataFrame:
        """What `read` gives, to be read from end to end: from the files, where they are plain.

        Delta starts three jobs to find out which files it need not read. For small tables that is
        more than reading them.

        Raises
        ------
        DataError
            As `read` says.
        """
        frame = self.read(table, version)
        paths = [file.path for file in self.files(table, version) or ()]
        if not 0 < len(paths) <= _FEW_FILES or any(_PATTERN.search(path) for path in paths):
            return frame
        return self.spark.read.schema(frame.schema).parquet(*paths)

    def scan(
        self,
        table: Table,
        version: int,
        start: datetime | None = None,
        end: datetime | None = None,
        ids: tuple[int, int] | None = None,
    ) -> Scan:
        """Rows of the table at a version with start ≤ event_time < end, for tasks of Python.

        Parameters
        ----------
        ids
            Rows with a `tx_id` before the one or after the other may be left out.

        Raises
        ------
        DataError
            As `read` says.
        """
        frame = self.read(table, version).where(time_range(start, end))
        if ids:
            frame = frame.where(f"tx_id BETWEEN {ids[0]} AND {ids[1]}")
        state = self._state(table, version)
        return scan_of(self._name(table), state, frame, start, end, ids)

    def files(self, table: Table, version: int) -> list[TableFile] | None:
        """Files of the table that tasks of Python can read by themselves; None: they cannot."""
        state = self._state(table, version)
        return None if isinstance(state, str) or obstacle_to_reading(state) else files_of(state)

    def first_value(self, table: Table, column: str) -> Any:
        """A column's value in some row; None where there is no row."""
        if files := self.files(table, self.version(table)):
            return first_value(files, column)
        row = self.read(table).select(column).first()
        return None if row is None else row[0]

    def rows(self, table: Table, version: int) -> int:
        """How many rows the table has at a version; where the log says it, without a job."""
        state = self._state(table, version)
        if not isinstance(state, str) and not any(f.get("deletionVector") for f in state.files):
            told = [json.loads(file.get("stats") or "{}").get("numRecords") for file in state.files]
            if None not in told:
                return sum(told)
        return self.read(table, version).count()

    def _state(self, table: Table, version: int) -> State | str:
        """Files of the table, where they lie on a disk; else in words, where they lie."""
        folder = self._folder(table)
        if Path(folder).is_dir():
            return delta_log.state(self.spark, folder, version)
        return f"files under {urlparse(folder).scheme or folder}:"

    def _folder(self, table: Table) -> str:
        """Where the table is, on a disk without a scheme."""
        return re.sub("^file:/+", "/", self.location(table))

    def file_writer(self, table: Table) -> DataFileWriter | None:
        """What writes files of the table in tasks of Python; None: Spark must, the log says why."""
        from pyspark.sql.pandas.types import to_arrow_schema

        state = self._state(table, self.version(table))
        reason = state if isinstance(state, str) else obstacle_to_writing(state)
        if isinstance(state, str) or reason:
            name = self._name(table)
            log.info("%s is written through Spark: got %s, expected a plain table", name, reason)
            return None
        columns = to_arrow_schema(self.spark.table(self.reference(table)).schema, timezone="UTC")
        default = ",".join((*table.key, *table.cluster_by))
        indexed = state.properties.get("delta.dataSkippingStatsColumns", default)
        return DataFileWriter(state.root, columns, tuple(indexed.split(",")))

    def replace_files(
        self,
        table: Table,
        files: Sequence[DataFile],
        gone: Collection[str] | None = None,
        after: int | None = None,
    ) -> None:
        """Put files that `file_writer` has written in the place of others, in one commit.

        Re-run rule: equal inputs give equal rows.

        Parameters
        ----------
        gone
            Those others, as `files` names them; None: all.
        after
            The table's version that was looked at for them; None: whichever is the newest.

        Raises
        ------
        DataError
            Others have committed after that version; nothing was written.
        """
        if not delta_log.replace(self.spark, self._folder(table), files, gone, after):
            raise DataError(
                f"{self._name(table)} under {self.root}: got a commit of others while the job ran, "
                "expected none; nothing was written, run the job again when they have done"
            )

    def appended(self, table: Table, after: int, until: int) -> Scan:
        """What `changes` gives; from files where these commits did no more than append some."""
        frame, state = self.changes(table, after, until), self._state(table, until)
        if not isinstance(state, str):
            files = delta_log.appended(state.root, after, until)
            if files is None:
                return Scan(frame)
            state = replace(state, files=files)
            if not all(Path(file.path).exists() for file in files_of(state)):
                return Scan(frame)
        return scan_of(self._name(table), state, frame, None, None)

    def changes(self, table: Table, after: int, until: int) -> DataFrame:
        """What commits after one version changed, to another version included.

        Returns
        -------
        DataFrame
            The table's columns and `_change_type` (`insert`, `delete`, …); a row each change.
            OPTIMIZE changes nothing.
        """
        if after == until:
            from pyspark.sql import functions as F

            return self.read(table).where("false").withColumn("_change_type", F.lit("insert"))
        feed = self.spark.read.option("readChangeFeed", value=True)
        feed = feed.option("startingVersion", after + 1).option("endingVersion", until)
        return feed.table(self.reference(table)).drop("_commit_version", "_commit_timestamp")

    def version(self, table: Table) -> int:
        """Number of the table's newest commit; −1 where it does not exist."""
        if not self.exists(table):
            return -1
        # DESCRIBE HISTORY would start a job; a stream asks with every micro-batch.
        return delta_log.version(self.spark, self.location(table))

    def history(self, table: Table, after: int = -1) -> list[Commit]:
        """Commits of the table after a version, newest first; none where it does not exist."""
        if not self.exists(table):
            return []
        return commits.history(self.spark, self.reference(table), after)

    def noted(self, **notes: Any) -> AbstractContextManager[None]:
        """Add notes to the metadata of the commits made until the block ends (`Commit.notes`)."""
        return commits.noted(self.spark, notes)

    def identity(self, table: Table) -> str:
        """Delta's own id of the table: one made anew counts from version 0 again, under another."""
        return self._metadata(table).identity

    def created_at(self, table: Table) -> datetime:
        """When the table was made, UTC."""
        return datetime.fromtimestamp(self._metadata(table).created / 1000, UTC)

    def location(self, table: Table) -> str:
        """Path or URI of the table's folder."""
        if not self.in_catalog:
            return self.path(table)
        detail = self.spark.sql(f"DESCRIBE DETAIL {self.reference(table)}")
        return detail.select("location").collect()[0][0]

    def properties(self, table: Table) -> dict[str, str]:
        """The table's own properties (`fraudlake.dataset`, …) without the prefix."""
        prefix, own = "fraudlake.", self._metadata(table).properties
        return {name.removeprefix(prefix): own[name] for name in own if name.startswith(prefix)}

    def _metadata(self, table: Table) -> Metadata:
        # DESCRIBE DETAIL and SHOW TBLPROPERTIES start jobs, or take Spark's whole planner.
        return delta_log.metadata(self.spark, self.location(table))

    def dataset(self) -> str:
        """Name of the data set that the lake holds.

        Raises
        ------
        DataError
            There are no transactions, or they do not say what they are of.
        """
        self.read(TRANSACTIONS)
        name = self.properties(TRANSACTIONS).get("dataset")
        if not name:
            raise DataError(
                f"transactions under {self.root}: got no data set's name on the table, expected "
                "dataset=NAME"
            )
        return name

    def set_property(self, table: Table, name: str, value: str) -> None:
        """Write `fraudlake.NAME`, in a commit of its own, where it says something else."""
        if self.properties(table).get(name) != value:
            setting = _settings({f"fraudlake.{name}": value})
            self.spark.sql(f"ALTER TABLE {self.reference(table)} SET {setting}")

    def create(
        self,
        table: Table,
        extra: Mapping[str, str] | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        """Make the table where it is missing; leave it alone where it stands.

        Parameters
        ----------
        extra
            Columns that this lake's data set or feature set adds, with their SQL types.
        properties
            Written as `fraudlake.NAME` table properties.

        Raises
        ------
        DataError
            The table stands and lacks one of the columns, or has it with another type.
        """
        columns = {**table.columns, **(extra or {})}
        if self.exists(table):
            have = dict(self.spark.table(self.reference(table)).dtypes)
            wrong = [
                f"{name} (got {have.get(name, 'no such column')}, expected {kind})"
                for name, kind in columns.items()
                if have.get(name, "").replace(" ", "") != kind.replace(" ", "")
                and table.columns.get(name) != REASONS_TYPE
            ]
            if wrong:
                raise DataError(
                    f"{self._name(table)} under {self.root} has other columns: {'; '.join(wrong)}; "
                    "use another lake, or the data set and feature set that made this one"
                )
            self._constrain(table)
            return
        fields = ", ".join(
            f"{name} {kind}{' NOT NULL' if name in table.required else ''}"
            for name, kind in columns.items()
        )
        settings = {f"fraudlake.{name}": value for name, value in (properties or {}).items()}
        settings |= {_CONSTRAINT + name: rule for name, rule in table.constraints.items()}
        if table.append_only:
            settings["delta.appendOnly"] = "true"
            # A summary of the log, by default with each tenth commit, costs a small batch more than
            # its rows. A stream writes them beside its batches (`summarise`), long before these.
            settings["delta.checkpointInterval"] = "10000" if table.streamed else "1000"
        if table.streamed:
            settings["delta.logRetentionDuration"] = "interval 2 days"
            settings["delta.deletedFileRetentionDuration"] = "interval 2 days"  # at most that
        if table.change_feed:
            settings["delta.enableChangeDataFeed"] = "true"
        # By default Delta keeps the range of every column of a file: a fourth of a wide write.
        settings["delta.dataSkippingStatsColumns"] = ",".join(
            dict.fromkeys((*table.key, *table.cluster_by))
        )
        cluster = f"CLUSTER BY ({', '.join(table.cluster_by)})" if table.cluster_by else ""
        self.spark.sql(
            f"CREATE TABLE IF NOT EXISTS {self.reference(table)} ({fields}) USING delta "
            f"{cluster} {_settings(settings)}"
        )

    def add_columns(self, table: Table, columns: Mapping[str, str]) -> None:
        """Give the table, where it stands, the columns that it lacks: null in its rows."""
        if self.exists(table):
            have = self._columns(table)
            new = ", ".join(f"{name} {kind}" for name, kind in columns.items() if name not in have)
            if new:
                self.spark.sql(f"ALTER TABLE {self.reference(table)} ADD COLUMNS ({new})")

    def _constrain(self, table: Table) -> None:
        """Add the constraints that are missing: the table may be an older one."""
        if not table.constraints:
            return
        existing = self._metadata(table).properties
        for name, rule in table.constraints.items():
            if _CONSTRAINT + name not in existing:
                with violations.told(self._name(table), table):
                    self.spark.sql(
                        f"ALTER TABLE {self.reference(table)} ADD CONSTRAINT {name} CHECK ({rule})"
                    )

    def drop_constraint(self, table: Table, name: str) -> None:
        """Take a rule away from the table, where it has it."""
        if self.exists(table) and _CONSTRAINT + name in self._metadata(table).properties:
            self.spark.sql(f"ALTER TABLE {self.reference(table)} DROP CONSTRAINT {name}")

    def insert_missing(
        self, table: Table, rows: DataFrame, within: str = "true", looked: int | None = None
    ) -> int:
        """Add the rows whose key is not in the table yet; return how many.

        Re-run rule: rows that stand are left as they are. Where nothing is new, nothing is
        committed. Where another writer commits meanwhile, it is looked anew what stands.

        Parameters
        ----------
        rows
            Columns of the table, each key once. They are computed once, unless others write.
        within
            SQL condition on the table that all of `rows` meet (a range of `event_time`, say), so
            that only that part of the table is read.
        looked
            Version of the table in which none of `rows` stands; None: nobody has looked.
        """
        keys, new = list(table.key), rows
        for _ in range(_TRIES):
            version = self.version(table)
            if version != looked and self.rows(table, version):
                standing = self.whole(table, version).where(within).select(*keys)
                new = rows.join(standing, keys, "left_anti")
            with violations.told(self._name(table), table):
                number = delta_log.append(self.spark, self.location(table), new, version)
            if number is not None:
                return number
            log.info("%s: others wrote meanwhile, once more", self._name(table))
        raise self._crowded(table)

    def update(self, table: Table, rows: DataFrame, newer: str) -> int:
        """Put rows in the place of those with their key and a smaller value; return how many.

        Re-run rule: rows that stand with the same value, or a greater one, are left as they are.

        Parameters
        ----------
        rows
            Columns of the table, each key once.
        newer
            SQL of what is compared, with `{row}` in place of the row's name.
        """
        from delta.exceptions import DeltaConcurrentModificationException
        from delta.tables import DeltaTable

        target = DeltaTable.forName(self.spark, self.reference(table)).alias("old")
        same = " AND ".join(f"old.{key} = new.{key}" for key in table.key)
        columns: dict[str, str | Column] = {
            name: f"new.{name}" for name in self._columns(table) if name in rows.columns
        }
        merge = target.merge(rows.alias("new"), same).whenMatchedUpdate(
            f"{newer.format(row='new')} > {newer.format(row='old')}", columns
        )
        for _ in range(_TRIES):
            try:
                with violations.told(self._name(table), table):
                    return sum(row["num_updated_rows"] for row in merge.execute().collect())
            except DeltaConcurrentModificationException:
                log.info("%s: others wrote meanwhile, once more", self._name(table))
        raise self._crowded(table)

    def insert_few(self, table: Table, rows: pa.Table) -> int:
        """As `insert_missing`, for rows that the driver has: where it can, without a job."""
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = list(table.key)
        ends = {key: pc.min_max(rows[key]).as_py().values() for key in keys}
        for _ in range(_TRIES):
            version, writer = self.version(table), self.file_writer(table)
            files = self.files(table, version)
            if writer is None or files is None:
                return self.insert_missing(table, self.spark.createDataFrame(rows))
            there = [f.path for f in files if all(f.meets(key, *ends[key]) for key in keys)]
            standing = rows_of(there, pa.schema([writer.columns.field(key) for key in keys]))
            known = {tuple(row.values()) for row in standing.to_pylist()}
            new = [tuple(row.values()) not in known for row in rows.select(keys).to_pylist()]
            if not any(new):
                return 0
            with violations.told(self._name(table), table):
                file = writer.write(rows.filter(pa.array(new)))
            if delta_log.replace(self.spark, self._folder(table), [file], (), version):
                return sum(new)
            log.info("%s: others wrote meanwhile, once more", self._name(table))
        raise self._crowded(table)

    def _crowded(self, table: Table) -> DataError:
        return DataError(
            f"{self._name(table)} under {self.root}: got commits of others with each of {_TRIES} "
            "tries to write, expected one without; run the job again when they have done"
        )

    def append_once(
        self,
        table: Table,
        rows: DataFrame,
        application: str,
        version: int,
        after: int | None = None,
    ) -> bool:
        """Append, unless this application has committed this version or a later one.

        Re-run rule: a version not above the last committed one of the same application is skipped,
        so one application name stands for one logical write to one table.

        Parameters
        ----------
        after
            Version of the table for which the rows were chosen.

        Returns
        -------
        bool
            False: others have committed after that version, and nothing was appended.
        """
        with violations.told(self._name(table), table):
            return delta_log.append_once(
                self.spark, self.location(table), rows, application, version, after
            )

    def applications(self, table: Table) -> set[str]:
        """Names of the applications that have appended to the table (`append_once`)."""
        return set(delta_log.applications(self.spark, self.location(table)))

    def summarise(self, table: Table) -> None:
        """Sum up the log where 500 commits came since the last time; not in a catalog.

        What has expired of it goes (`Table.streamed`). Both read all of it, so it is done rarely.
        """
        if not self.in_catalog:
            delta_log.summarise(self.spark, self.path(table), 500)

    def replace_where(self, table: Table, rows: DataFrame, within: str) -> None:
        """Replace the rows that meet an SQL condition by `rows`, which all meet it too.

        Re-run rule: equal inputs give equal rows.
        """
        writer = rows.select(*self._columns(table)).write.format("delta").mode("overwrite")
        self._save(writer.option("replaceWhere", within), table)

    def replace_table(self, table: Table, rows: DataFrame) -> None:
        """Put other columns and rows in the table's place in one commit, then cluster it again.

        Re-run rule: equal inputs give equal rows. Delta forgets the clustering where the columns
        change, and cannot replace a table in a path by one that is declared; so the columns of the
        key lose their NOT NULL.
        """
        writer = rows.write.format("delta").mode("overwrite")
        self._save(writer.option("overwriteSchema", value=True), table)
        columns = ", ".join(table.cluster_by)
        self.spark.sql(f"ALTER TABLE {self.reference(table)} CLUSTER BY ({columns})")

    def restore(self, table: Table, version: int) -> None:
        """Make the table what it was at a version, in a commit of its own."""
        self.spark.sql(f"RESTORE {self.reference(table)} TO VERSION AS OF {version}")

    def _columns(self, table: Table) -> list[str]:
        return self.spark.table(self.reference(table)).columns

    def _save(self, writer: DataFrameWriter, table: Table) -> None:
        with violations.told(self._name(table), table):
            if self.in_catalog:
                writer.saveAsTable(self.reference(table))
            else:
                writer.save(self.path(table))


def _settings(settings: Mapping[str, str]) -> str:
    """The clause TBLPROPERTIES; values may hold any character."""
    escaped = {n: v.replace("\\", "\\\\").replace("'", "\\'") for n, v in settings.items()}
    quoted = ", ".join(f"'{name}' = '{value}'" for name, value in escaped.items())
    return f"TBLPROPERTIES ({quoted})"
