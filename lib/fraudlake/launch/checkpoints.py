"""States of a training, kept so that it goes on where it was: whole files or none.

A file has its SHA-256 in its name: what was cut off or damaged is passed over, for the one before.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow import fs
    from pyspark.sql import SparkSession

_KEPT = 2  # the newest, and the one before in case the newest is damaged
_DIGITS = 16


@contextmanager
def folder(spark: SparkSession, path: str) -> Iterator[str]:
    """A folder that all tasks see, as a URI; removed when the block ends well, kept when not."""
    jvm: Any = spark._jvm
    place = jvm.org.apache.hadoop.fs.Path(path)
    files = place.getFileSystem(spark._jsc.hadoopConfiguration())
    yield files.makeQualified(place).toString()
    files.delete(place, True)


@dataclass(frozen=True)
class Checkpoints:
    """The states of one training.

    Parameters
    ----------
    uri
        Folder that all tasks see; made when the first is saved.
    name
        Of the training, in the folder.

    Examples
    --------
    >>> import tempfile
    >>> kept = Checkpoints("file://" + tempfile.mkdtemp(), "final")
    >>> kept.newest()
    (0, None)
    >>> kept.save(5, b"five")
    >>> kept.newest()
    (5, b'five')
    """

    uri: str
    name: str

    def save(self, step: int, content: bytes) -> None:
        """Keep the state after so many steps; older ones than the one before go."""
        files, path = self._place()
        files.create_dir(path, recursive=True)
        digest = hashlib.sha256(content).hexdigest()[:_DIGITS]
        final = f"{path}/{self.name}-{step:09d}-{digest}"
        with files.open_output_stream(f"{final}.part") as stream:
            stream.write(content)
        files.move(f"{final}.part", final)
        for _, _, older in self._found(files, path)[_KEPT:]:
            files.delete_file(older)

    def newest(self) -> tuple[int, bytes | None]:
        """Steps of the newest whole state, and the state; (0, None) where there is none."""
        return next(self._whole(), (0, None))

    def read(self, step: int) -> bytes:
        """The state after so many steps.

        Raises
        ------
        OSError
            There is none here that is whole.
        """
        for found, content in self._whole():
            if found == step:
                return content
        raise OSError(
            f"checkpoint {self.name}-{step} in {self.uri}: got none, expected the file that rank 0 "
            "has seen: put the lake on storage that all machines share"
        )

    def _whole(self) -> Iterator[tuple[int, bytes]]:
        files, path = self._place()
        for step, digest, file in self._found(files, path):
            with files.open_input_stream(file) as stream:
                content = stream.read()
            if hashlib.sha256(content).hexdigest()[:_DIGITS] == digest:
                yield step, content
            else:
                print(f"checkpoint {file} is damaged: passed over", file=sys.stderr)

    def _place(self) -> tuple[fs.FileSystem, str]:
        from pyarrow import fs

        # Hadoop's name of S3's file system is not Arrow's.
        return fs.FileSystem.from_uri(self.uri.replace("s3a://", "s3://", 1))

    def _found(self, files: fs.FileSystem, path: str) -> list[tuple[int, str, str]]:
        """Step, digest and path of each, the newest first."""
        from pyarrow import fs

        infos = files.get_file_info(fs.FileSelector(path, allow_not_found=True))
        parts = [(*info.base_name.rsplit("-", 2), info.path) for info in infos]
        found = [(int(p[1]), p[2], p[3]) for p in parts if len(p) == 4 and p[0] == self.name]
        return sorted((one for one in found if not one[1].endswith(".part")), reverse=True)
