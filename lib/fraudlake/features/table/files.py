"""The feature table's files, written by the tasks that computed the rows: days of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fraudlake.features.batch.survey import DAY, fingerprint
from fraudlake.features.exchange import taken
from fraudlake.features.rows import micros
from fraudlake.features.stages import Result
from fraudlake.lake.data_file import DataFile, DataFileWriter

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.sql import DataFrame

WRITTEN = "path string, size bigint, rows bigint, stats string, which bigint"


@dataclass(frozen=True)
class ByDay:
    """Transactions at home in the file of their day.

    Attributes
    ----------
    files
        Day, counted from 1970 UTC → number of its file.
    """

    files: Mapping[int, int]

    @property
    def number(self) -> int:
        """How many files there are."""
        return max(self.files.values(), default=0) + 1

    def of(self, rows: pa.Table, _partition: int) -> NDArray[np.int32]:
        """File of each row."""
        import numpy as np

        first = min(self.files)
        numbers = np.zeros(max(self.files) - first + 1, np.int32)
        for day, number in self.files.items():
            numbers[day - first] = number
        return numbers[micros(rows) // DAY - first]


@dataclass(frozen=True)
class Written:
    """Files that were written, with how many rows, and which, as `fingerprint` says."""

    files: list[DataFile]
    rows: int
    which: int


@dataclass(frozen=True)
class WriteFile:
    """What writes a home's transactions with their features as one file, in the order of time.

    Nothing refers to the file before a commit does.

    Attributes
    ----------
    definition
        Hash of the feature set, a column of every row.
    """

    writer: DataFileWriter
    result: Result
    definition: str

    def __call__(self, rows: pa.Table) -> Iterator[pa.RecordBatch]:
        """What was written, one row."""
        import numpy as np
        import pyarrow as pa

        found = self.result.table(taken(rows, np.argsort(micros(rows))))
        same = pa.array(np.zeros(len(found), np.int32))
        definition = pa.DictionaryArray.from_arrays(same, [self.definition])
        file = self.writer.write(found.append_column("definition", definition))
        yield pa.RecordBatch.from_pylist([asdict(file) | {"which": fingerprint(found)}])


def collected(made: DataFrame) -> Written:
    """The files that tasks have written, from what they said of them."""
    files, which = [], 0
    for row in made.collect():
        *file, one = row
        files.append(DataFile(*file))
        which ^= one
    return Written(files, sum(file.rows for file in files), which)
