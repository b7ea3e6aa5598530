"""How files of text are written, from their first bytes."""

from __future__ import annotations

import pytest

from fraudlake.profile.sniff import written

ROWS = ["id,time,amount,shop", "1,2024-01-01 10:00:00,12.50,a", "2,2024-01-01 10:01:00,3.00,b"]


def look(lines, codec="utf-8", end="\n"):
    return written(end.join([*lines, ""]).encode(codec), whole=True)


def test_plain_csv_needs_no_keys():
    found = look(ROWS, end="\r\n")
    assert (found.format, found.files, found.questions) == ("csv", {}, ())
    assert found.names == ("id", "time", "amount", "shop")


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_a_delimiter_is_found_beside_decimal_commas(delimiter):
    rows = [line.replace(",", delimiter).replace(".", ",") for line in ROWS]
    assert look(rows).files == {"delimiter": delimiter}


def test_without_a_header_fields_are_named_by_position():
    found = look(ROWS[1:])
    assert found.files == {"header": False, "names": [f"field{n}" for n in range(1, 5)]}
    assert "no header" in found.questions[0]


def test_a_card_number_in_the_first_line_is_no_name():
    assert look(["shop,card 4111 1111 1111 1111", "a,b"]).files["header"] is False


@pytest.mark.parametrize(
    ("last", "files"),
    [
        ('"a, b"', {}),
        ('"say ""a, b"""', {}),
        (r'"say \"a, b\""', {"escape": "\\"}),
        ("'a, b'", {"quote": "'"}),
    ],
)
def test_quotes(last, files):
    assert look([*ROWS, *[f"{n},2024-01-01 10:00:00,1.00,{last}" for n in range(9)]]).files == files


@pytest.mark.parametrize("codec", ["utf-16", "windows-1252"])
def test_encodings(codec):
    found = look([*ROWS, "3,2024-01-01 10:02:00,1.00,Café"], codec)
    assert found.files == {"encoding": codec}
    assert bool(found.questions) == (codec == "windows-1252")


def test_a_line_that_is_cut_counts_for_nothing():
    assert written(b"id,amount\n1,2.50\n2,", whole=False).names == ("id", "amount")
    assert written(b"id,amou", whole=False) is None
    assert written(b"\n\n", whole=True) is None


def test_comments_and_json():
    assert look(["# made by us", *ROWS]).files == {"comment": "#"}
    assert look(['{"a": 1}', '{"a": 2}']).format == "jsonl"
