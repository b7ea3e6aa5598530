"""Card numbers are found and masked wherever they stand, and nothing else is."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from fraudlake.ingest import cards, checks

VISA, AMEX = "4111111111111111", "378282246310005"


def luhn(digits):
    """Sum of the digits, every second from the right doubled and its digits added, ends in 0."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def with_check_digit(body):
    return next(body + str(d) for d in range(10) if luhn(body + str(d)))


def numbers(text):
    """Every card number in a text, by trying all pairs of places."""
    found = []
    for start in range(len(text)):
        for end in range(start + 13, min(start + 38, len(text) + 1)):
            part = text[start:end]
            inside = (start == 0 or not text[start - 1].isdigit()) and not text[
                end : end + 1
            ].isdigit()
            if inside and re.fullmatch(r"\d([ -]?\d)*", part, re.ASCII):
                digits = re.sub("[ -]", "", part)
                if 13 <= len(digits) <= 19 and luhn(digits):
                    found.append(part)
    return found


card_numbers = st.text("0123456789", min_size=12, max_size=18).map(with_check_digit)


@st.composite
def separated(draw):
    """A card number with a space or a hyphen between some of its digits."""
    number = draw(card_numbers)
    marks = draw(st.lists(st.sampled_from(["", "", "", " ", "-"]), min_size=19, max_size=19))
    return "".join(d + m for d, m in zip(number[:-1], marks, strict=False)) + number[-1]


words = st.text("abcXYZ,:;'{}[]\"\\ é", max_size=12)
noise = st.text("0123456789 -abc", max_size=40)
crowded = st.text("0123456789" * 3 + " -", min_size=20, max_size=150)
texts = st.one_of(noise, crowded, st.tuples(words, separated(), words).map("".join))


def evaluate(spark, values, *columns):
    frame = spark.createDataFrame([(v,) for v in values], "text string")
    return frame.select(*columns).collect()


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(texts, min_size=60, max_size=60))
def test_no_card_number_is_left_and_other_text_stays(spark, values):
    rows = evaluate(spark, values, cards.mask(F.col("text")), checks.quoted(F.col("text")))
    for value, (masked, quoted) in zip(values, rows, strict=True):
        if not numbers(value):
            assert masked == value
        assert not numbers(masked)
        assert not numbers(quoted)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(separated(), min_size=40, max_size=40))
def test_a_masked_number_shows_its_first_six_and_last_four_digits(spark, values):
    rows = evaluate(
        spark, values, cards.mask(F.col("text")), cards.holds_card_number(F.col("text"))
    )
    for value, (masked, held) in zip(values, rows, strict=True):
        digits = re.sub("[ -]", "", value)
        assert held
        assert masked == digits[:6] + "*" * (len(digits) - 10) + digits[-4:]


@pytest.mark.parametrize(
    ("text", "masked", "held"),
    [
        (f"pay {VISA} now", "pay 411111******1111 now", True),
        ("4111-1111 1111-1111", "411111******1111", True),
        (f"{VISA} 123", "411111******1111 123", True),  # the code on the back
        (f"{VISA} 1234", "**************** 1234", True),  # 1111 1234 could go on to a number
        (f"{VISA} 12/27 and {AMEX}", "411111******1111 12/27 and 378282*****0005", True),
        (f'{{"n":{VISA}}}', '{"n":411111******1111}', True),
        (f"\\u0034{VISA[1:]} \\\\u0061", "411111******1111 \\\\u0061", False),  # as in JSON
        (f"{VISA} " * 101, ("*" * 16 + " ") * 101, True),
        (f"card{VISA}", "card411111******1111", False),  # a word: masked, but no card number
        ("4111111111111112", "4111111111111112", False),
        ("411111111111", "411111111111", False),
        (f"0{VISA}0000", f"0{VISA}0000", False),
        ("4111  1111  1111  1111", "4111  1111  1111  1111", False),
        ("4.111111111111111E15", "4.11111**********E15", False),  # as JSON may have a number
        ('{"n":4.0126666667E+12,"m":1.5E15}', '{"n":4.01266*****E+12,"m":1.5E15}', False),
        ("4.111111111111111E150", "4.111111111111111E150", False),
        ("", "", False),
        (None, None, None),
    ],
)
def test_examples(spark, text, masked, held):
    ours = (cards.mask(F.col("text")), cards.holds_card_number(F.col("text")))
    assert tuple(evaluate(spark, [text], *ours)[0]) == (masked, held)
