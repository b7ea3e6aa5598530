"""The data set's YAML for files that nobody has described, with why, and what is to be asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import yaml

from fraudlake.ingest import cards
from fraudlake.profile import identity, kinds, roles
from fraudlake.profile.counts import Field
from fraudlake.profile.kinds import Seen
from fraudlake.profile.roles import Choice
from fraudlake.words import listed

_NOWHERE = "?"  # the source of what nobody could find
_DELAY = "30d"
_SECRET = "CARD_KEY"  # noqa: S105  # the name of an environment variable
_MOST_COLUMNS = 80
_CHANGES = ({"op", "__op"}, {"c", "r", "u", "d"})


@dataclass
class Proposal:
    """A data set, key by key.

    Attributes
    ----------
    columns, label
        As the YAML has them; the label without `known_at` where none is told.
    why
        Column, `label` or field → what speaks for it.
    ignore
        Fields that are left out.
    questions
        What only the owner of the files knows.
    forms
        Field → what its values are, in words.
    doubles
        Fields that an id was tried of → records beyond the first that are equal in them.
    """

    format: str
    files: dict[str, Any]
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    entities: dict[str, str] = field(default_factory=dict)
    card: str | None = None
    label: dict[str, Any] | None = None
    nulls: list[str] = field(default_factory=list)
    record: dict[str, Any] | None = None
    ignore: list[str] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
    questions: list[str] = field(default_factory=list)
    forms: dict[str, str] = field(default_factory=dict)
    doubles: dict[str, int] = field(default_factory=dict)

    @property
    def hashes(self) -> bool:
        """Whether card numbers are hashed, for which a secret is needed."""
        return any(column.get("hash") for column in self.columns.values())

    def roles(self) -> dict[str, str]:
        """Field → what it is in the data set."""
        found: dict[str, str] = {}
        for name, column in self.columns.items():
            for source in listed(column["source"]):
                found[source] = f"{found[source]}, {name}" if source in found else name
        if self.label:
            found[self.label["source"]] = "label"
        return found


def propose(
    kind: str,
    files: dict[str, Any],
    fields: Sequence[Field],
    doubles: Callable[[Sequence[str]], int],
    now: datetime,
) -> Proposal:
    """Say what each field is.

    Parameters
    ----------
    doubles
        Records beyond the first that are equal in some fields (`counts.doubles`).
    now
        What is later is no time of a payment.
    """
    seen = [Seen(one, now) for one in fields if one.present]
    found = Proposal(kind, files, nulls=kinds.everywhere(fields))
    found.forms |= {one.name: one.said() for one in seen}

    def counted(names: Sequence[str]) -> int:
        more = doubles(names)
        found.doubles[", ".join(names)] = more
        return more

    found.ignore += [one.name for one in fields if not one.present]
    found.why |= dict.fromkeys(found.ignore, "always empty")
    time = roles.event_time(seen)
    currency = roles.currency(seen)
    rest = [one for one in seen if one.name not in time.sources]
    money = roles.amount(rest, currency)
    rest = [one for one in rest if one.name not in money.sources]
    verdict = roles.label(rest)
    others = [one for one in seen if one.name not in (*money.sources, *verdict.sources)]
    key = identity.tx_id(_first(others, seen, money, verdict), time, counted)
    for name, choice, sql_type in (
        ("tx_id", key, "string"),
        ("event_time", time, "timestamp"),
        ("amount", money, "decimal(18,2)"),
    ):
        _essential(found, name, choice, sql_type)
    _changes(found, seen)
    _verdict(found, verdict, rest)
    used = {*money.sources, *verdict.sources, *time.sources}
    used |= set(key.sources) if len(key.sources) == 1 else set()
    _columns(found, [one for one in seen if one.name not in used], currency)
    named = {one.name: one for one in seen}
    whom = {e: named[str(found.columns[c]["source"])] for e, c in found.entities.items()}
    payer, asked = identity.card(whom)
    found.card = found.entities[payer] if payer else None
    found.questions += [asked] if asked else []
    _ask_cards(found, seen)
    return found


def _first(
    others: Sequence[Seen], seen: Sequence[Seen], money: Choice, verdict: Choice
) -> list[Seen]:
    """Fields an id may be made of: the amount too, which is none by itself; never the label."""
    paid = [one for one in seen if one.name in money.sources and one.name not in verdict.sources]
    return [*others, *[one for one in paid if not one.whole]]


def _essential(found: Proposal, name: str, choice: Choice, sql_type: str) -> None:
    source = list(choice.sources) or [_NOWHERE]
    keys = {"type": sql_type} | choice.keys
    found.columns[name] = {"source": source[0] if len(source) == 1 else source} | keys
    found.why[name] = choice.why or "not found"
    found.questions += choice.questions


def _verdict(found: Proposal, verdict: Choice, rest: Sequence[Seen]) -> None:
    found.questions += verdict.questions
    if not verdict.sources:
        return
    (source,) = verdict.sources
    found.label = {"source": source} | verdict.keys
    closed = [one for one in rest if one.words & roles.KNOWN and one.name != source and one.time]
    if closed and closed[0].time:
        found.label["known_at"] = {"source": closed[0].name} | closed[0].time.keys
        found.questions.append(f"is {closed[0].name} when the verdict of {source} became known?")
    found.label["delay"] = _DELAY
    found.why["label"] = verdict.why
    found.questions.append(f"after how long is a verdict in {source} final? {_DELAY} is assumed.")


def _changes(found: Proposal, seen: Sequence[Seen]) -> None:
    """Messages that say what happened to a row."""
    where: dict[str, Any] = {}
    for one in seen:
        step = one.name.rpartition(".")[2]
        if step in _CHANGES[0] and set(one.few) and set(one.few) <= _CHANGES[1]:
            where[one.name] = [word for word in ("c", "r", "u") if word in one.few] or ["c"]
        elif step == "__deleted" and one.flag:
            where[one.name] = ["false"]
    if where:
        found.record = {"where": where}
        found.ignore += [name for name in where if name not in found.ignore]
        found.questions.append("the records are changes of rows: are updates news of a payment?")
    for one in seen:
        if one.name == "type" and found.format == "jsonl" and len(one.few) > 1:
            words = ", ".join(one.few)
            found.questions.append(
                f"type holds {words}: which are payments (`record: {{where: …}}`)?"
            )


def _columns(found: Proposal, rest: Sequence[Seen], currency: Seen | None) -> None:
    """Entities first, then everything else that says something."""
    whole = {found.columns["amount"].get("scale")}
    ordered = sorted(rest, key=lambda one: (not identity.entity(one), one.depth))
    for one in ordered:
        if one.name in found.ignore:
            continue
        needed = currency is one and one.name in whole
        if reason := "" if needed else _left_out(one, len(found.columns)):
            found.ignore.append(one.name)
            found.why[one.name] = reason
            continue
        name = kinds.column_name(one.name, found.columns)
        whom = identity.entity(one)
        keys = one.as_id() if whom or needed else one.typed()
        if needed:
            keys = {"type": "string"}
            found.columns["amount"]["scale"] = name
        if own := one.nulls(found.nulls):
            keys["nulls"] = own
        if one.field.nulls:
            keys["required"] = False
        found.columns[name] = {"source": one.name} | keys
        found.why[name] = _of_values(one)
        if whom:
            found.entities[whom if whom not in found.entities else name] = name
        elif one.codes and one.lettered and not one.flag and _several(one):
            found.entities[name] = name
            found.questions.append(
                f"is {one.name} somebody who pays or is paid, a device, a place?"
            )
        if one.cut:
            found.questions.append(
                f"{one.name} has been through a spreadsheet, as 4.1E+15, and its digits are lost: "
                "can it be exported as text?"
            )


def _several(one: Seen) -> bool:
    return 2 <= one.field.distinct < 0.9 * one.field.present


def _left_out(one: Seen, columns: int) -> str:
    held = one.field.cards and not one.plain and one.field.longest > 25
    if held:
        return "holds card numbers in longer texts"
    if identity.personal(one):
        return "about a person"
    if one.field.distinct == 1 and not one.field.nulls:
        return "one value"
    return "beyond the number of columns shown" if columns >= _MOST_COLUMNS else ""


def _of_values(one: Seen) -> str:
    said = f"{one.field.distinct:,} values"
    if one.field.nulls:
        said += f", {one.field.nulls:.1%} missing"
    if one.field.cards and not one.card_numbers:
        said += f"; {one.field.cards:,} pass as card numbers by chance"
    return said


def _ask_cards(found: Proposal, seen: Sequence[Seen]) -> None:
    if found.hashes:
        named = ", ".join(one.name for one in seen if one.card_numbers)
        found.questions.append(
            f"{named} holds card numbers, which are hashed: which secret of 16 bytes and more? "
            f"It is read from the environment variable {_SECRET}."
        )
    if not found.entities:
        found.questions.append("no field tells who pays: is there a card, a customer, an account?")
    held = [name for name in found.ignore if "card numbers" in found.why.get(name, "")]
    if held:
        found.questions.append(f"{', '.join(held)} holds card numbers in longer texts: left out")


def text(found: Proposal, where: str, records: int) -> str:
    """The YAML, with the questions on top and what speaks for each choice behind it."""
    lines = [f"# Proposed from {records:,} records of {said(where)}."]
    lines += [f"# ? {said(question)}" for question in dict.fromkeys(found.questions)]
    lines += [f"format: {found.format}"]
    if found.files:
        lines += [_line("files", found.files)]
    if found.record:
        lines += [_line("record", found.record)]
    if found.nulls:
        lines += [_line("nulls", found.nulls)]
    lines += ["columns:"]
    for name, column in found.columns.items():
        lines += [_line(f"  {name}", column, found.why.get(name, ""))]
    lines += [_line("entities", found.entities)]
    if found.card:
        lines += [_line("card", found.card)]
    if found.label:
        lines += [_line("label", found.label, found.why.get("label", ""))]
    if found.hashes:
        lines += [_line("secret", {"env": _SECRET})]
    if found.ignore:
        lines += ["ignore:"]
        lines += [_line("  -", name, found.why.get(name, "")) for name in found.ignore]
    return "\n".join(lines) + "\n"


def _line(key: str, value: Any, why: str = "") -> str:
    flow = yaml.safe_dump(
        value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True
    )
    flow = flow.removesuffix("...\n").strip()
    sign = "" if key.endswith("-") else ":"
    return f"{key}{sign} {flow}" + (f"  # {said(why)}" if why else "")


def said(words: str) -> str:
    """Words for a comment: on one line, card numbers hidden."""
    line = " ".join(words.split())
    return cards.hidden(line) if cards.found_in(line) else line
