"""How numbers are written, from texts alone."""

from __future__ import annotations

import pytest

from fraudlake.profile.numbers import found


@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        (["12.50", "-3"], {}),
        (["1.5E-05", "2"], {}),
        (["$12.50", "$-3.10"], {"strip": ["$"]}),
        (["12,50", "3,1"], {"decimal": ","}),
        (["1.234,50 €", "3,10 €"], {"strip": ["€"], "decimal": ",", "thousands": "."}),
        (["1,234.50", "12.00"], {"thousands": ","}),
        (["(12.50)", "3.00"], {"negative": ["brackets"]}),
        (["12.50-", "3.00"], {"negative": ["trailing"]}),
    ],
)
def test_forms(texts, keys):
    form = found(texts)
    assert form.keys == keys
    assert not form.question


def test_a_comma_before_three_digits_is_a_question():
    assert "thousands" in found(["1,234", "12,500"]).question


@pytest.mark.parametrize(
    "texts", [["c1", "c2"], [], ["10:00"], ["a1", "b1", "c1", "d1", "e1", "f1"]]
)
def test_what_is_no_number(texts):
    assert found(texts) is None
