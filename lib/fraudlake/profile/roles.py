"""Which field is what: the time, the money, the label.

Values decide what a field can be, words of its name which of several it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from fraudlake.profile import numbers, times
from fraudlake.profile.kinds import FALSE, TRUE, Seen, joined
from fraudlake.writing import currency_digits

_TIME = {"time", "date", "datetime", "timestamp", "ts", "created", "posted", "occurred", "when",
         "purchase", "transaction", "trans", "tran", "tx", "event", "day"}  # fmt: skip
_OTHER_TIME = {"birth", "dob", "signup", "sign", "open", "opened", "expiry", "exp", "expires",
               "updated", "modified", "closed", "known", "reported", "settled", "ingested",
               "registered", "joined", "chargeback", "first", "last", "received"}  # fmt: skip
KNOWN = {"known", "closed", "reported", "resolved", "confirmed", "chargeback", "decided", "label"}
MONEY = {"amount": 6, "amt": 6, "betrag": 6, "montant": 6, "importe": 6, "value": 4, "price": 4,
          "total": 3, "sum": 3, "paid": 2}  # fmt: skip
_NO_MONEY = {"balance", "oldbalance", "newbalance", "lat", "long", "lon", "latitude", "longitude",
             "zip", "pop", "age", "id", "score", "risk", "rate", "year", "month", "code", "mcc",
             "num", "card", "ip", "step", "fee", "tax", "count", "version"}  # fmt: skip
_LABEL = {"fraud": 4, "fraudulent": 4, "label": 3, "target": 3, "sar": 3, "chargeback": 2,
          "class": 2, "verdict": 2, "isfraud": 4}  # fmt: skip
_NO_LABEL = {"flagged", "predicted", "prediction", "score", "prob", "type", "details", "outcome"}
_VERDICTS = {"fraud", "fraudulent", "genuine", "legit", "legitimate", "nonfraud", "non-fraud"}
_UNDECIDED = {"pending", "open", "review", "undecided", "unlabelled", "unlabeled", "unknown", "?"}
_STEPS = (("d", {"day", "days"}), ("h", {"step", "hour", "hours"}), ("min", {"minute", "minutes"}))


class Choice(NamedTuple):
    """What a role is given to.

    Attributes
    ----------
    sources
        Fields; none where nothing fits.
    keys
        What the column says beside them.
    why
        Counts that speak for it.
    questions
        What only the owner of the files knows.
    """

    sources: tuple[str, ...]
    keys: dict[str, Any]
    why: str
    questions: tuple[str, ...] = ()


def event_time(fields: Sequence[Seen]) -> Choice:
    """The time of a payment: a field, several joined, or a count of steps."""
    tried = [([seen], seen.time, 0) for seen in fields]
    tried += [(parts, times.found(joined(parts), parts[0].now), 2) for parts in _joinable(fields)]
    rated = [(_time_score(parts, form) + more, parts, form) for parts, form, more in tried if form]
    rated.sort(key=lambda one: -one[0])
    if not rated or rated[0][0] < 3:
        return _counted(fields)
    score, parts, form = rated[0]
    names = tuple(part.name for part in parts)
    order = times.order(joined(parts), form, parts[0].now)
    why = f"{form.share:.0%} of the sample can be read, {order:.0%} of it not before the last one"
    asked = []
    if form.other:
        asked.append(f"{names[0]}: is it {form.keys.get('pattern')}, or {form.other}? Both fit.")
    if not form.zoned:
        asked.append(
            f"{' '.join(names)} has no offset: in which `timezone` are its clocks? UTC is assumed."
        )
    if form.keys.get("year"):
        asked.append(f"{names[0]} has no year: the latest that is not after the arrival is taken")
    if not form.timed:
        asked.append(f"{names[0]} is a day without an hour: is there a field with the clock?")
    others = [" ".join(p.name for p in one) for rate, one, _ in rated[1:] if rate >= score - 2]
    if others := [name for name in others if name not in names]:
        asked.append(
            f"{', '.join(others)} would be a time too: is {' '.join(names)} that of the payment?"
        )
    return Choice(names, form.keys, why, tuple(asked))


def _time_score(parts: Sequence[Seen], form: times.Form) -> float:
    words: set[str] = set().union(*(part.words for part in parts))
    order = times.order(joined(parts)[:1000], form, parts[0].now)
    score: float = 3 * bool(words & _TIME) - 5 * bool(words & _OTHER_TIME)
    score += ("purchase" in words) + 2 * form.timed + form.zoned + (not form.number)
    score += 2 if order > 0.98 else order > 0.8
    digits = form.number or parts[0].plain
    if digits and not words & _TIME and order <= 0.98:
        score -= 4
    if any(part.field.nulls > 0.02 for part in parts):
        score -= 4
    if form.keys.get("year"):
        score -= 2
    return score + (parts[0].field.distinct > parts[0].field.present / 2) - 0.5 * parts[0].depth


def _joinable(fields: Sequence[Seen]) -> list[list[Seen]]:
    """Fields that make a time together: a day and a clock; year, month, day, and a clock."""
    clocks = [f for f in fields if f.field.texts and all(map(times.CLOCK.match, f.field.texts))]
    days = [[f] for f in fields if f.time and not f.time.timed and not f.time.number]
    parts = [
        [f for f in fields if f.whole and word in f.words] for word in ("year", "month", "day")
    ]
    if all(parts):
        days.append([part[0] for part in parts])
    return (
        [*days[1:], *([*day, clock] for day in days for clock in clocks)]
        if clocks
        else [day for day in days if day[1:]]
    )


def _counted(fields: Sequence[Seen]) -> Choice:
    """A number that grows from record to record, since a day that is not in the data."""
    words = {"step", "time", "hour", "day", "second", "seconds", "elapsed", "minute"}
    fit = [f for f in fields if f.plain and f.order > 0.98 and not f.sequential and f.words & words]
    if not fit:
        return Choice((), {}, "", ("no field is a time: which is that of the payment?",))
    name, here = fit[0].name, fit[0].words
    unit = next((unit for unit, said in _STEPS if here & said), "s")
    why = f"from {fit[0].field.lowest:g} to {fit[0].field.highest:g}, and never falls"
    asked = f"{name} counts {unit} since a day that is not in the data: which `origin`, which unit?"
    return Choice((name,), {"unit": unit, "origin": "2000-01-01"}, why, (asked,))


def amount(fields: Sequence[Seen], currency: Seen | None) -> Choice:
    """The money, with how it is written."""
    rated = [(_money_score(f, f.number), f, f.number) for f in fields if f.number]
    rated.sort(key=lambda one: -one[0])
    if not rated or rated[0][0] < 2:
        return Choice(
            (), {}, "", ("no field is an amount: which is the money paid? (none: no such column)",)
        )
    score, best, form = rated[0]
    field = best.field
    keys, asked = dict(form.keys), [f"{best.name}: {form.question}"] if form.question else []
    if len(rated) > 1 and rated[1][0] >= score - 1:
        asked.append(f"{rated[1][1].name} would be an amount too: is {best.name} the money paid?")
    values = sorted(best.values)
    why = f"from {values[0]:g} to {values[-1]:g} in the sample" if values else ""
    if field.negative or any(value < 0 for value in values):
        keys["signed"] = True
        asked.append(f"{best.name} is negative in some records: are these refunds?")
    if field.fine:
        keys["round"] = "half_even"
        asked.append(f"{best.name} has more than two decimals in {field.fine} records: round them?")
    if minor := _minor(best, currency):
        keys["scale"] = minor
        asked.append(f"{best.name} has whole numbers: are they minor units, such as cents?")
    return Choice((best.name,), keys, why, tuple(asked))


def _money_score(seen: Seen, form: numbers.Form) -> float:
    words, field = seen.words, seen.field
    score: float = max((rate for word, rate in MONEY.items() if word in words), default=0)
    score -= 6 * bool(words & _NO_MONEY) + 5 * seen.flag + 3 * (field.distinct < 3)
    score -= 4 * (seen.sequential or bool(seen.time and not form.keys)) + 4 * seen.card_numbers
    score += 4 * bool(form.keys.get("strip"))
    fractions = [text for text in field.texts if re.search(r"[.,]\d", text)]
    if fractions:
        score += 3 if field.fine < field.present / 10 else -3
    if _padded(seen):
        score += 3 - 5 * (seen.order > 0.98)
    longest = max((len(text) for text in fractions), default=0)
    return score - 4 * (longest > 14) - 0.1 * seen.depth - 3 * (field.nulls > 0.02)


def _padded(seen: Seen) -> bool:
    field = seen.field
    lengths = {len(text) for text in field.texts}
    return field.whole == field.present and bool(field.zero_led) and lengths == {12}


def _minor(seen: Seen, currency: Seen | None) -> str | int | None:
    """Where whole numbers look like minor units: the currency's name, or two digits."""
    values = sorted(seen.values)
    if seen.number is None or seen.number.keys or seen.field.whole < seen.field.present:
        return None
    uneven = sum(value % 50 != 0 for value in values) > 0.8 * len(values)
    if _padded(seen) or (uneven and values[-1] >= 1000 and values[len(values) // 2] >= 200):
        return currency.name if currency else 2
    return None


def currency(fields: Sequence[Seen]) -> Seen | None:
    """A field that is a code of ISO 4217 in every record."""
    known = currency_digits()
    for seen in fields:
        texts = set(seen.field.texts)
        codes = texts and all(text.upper() in known and len(text) == 3 for text in texts)
        named = not seen.plain or len(texts) == 1 or "currency" in seen.words
        if codes and named and seen.few and not seen.field.nulls:
            return seen
    return None


def label(fields: Sequence[Seen]) -> Choice:
    """The verdict, with its words."""
    rated = sorted(((_label_score(f), f) for f in fields), key=lambda one: -one[0])
    if rated and rated[0][0] >= 2:
        return _verdict(rated[0][1])
    flags = [f for f in fields if f.flag and len(f.few) == 2]
    asked = [f"is {f.name} the label? It holds {' and '.join(f.few)}." for f in flags[:5]]
    return Choice((), {}, "", tuple(asked or ["no field is a label: do verdicts come elsewhere?"]))


def _label_score(seen: Seen) -> float:
    words = {text.lower() for text in seen.few}
    if not words or not words & (TRUE | FALSE):
        return 0
    score: float = max((rate for word, rate in _LABEL.items() if word in seen.words), default=0)
    score += 4 * bool(words & _VERDICTS) - 4 * bool(seen.words & _NO_LABEL) - 0.1 * seen.depth
    return score


def _verdict(seen: Seen) -> Choice:
    said = {text.lower(): times for text, times in seen.field.top}
    frauds = sum(times for word, times in said.items() if word in TRUE)
    keys: dict[str, Any] = dict(seen.flag_keys())
    unknown = [word for word in seen.few if word.lower() not in TRUE | FALSE]
    unknown += [word for word in seen.field.words if word.lower() in _UNDECIDED]
    asked = [f"{seen.name}: does {word} mean no verdict yet?" for word in unknown]
    if unknown:
        keys["unknown"] = unknown
    if not frauds:
        asked.append(
            f"{seen.name} has no fraud in these files: is it the label, what word is fraud?"
        )
    why = f"{frauds:,} frauds of {seen.field.present:,}"
    return Choice((seen.name,), keys, why, tuple(asked))
