"""Which fields tell payments apart, and whom: the id, who pays and who is paid, the card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fraudlake.profile.kinds import Seen
from fraudlake.profile.roles import MONEY, Choice

_ID = {"id", "uuid", "guid", "key", "ref", "reference", "num", "no", "nr", "number", "rrn"}
_PAYMENT = {"tx", "trans", "tran", "transaction", "payment", "order", "event", "charge", "txn"}
_ROW = {"", "id", "index", "unnamed: 0", "_c0", "row", "rownum"}
_PERSON = {"ssn", "dob", "street", "email", "phone", "firstname", "lastname", "surname", "birth"}
_ENTITIES = {
    "card": ("card", "cc", "pan", "fingerprint"),
    "origin": ("orig", "origin", "payer", "sender", "debtor"),
    "dest": ("dest", "bene", "beneficiary", "payee", "receiver", "creditor"),
    "customer": ("customer", "cust", "client", "user", "member", "cardholder"),
    "merchant": ("merchant", "shop", "seller", "vendor", "store"),
    "terminal": ("terminal", "pos", "tid"),
    "device": ("device", "imei"),
    "account": ("account", "acct", "acc", "iban"),
    "ip": ("ip",),
}
_OF_ENTITIES = {"lat", "long", "lon", "city", "state", "zip", "country", "type", "category", "code",
                "brand", "year", "month", "last4", "mcc", "age", "balance", "present"}  # fmt: skip
_CARDS_BY = ("card", "account", "customer", "origin", "device", "merchant")
_UNIQUE_ENOUGH = 0.9
_MOST_OF_ONE_ID = 8
_TRIED_IDS = 6


def tx_id(fields: Sequence[Seen], time: Choice, doubles: Callable[[Sequence[str]], int]) -> Choice:
    """The id: a field without doubles, else as many fields as it takes."""
    kept = None
    for score, seen in _ids(fields, time)[:_TRIED_IDS]:
        more = doubles([seen.name])
        if not more:
            asked = (
                () if score > 3 else (f"{seen.name} has no doubles: is it the id of a payment?",)
            )
            keys = seen.as_id()
            why = f"a value of its own in each of {seen.field.records:,} records"
            return Choice((seen.name,), keys, why, asked)
        if score > 4 and not kept and more < seen.field.records / 2:
            unsure = (
                f"{seen.name} is there again in {more:,} records: later news of the same payment?"
            )
            kept = Choice((seen.name,), seen.as_id(), "by its name", (unsure,))
    return kept or _made(fields, time, doubles)


def _ids(fields: Sequence[Seen], time: Choice) -> list[tuple[float, Seen]]:
    entities = {word for words in _ENTITIES.values() for word in words}
    rated = []
    for seen in fields:
        field, name = seen.field, seen.name.lower()
        named = bool(seen.words & _ID) or name in _ROW
        enough = 0.4 if named else _UNIQUE_ENOUGH
        fits = field.present == field.records and field.distinct >= enough * field.records
        if not fits or seen.card_numbers or name in map(str.lower, time.sources):
            continue
        if (seen.plain and not seen.whole) or (seen.time and not named):
            continue
        score: float = (
            2 * bool(seen.words & _ID) + 2 * bool(seen.words & _PAYMENT) + 3 * (name in _ROW)
        )
        score += 2 * seen.hexadecimal + 2 * seen.sequential - 4 * bool(seen.words & _PERSON)
        score -= 3 * bool(seen.words & entities) + 6 * any(" " in text for text in field.texts[:50])
        score -= 0.5 * seen.depth + 2 * (field.longest < 8 and not named and not seen.sequential)
        rated.append((score + field.longest / 100, seen))
    return sorted((one for one in rated if one[0] >= 0), key=lambda one: -one[0])


def _made(fields: Sequence[Seen], time: Choice, doubles: Callable[[Sequence[str]], int]) -> Choice:
    """An id of several fields: the time first, then those that tell most records apart."""
    always = [f for f in fields if f.field.present == f.field.records]
    first = [f for f in always if f.name in time.sources]
    rest = [f for f in always if f not in first and f.field.distinct > 1]
    rest.sort(key=lambda f: (not (f.words & MONEY.keys() or entity(f)), -f.field.distinct))
    chosen, more = [f.name for f in first], 1
    for seen in rest:
        if len(chosen) >= len(first) + 2 and not (more := doubles(chosen)):
            break
        if len(chosen) == _MOST_OF_ONE_ID:
            break
        chosen.append(seen.name)
    more = doubles(chosen) if more and chosen else more
    if not chosen:
        return Choice((), {}, "", ("no field tells payments apart: which is the id?",))
    keys: dict[str, Any] = {"type": "string", "token": True}
    asked = ["no field is an id, so it is made of several: is there one elsewhere?"]
    if more:
        keys["repeats"] = "in_file"
        asked.append(f"{more:,} records are equal in {', '.join(chosen)}: payments of their own?")
    return Choice(
        tuple(chosen), keys, "no field has a value of its own in each record", tuple(asked)
    )


def entity(seen: Seen) -> str:
    """Whom a field tells apart, by its name; empty: nobody."""
    field = seen.field
    if (
        seen.words & _OF_ENTITIES
        or seen.flag
        or field.distinct < 2
        or (seen.plain and not seen.whole)
    ):
        return ""
    whom = next((name for name, words in _ENTITIES.items() if seen.words & set(words)), "")
    return "card" if seen.card_numbers else whom


def card(entities: Mapping[str, Seen]) -> tuple[str | None, str]:
    """Which entity stands for a card, and what is to be asked about it."""
    whom = next((name for name in _CARDS_BY if name in entities), None)
    payers = [entities[n] for n in ("customer", "account") if n in entities]
    if whom == "card" and payers:
        held, payer = entities["card"], payers[0]
        if held.field.distinct < payer.field.distinct / 2:  # one of a person's cards, by number
            asked = (
                f"{held.name} has fewer values than {payer.name}: is it a card only beside that? A "
                "column of both would be `source: [" + f"{payer.name}, {held.name}" + "]`."
            )
            return ("customer" if "customer" in entities else "account"), asked
    return whom, ""


def personal(seen: Seen) -> bool:
    """Whether a field is about a person and tells nothing of a payment."""
    return bool(seen.words & _PERSON) or seen.words in (
        {"first"},
        {"last"},
        {"first", "name"},
        {"last", "name"},
    )
