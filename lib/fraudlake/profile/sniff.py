"""How files of text are written, from how they begin: encoding, JSON or CSV, delimiter, header."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from fraudlake.ingest import cards

_DELIMITERS = (",", ";", "\t", "|")
_QUOTING = (('"', None), ('"', "\\"), ("'", None), ("", None))  # quote and escape, usual ones first
_MARKS = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
          b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8"}  # fmt: skip
_ALIKE = 0.98
# What is no name: a number or a time, signs and a word of a currency beside it.
_VALUE = re.compile(
    r"^\W*(?:[A-Z]{3}\s?)?\d[\d.,:/ TZ'+-]*(?:E[+-]?\d+)?\W*$|^[0-9A-Fa-f-]{32,36}$"
)


class Written(NamedTuple):
    """How files of text are written.

    Attributes
    ----------
    format
        `csv` or `jsonl`.
    files
        The block `files` of a data set: the keys that are not as usual.
    names
        Fields of CSV, by position; of JSON lines none.
    questions
        What only the owner of the files knows.
    """

    format: str
    files: dict[str, Any]
    names: tuple[str, ...]
    questions: tuple[str, ...] = ()


def written(beginning: bytes, whole: bool) -> Written | None:
    """How a file is written that begins so; None where no line is whole, or there is none.

    Parameters
    ----------
    whole
        Whether that is all of the file: else its last line may be cut.
    """
    codec, said = encoding(beginning, whole)
    files: dict[str, Any] = {} if codec == "utf-8" else {"encoding": codec}
    lines = lines_of(beginning, codec, whole)
    if not lines:
        return None
    if is_json(lines):
        return Written("jsonl", files, (), said)
    if lines[0].startswith("#"):
        files["comment"] = "#"
        lines = [line for line in lines if not line.startswith("#")]
        if not lines:
            return None
    delimiter, quote, escape = dialect(lines)
    usual = {"delimiter": (delimiter, ","), "quote": (quote, '"'), "escape": (escape, None)}
    files |= {key: found for key, (found, normal) in usual.items() if found != normal}
    rows = [row for line in lines if (row := split(line, delimiter, quote, escape))]
    if has_header(rows):
        return Written("csv", files, tuple(name.strip() for name in rows[0]), said)
    names = tuple(f"field{number}" for number in range(1, len(rows[0]) + 1))
    asked = (
        "the files have no header, or it could not be told from the records: what are the fields?"
    )
    return Written("csv", files | {"header": False, "names": list(names)}, names, (*said, asked))


def encoding(beginning: bytes, whole: bool = True) -> tuple[str, tuple[str, ...]]:
    """The encoding of a text that begins so, and what is to be asked about it.

    Examples
    --------
    >>> encoding("id;é".encode("utf-16"))
    ('utf-16', ())
    """
    for mark, codec in _MARKS.items():
        if beginning.startswith(mark):
            return codec, ()
    if (zeros := beginning[1::2].count(0)) > len(beginning) / 5:
        return "utf-16-le", ()
    if zeros == 0 and beginning[::2].count(0) > len(beginning) / 5:
        return "utf-16-be", ()
    for cut in range(1 if whole else 4):  # a character may be cut at the end
        try:
            beginning[: len(beginning) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return "utf-8", ()
    return "windows-1252", ("the text is no UTF-8: is it windows-1252, or another code page?",)


def lines_of(beginning: bytes, codec: str, whole: bool) -> list[str]:
    """The lines that are not blank; without the last one, which may be cut."""
    text = beginning.decode(codec, "replace").removeprefix("\ufeff")
    lines = re.split(r"\r\n|\n|\r", text)
    return [line for line in (lines if whole else lines[:-1]) if line.strip()]


def is_json(lines: Sequence[str]) -> bool:
    """True where nearly every line is a JSON object."""
    if not lines[0].lstrip().startswith("{"):
        return False
    return sum(_is_object(line) for line in lines) >= len(lines) / 2


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def split(line: str, delimiter: str, quote: str, escape: str | None) -> list[str] | None:
    """The fields of a line, None where its quotes do not fit."""
    quoting: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    how = {"delimiter": delimiter, "doublequote": not escape, "escapechar": escape, **quoting}
    try:
        return next(csv.reader([line], strict=True, **how))
    except (csv.Error, StopIteration):
        return None


def dialect(lines: Sequence[str]) -> tuple[str, str, str | None]:
    """Delimiter, quote and escape that cut the lines into the most fields, equally many in each.

    Examples
    --------
    >>> dialect(["id;amount;shop", "1;2,50;'a;b'", "2;3,50;'c'"])
    (';', "'", None)
    """

    def fits(how: tuple[str, str, str | None]) -> tuple[bool, int, float, float]:
        rows = [split(line, *how) for line in lines]
        widths = Counter(len(row) for row in rows if row)
        width, times = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        cells = [cell for row in rows if row for cell in row]
        whole = sum(not any(mark in cell for mark in ";\t|") for cell in cells)
        bare = sum(
            not (len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "\"'") for cell in cells
        )
        share = times / len(lines)
        alike = share >= _ALIKE and len(rows[0] or ()) == width
        return alike, width if alike else 0, share, (whole + bare) / max(len(cells), 1)

    return max(((d, *how) for how in _QUOTING for d in _DELIMITERS), key=fits)


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the fields: no value is in it, and no name is there twice."""
    first = [cell.strip() for cell in rows[0]]
    if len(set(first)) < len(first) or any(map(cards.found_in, first)):
        return False
    return not any(_VALUE.match(cell) for cell in first)
