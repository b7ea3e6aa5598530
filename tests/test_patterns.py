"""Patterns of times as regular expressions."""

import re

import pytest

from fraudlake import patterns


def test_optional_parts_are_patterns_of_their_own():
    found = patterns.compiled("yyyy-MM-dd[ HH:mm[:ss]]")
    texts = ["2024-01-02 03:04:05", "2024-01-02 03:04", "2024-01-02", "2024-01-02 03"]
    hits = [[bool(re.match(p.regex, text)) for p in found].count(True) for text in texts]
    assert hits == [1, 1, 1, 0]


def test_quoted_letters_stand_for_themselves():
    (found,) = patterns.compiled("dd 'of ['MM'], o''clock' yyyy")
    assert re.match(found.regex, "04 of [07], o'clock 2024")
    (found,) = patterns.compiled("yyyy-MM-dd'T'HH:mm:ss.SSSX")
    assert re.match(found.regex, "2024-01-02T03:04:05.6+02:00")[found.groups["offset"]] == "+02:00"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("HH:mm", "a month and a day"),
        ("yyyy-QQ-dd", "QQ is none"),
        ("yyyy-MM-dd hh:mm", "half of the day"),
        ("yyyy-MM-dd a", "half of the day"),
        ("yyyy-MM-dd MM", "MM reads a second month"),
        ("yyyy-MM-dd HH:mm VV", "an offset (X) beside"),
        ("yyyyyy-MM-dd", "yyyyyy is none"),
    ],
)
def test_what_is_no_pattern(pattern, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        patterns.compiled(pattern)
