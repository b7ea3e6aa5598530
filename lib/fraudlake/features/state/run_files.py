"""Arrays in one file: written whole or not at all, with a checksum, mapped into memory to read."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fraudlake import atomic
from fraudlake.errors import DataError

_ALIGNED = 64
_FEW_OPEN = 64  # files among which those that were removed are not looked for yet


class DamagedError(DataError):
    """A file of the state is lost or is not what was written."""


class _Opened:
    """Files that are mapped, by path, each as it was when it was opened.

    A file that was removed takes room as long as it is mapped. Looking for such whenever the number
    of files has doubled costs a look a file.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[tuple[int, int, int], dict[str, NDArray]]] = {}
        self._most = _FEW_OPEN

    def get(self, path: str, identity: tuple[int, int, int]) -> dict[str, NDArray] | None:
        cached = self._files.get(path)
        return cached[1] if cached and cached[0] == identity else None

    def add(self, path: str, identity: tuple[int, int, int], arrays: dict[str, NDArray]) -> None:
        self._files[path] = (identity, arrays)
        if len(self._files) > self._most:
            self._files = {name: file for name, file in self._files.items() if Path(name).exists()}
            self._most = max(_FEW_OPEN, 2 * len(self._files))


_opened = _Opened()


def write(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Write arrays of numbers or byte strings; what stands there is replaced at once or not at all.

    The file is a line of JSON (name → type, shape, place; and a CRC-32 of the rest), then the
    arrays' bytes.
    """
    chunks, header, at, crc = [], {}, 0, 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array).tobytes()
        data += bytes(-len(data) % _ALIGNED)
        header[name] = (array.dtype.str, array.shape, at)
        chunks.append(data)
        at += len(data)
        crc = zlib.crc32(data, crc)
    first = json.dumps({"crc32": crc, "size": at, "arrays": header}).encode()
    first += b" " * (-(len(first) + 1) % _ALIGNED) + b"\n"
    atomic.replace(path, first, *chunks)


def read(path: Path) -> dict[str, NDArray]:
    """The arrays of a file, mapped into memory; the checksum is checked when it is first opened.

    Raises
    ------
    DamagedError
        The file is missing or other than it was written.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise DamagedError(f"{path}: got no file, expected a part of the state") from None
    identity = (status.st_ino, status.st_mtime_ns, status.st_size)
    arrays = _opened.get(str(path), identity)
    if arrays is None:
        arrays = _checked(path)
        _opened.add(str(path), identity, arrays)
    return arrays


def _checked(path: Path) -> dict[str, NDArray]:
    try:
        with path.open("rb") as file:
            line = file.readline()
        header = json.loads(line)
        # numpy's own map keeps the file open: thousands, where a process may have 1,024.
        with pa.memory_map(str(path)) as mapped:
            data = np.frombuffer(mapped.read_buffer(), np.uint8)[len(line) :]
    except (ValueError, KeyError, OSError) as error:
        raise DamagedError(f"{path}: got {error}, expected the file as it was written") from error
    if zlib.crc32(data.data) != header["crc32"]:
        raise DamagedError(f"{path}: got another checksum than the file was written with")
    return {
        name: np.ndarray(tuple(shape), np.dtype(kind), data, at)
        for name, (kind, shape, at) in header["arrays"].items()
    }
