"""What each field of made-up records is taken for, and what is asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml
from tests.profile.made import NOW, field, table

from fraudlake.profile import propose
from fraudlake.profile.kinds import Seen, column_name

N = 60
START = NOW - timedelta(days=90)
TIMES = [f"{START + timedelta(hours=7 * n):%Y-%m-%dT%H:%M:%SZ}" for n in range(N)]
MONEY = [f"{(n * 37) % 97 + 1}.{(n * 13) % 100:02}" for n in range(N)]
CARDS = [f"c{n * 7 % 23}" for n in range(N)]
FRAUD = [int(n % 17 == 0) for n in range(N)]
PLAIN = {"id": range(N), "time": TIMES, "amount": MONEY, "card": CARDS, "fraud": FRAUD}


def look(**columns):
    fields, doubles = table(**{name: v for name, v in (PLAIN | columns).items() if v is not None})
    return propose.propose("csv", {}, fields, doubles, NOW)


def asks(found, *words):
    return any(all(word in question for word in words) for question in found.questions)


def test_plain_records_leave_one_question():
    found = look()
    assert {name: column["source"] for name, column in found.columns.items()} == {
        "tx_id": "id", "event_time": "time", "amount": "amount", "card": "card",
    }  # fmt: skip
    assert found.columns["tx_id"]["type"] == "bigint"
    assert (found.entities, found.card) == ({"card": "card"}, "card")
    assert found.label == {"source": "fraud", "delay": "30d"}
    assert len(found.questions) == 1
    assert asks(found, "final")


@pytest.mark.parametrize(
    ("ids", "keys"),
    [
        ([f"T-{n:06}" for n in range(N)], {"type": "string"}),
        ([f"{n:012}" for n in range(N)], {"type": "string"}),
        ([10**15 + n for n in range(N)], {"type": "bigint", "token": True}),
    ],
)
def test_ids(ids, keys):
    assert look(id=ids).columns["tx_id"] == {"source": "id"} | keys


def test_an_id_of_an_unknown_name():
    found = look(id=None, Beleg=[f"B-{n:05}" for n in range(N)])
    assert found.columns["tx_id"] == {"source": "Beleg", "type": "string"}
    assert asks(found, "Beleg has no doubles")


def test_without_an_id_fields_are_joined():
    found = look(id=None)
    assert found.columns["tx_id"] == {
        "source": ["time", "amount", "card"], "type": "string", "token": True,
    }  # fmt: skip
    assert asks(found, "no field is an id")
    twice = look(id=None, time=TIMES[:30] * 2, amount=MONEY[:30] * 2, card=CARDS[:30] * 2,
                 fraud=FRAUD[:30] * 2)  # fmt: skip
    assert twice.columns["tx_id"]["repeats"] == "in_file"
    assert asks(twice, "30 records are equal")


def test_an_id_that_comes_twice_is_asked_about():
    found = look(id=[*range(N - 2), 1, 2])
    assert found.columns["tx_id"]["source"] == "id"
    assert asks(found, "id is there again in 2 records")


def test_the_time_of_the_payment_is_not_that_of_the_person():
    born = [f"19{60 + n % 40}-03-0{n % 9 + 1}" for n in range(N)]
    found = look(dob=born, signup_time=TIMES[::-1])
    assert found.columns["event_time"]["source"] == "time"
    assert "dob" in found.ignore


def test_times_of_several_fields():
    days, clocks = [t[:10] for t in TIMES], [t[11:19] for t in TIMES]
    found = look(time=None, day=days, clock=clocks)
    assert found.columns["event_time"] == {"source": ["day", "clock"], "type": "timestamp"}
    assert asks(found, "timezone")
    parts = {"Year": [t[:4] for t in TIMES], "Month": [int(t[5:7]) for t in TIMES],
             "Day": [int(t[8:10]) for t in TIMES], "Time": [t[11:16] for t in TIMES]}  # fmt: skip
    found = look(time=None, **parts)
    assert found.columns["event_time"]["source"] == list(parts)
    assert found.columns["event_time"]["pattern"] == "yyyy M d HH:mm"


def test_steps_since_an_origin_are_asked_about():
    found = look(time=None, step=sorted(n // 3 for n in range(N)))
    assert found.columns["event_time"]["unit"] == "h"
    assert asks(found, "origin")


def test_what_is_not_there_is_asked_for_and_the_yaml_is_written():
    found = look(time=None, amount=None, fraud=None)
    assert found.columns["event_time"]["source"] == found.columns["amount"]["source"] == "?"
    for words in (["no field is a time"], ["no field is an amount"], ["no field is a label"]):
        assert asks(found, *words)


@pytest.mark.parametrize(
    ("change", "keys"),
    [
        (lambda t: f"${t}", {"strip": ["$"]}),
        (lambda t: t.replace(".", ","), {"decimal": ","}),
        (lambda t: f"-{t}", {"signed": True}),
        (lambda t: f"{t}7", {"round": "half_even"}),
        (lambda t: t.replace(".", "").zfill(12), {"scale": 2}),
        (lambda t: str(int(t.replace(".", "")) + 130), {"scale": 2}),
    ],
)
def test_money(change, keys):
    found = look(amount=[change(text) for text in MONEY])
    column = {"source": "amount", "type": "decimal(18,2)"}
    assert found.columns["amount"] == column | keys


def test_minor_units_go_by_the_currency_that_stands_beside():
    found = look(amount=[t.replace(".", "").zfill(12) for t in MONEY], cur=["978"] * N)
    assert found.columns["amount"]["scale"] == "cur"
    assert found.columns["cur"] == {"source": "cur", "type": "string"}


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("No", "Yes"), {"true": ["Yes"], "false": ["No"]}),
        (("-1", "1"), {"false": ["-1"]}),
        (("genuine", "fraud"), {"true": ["fraud"], "false": ["genuine"]}),
        (("False", "True"), {}),
    ],
)
def test_labels(words, keys):
    found = look(fraud=[words[n] for n in FRAUD])
    assert found.label == {"source": "fraud"} | keys | {"delay": "30d"}


def test_a_verdict_that_is_not_there():
    found = look(fraud=["pending" if n % 5 == 0 else str(f) for n, f in enumerate(FRAUD)])
    assert found.label["unknown"] == ["pending"]
    assert asks(found, "pending")


def test_a_flag_of_another_name_is_asked_about():
    found = look(fraud=None, marked=FRAUD)
    assert found.label is None
    assert asks(found, "is marked the label")


def test_card_numbers_are_hashed_and_shown_nowhere():
    pan = "4111111111111111"
    numbers = [("4111111111111111", "5500005555555559", "340000000000009")[n % 3] for n in range(N)]
    notes = [f"paid by {pan} and something more" for _ in range(N)]
    found = look(card=numbers, notes=notes)
    assert found.columns["card"] == {"source": "card", "type": "string", "hash": True}
    assert "notes" in found.ignore
    assert asks(found, "CARD_KEY")
    assert pan not in propose.text(found, f"files/{pan}", N)


def test_null_words():
    cards = [None if n % 10 == 0 else "NULL" if n % 9 == 0 else c for n, c in enumerate(CARDS)]
    ages = ["-" if n % 8 == 0 else str(20 + n) for n in range(N)]
    found = look(card=cards, age=ages)
    assert found.nulls == ["NULL"]
    assert found.columns["card"] == {"source": "card", "type": "string", "required": False}


def test_a_number_within_a_customer_is_no_card():
    found = look(card=[n % 3 for n in range(N)], user=[f"u{n % 20}" for n in range(N)])
    assert found.card == "user"
    assert asks(found, "fewer values")


def test_changes_of_rows():
    found = look(__op=["c"] * N, __deleted=["false"] * N)
    assert found.record == {"where": {"__op": ["c"], "__deleted": ["false"]}}


def test_the_yaml_says_why():
    text = propose.text(look(fraud=[("No", "Yes")[n] for n in FRAUD]), "files", N)
    assert "# ? " in text
    assert "4 frauds of 60" in text
    assert yaml.safe_load(text)["columns"]["tx_id"]["type"] == "bigint"


def test_what_values_are_in_words():
    said = {name: Seen(field(name, values), NOW).said() for name, values in PLAIN.items()}
    assert said["time"] == "times (ISO 8601)"
    assert said["id"] == "whole numbers"
    assert said["amount"] == "numbers"
    assert said["fraud"] == "yes and no"


def test_names_of_columns_are_free():
    assert column_name("label", []) == "label_field"
    assert column_name("labels", []) == "labels_field"
    assert column_name("amount", []) == "amount_2"
    assert column_name("oldBalance", []) == "old_balance"
