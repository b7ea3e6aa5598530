"""Six kinds of episode: five of fraud and, so that being far from home proves nothing, journeys.

An episode hits one customer, terminal or merchant (its victim) at most once in 32 days, from a
random day on. Stolen cards, account take-overs and card tests add transactions of the thief;
compromised terminals and merchants gone bad turn some of the transactions made there into frauds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fraudlake.simulate.draws import Floats, Ints, Keys, integers, keyed, uniform
from fraudlake.simulate.world import World

BLOCK = 32  # days; no episode is longer, so it ends in the next block at the latest
DEFAULT_SHARE = 0.007  # share of frauds at which the chances below hold


class Kind(NamedTuple):
    """One kind of fraud.

    `chance`: episodes of one victim in a block. `shortest`, `longest`: days. `least`, `most`: the
    thief's transactions in a day. `share`, `daily`: share of a victim's transactions that are
    turned, and their expected number a day at most (a busy place notices sooner). `discovery`: the
    label becomes known after 2 h … 7 d, at a uniform draw to this power (higher is sooner).
    """

    name: str
    chance: float
    shortest: int
    longest: int
    discovery: float
    least: int = 0
    most: int = 0
    share: float = 0.0
    daily: float = 0.0


STOLEN, TAKEOVER, TESTING, TERMINAL, MERCHANT = range(1, 6)
KINDS = (
    Kind("", 0.0, 0, 0, 0.0),
    Kind("stolen_card", 0.0105, 1, 4, 2.0, least=3, most=6),
    Kind("account_takeover", 0.0090, 1, 3, 2.0, least=2, most=5),
    Kind("card_testing", 0.0070, 1, 1, 3.0, least=6, most=12),
    Kind("compromised_terminal", 0.0075, 7, 28, 1.0, share=0.8, daily=6.0),
    Kind("bad_merchant", 0.0045, 10, 28, 0.7, share=0.8, daily=7.0),
)
PROBES = 4  # the first transactions of a card test are small, the others spend


class Episodes(NamedTuple):
    """For each id asked about: is an episode running that day, and the key of its draws."""

    running: np.ndarray
    key: Keys


def episodes(
    seed: int, name: str, ids: Ints, day: Ints, chance: float | Floats, shortest: int, longest: int
) -> Episodes:
    """Episodes of `name` running on `day` (days since 1970-01-01), `chance` of one in 32 days."""
    running = np.zeros(ids.shape, bool)
    found = np.zeros(ids.shape, np.uint64)
    for block in (day // BLOCK - 1, day // BLOCK):
        key = keyed(seed, name, ids, block)
        first = block * BLOCK + integers(uniform(key, "first"), 0, BLOCK - 1)
        length = integers(uniform(key, "length"), shortest, longest)
        now = (uniform(key, "happens") < chance) & (first <= day) & (day < first + length)
        running |= now
        found = np.where(now, key, found)
    return Episodes(running, found)


def of_kind(world: World, kind: int, ids: Ints, day: Ints) -> Episodes:
    """Fraud episodes of a kind, as often as the world's share of fraud asks for."""
    it = KINDS[kind]
    chance = min(1.0, it.chance * world.fraud / DEFAULT_SHARE)
    return episodes(world.seed, it.name, ids, day, chance, it.shortest, it.longest)


def thefts(world: World, kind: int, customer: Ints, day: int) -> tuple[Episodes, Ints]:
    """Episodes of a customer's kind on a day, and how many transactions the thief adds."""
    it, days = KINDS[kind], np.full(customer.shape, day)
    theft = of_kind(world, kind, customer, days)
    u = uniform(keyed(world.seed, it.name + " size", customer, days), "size")
    return theft, np.where(theft.running, integers(u, it.least, it.most), 0)


def turned(world: World, key: Keys, merchant: Ints, terminal: Ints, day: Ints) -> Ints:
    """Kind of fraud that the place makes of honest customers' transactions; 0 for none."""
    kind = np.zeros(merchant.shape, np.int64)
    volume = world.daily_volume(merchant)
    for which, ids, expected in (
        (MERCHANT, merchant, volume),
        (TERMINAL, terminal, volume / world.tills(merchant)),
    ):
        it = KINDS[which]
        share = np.minimum(it.share, it.daily / expected)
        hit = of_kind(world, which, ids, day).running & (uniform(key, it.name) < share)
        kind = np.where(hit, which, kind)
    return kind


def known_after(key: Keys, kind: Ints) -> Ints:
    """Milliseconds from the event until its label is known: 7 days, 2 h to 7 d for frauds."""
    hour = 3_600_000
    power = np.array([k.discovery for k in KINDS])[kind]  # legitimate: u ** 0 = 1
    seconds = (2 + 166 * uniform(key, "discovery") ** power) * 3600
    return np.minimum(np.ceil(seconds).astype(np.int64) * 1000, 168 * hour)


def ring(world: World, incident: Keys, day: Ints) -> Keys:
    """The gang behind a card test: it tests many customers' cards at one merchant for 8 days."""
    gangs = max(1, world.customers // 2500)
    which = integers(uniform(incident, "gang"), 0, gangs - 1)
    return keyed(world.seed, "gang", day // 8, which)
