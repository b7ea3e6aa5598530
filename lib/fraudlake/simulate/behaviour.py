"""What customers, and thieves in their name, do on a day."""

from __future__ import annotations

import numpy as np

from fraudlake.simulate import fraud
from fraudlake.simulate.draws import (
    ID_BITS,
    Floats,
    Ints,
    Keys,
    keyed,
    normal,
    poisson,
    scrambled,
    uniform,
    whole,
)
from fraudlake.simulate.world import CATEGORIES, TRANSACTIONS_PER_DAY, World

Columns = dict[str, np.ndarray]

DAY = 86_400_000  # milliseconds, as all times here
HOUR = 3_600_000
DAY_BITS, SEQUENCE_BITS = 15, 8
CUSTOMER_BITS = ID_BITS - DAY_BITS - SEQUENCE_BITS
_MOST_PER_DAY = 128  # own transactions; the thief's are numbered from here, 32 a kind

WEEK = (0.92, 0.94, 0.98, 1.03, 1.20, 1.17, 0.76)  # Monday first, mean 1
# Weights of the hours of a day, from midnight.
PRESENT_HOURS = (1, 1, 1, 1, 1, 1, 3, 6, 9, 10, 11, 13, 15, 12, 10, 10, 12, 14, 14, 11, 8, 6, 4, 2)
ONLINE_HOURS = (5, 3, 2, 1, 1, 1, 2, 4, 6, 8, 9, 9, 10, 9, 9, 9, 9, 9, 10, 11, 13, 14, 12, 8)


def visits(world: World, customer: Ints, day: int) -> Columns:
    """The transactions of these customers on one day.

    Parameters
    ----------
    customer
        Customer ids.
    day
        Days since 1970-01-01.

    Returns
    -------
    One row a transaction: customer, day, sequence (distinct for one customer and day), kind (0, or
    the thief's kind of fraud), incident (key of the thief's episode, else 0), nth (of the thief's
    transactions that day, from 0).
    """
    own = keyed(world.seed, "customer", customer)
    rate = 2 * TRANSACTIONS_PER_DAY * uniform(own, "rate") * WEEK[(day + 3) % 7]
    today = keyed(world.seed, "customer day", customer, np.full(customer.shape, day))
    count = np.minimum(poisson(uniform(today, "count"), rate), _MOST_PER_DAY)
    parts = [(0, np.zeros(customer.shape, np.uint64), count)]
    for kind in (fraud.STOLEN, fraud.TAKEOVER, fraud.TESTING):
        found, added = fraud.thefts(world, kind, customer, day)
        parts.append((kind, found.key, added))
    rows = []
    for kind, incident, times in parts:
        nth = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
        rows.append(
            {
                "customer": np.repeat(customer, times),
                "sequence": nth if kind == 0 else _MOST_PER_DAY + 32 * (kind - 1) + nth,
                "kind": np.full(nth.shape, kind),
                "incident": np.repeat(incident, times),
                "nth": nth,
            }
        )
    out = {name: np.concatenate([r[name] for r in rows]) for name in rows[0]}
    out["day"] = np.full(out["customer"].shape, day)
    return out


def row_keys(world: World, rows: Columns) -> Keys:
    """The key of each row's draws."""
    return keyed(world.seed, "transaction", rows["customer"], rows["day"], rows["sequence"])


def transaction_ids(world: World, rows: Columns) -> Ints:
    """Distinct whole numbers below 2^52 (exact in every JSON reader) that tell nothing of the row.

    Day, customer and sequence are packed and then permuted, so that order of ids is no order of
    anything.
    """
    packed = (rows["day"] << CUSTOMER_BITS | rows["customer"]) << SEQUENCE_BITS | rows["sequence"]
    return scrambled(packed ^ whole(keyed(world.seed, "ids"), "ids"))


def transactions(world: World, rows: Columns) -> Columns:
    """Everything that raw records hold, for rows of `visits`.

    Returns
    -------
    Columns of the raw record by name; times in milliseconds since 1970-01-01, `amount` in cents,
    `fraud_kind` as a position in `fraud.KINDS`; `online` says where device and address hold.
    """
    key, customer, day = row_keys(world, rows), rows["customer"], rows["day"]
    own = keyed(world.seed, "customer", customer)
    stolen = rows["kind"] == fraud.STOLEN
    takeover = rows["kind"] == fraud.TAKEOVER
    testing = rows["kind"] == fraud.TESTING
    gang = np.where(testing, fraud.ring(world, rows["incident"], day), rows["incident"])

    online = uniform(key, "channel") < np.where(stolen, 0.4, 0.1 + 0.4 * uniform(own, "online"))
    online |= takeover | testing
    whereabouts = _whereabouts(world, rows, key, own)
    merchant = _merchants(world, rows, key, gang, np.where(online, 0, whereabouts))
    terminal = world.terminal(merchant, uniform(key, "terminal"))
    by_place = fraud.turned(world, key, merchant, terminal, day)
    kind = np.where(rows["kind"] == 0, by_place, rows["kind"])

    time = day * DAY + _time_of_day(rows, key, own, online)
    device, address = _devices(world, rows, key, own, gang)
    here = world.terminal_place(terminal)
    country, latitude, longitude = _place(world, rows, key, own, gang, whereabouts, online, here)
    card_key = np.where(rows["kind"] == 0, key, rows["incident"])
    return {
        "transaction_id": transaction_ids(world, rows),
        "event_time": time,
        "customer_id": customer,
        "card_id": world.card(customer, uniform(card_key, "card")),
        "terminal_id": terminal,
        "merchant_id": merchant,
        "category": world.category(merchant),
        "online": online,
        "device_id": device,
        "ip_address": address,
        "country": country,
        "latitude": latitude,
        "longitude": longitude,
        "amount": _amounts(world, rows, key, own, merchant, kind),
        "label_known_at": time + fraud.known_after(key, kind),
        "fraud_kind": kind,
    }


def _whereabouts(world: World, rows: Columns, key: Keys, own: Keys) -> Ints:
    """Area in which a card-present payment happens: home, a day out, a journey, or the thief's."""
    customer, day = rows["customer"], rows["day"]
    trip = fraud.episodes(world.seed, "journey", customer, day, 0.12, 2, 10)
    away = trip.running | (uniform(key, "outing") < 0.04)
    source = np.where(trip.running, trip.key, key)
    source = np.where(rows["kind"] > 0, rows["incident"], source)
    away = np.where(rows["kind"] > 0, uniform(source, "away") < 0.5, away)
    far = uniform(source, "far")
    abroad = far < np.where(rows["kind"] > 0, 0.4, np.where(trip.running, 0.2, 0.0))
    elsewhere = np.where(
        abroad, world.abroad(uniform(source, "abroad")), world.town(uniform(source, "town"))
    )
    return np.where(away, elsewhere, world.town(uniform(own, "town")))


def _merchants(world: World, rows: Columns, key: Keys, gang: Keys, area: Ints) -> Ints:
    """Mostly one of six habitual merchants a channel; thieves know no habits."""
    slot = (6 * uniform(key, "slot") ** 1.5).astype(np.int64)
    habit = uniform(keyed(world.seed, "habit", rows["customer"], slot, area == 0), "merchant")
    fresh = uniform(key, "merchant")
    u = np.where((uniform(key, "habit") < 0.7) & (rows["kind"] == 0), habit, fresh)
    probe = (rows["kind"] == fraud.TESTING) & (rows["nth"] < fraud.PROBES)
    return world.merchant(area, np.where(probe, uniform(gang, "merchant"), u))


def _time_of_day(rows: Columns, key: Keys, own: Keys, online: np.ndarray) -> Ints:
    u = uniform(key, "time")
    clock = [np.concatenate([[0], np.cumsum(h) / sum(h)]) for h in (PRESENT_HOURS, ONLINE_HOURS)]
    edges = np.arange(25.0) * HOUR
    usual = np.where(online, np.interp(u, clock[1], edges), np.interp(u, clock[0], edges))
    usual = (usual + HOUR * normal(own, "shift")) % DAY
    restless = (rows["kind"] > 0) & (uniform(key, "restless") < 0.5)
    time = np.where(restless, DAY * uniform(key, "any time"), usual)
    test = rows["kind"] == fraud.TESTING
    burst = 20 * HOUR * uniform(rows["incident"], "burst")
    probe = burst + (rows["nth"] + uniform(key, "gap")) * 75_000
    spend = burst + HOUR * (1 + 2.5 * uniform(key, "spend"))
    time = np.where(test, np.where(rows["nth"] < fraud.PROBES, probe, spend), time)
    return np.minimum(time.astype(np.int64), DAY - 1)


def _devices(world: World, rows: Columns, key: Keys, own: Keys, gang: Keys) -> tuple[Ints, Ints]:
    """Device ids and IPv4 addresses (as numbers in 10.0.0.0/8) of card-not-present payments.

    Customers use two devices, renewed after about 400 days, and seldom a borrowed one; half of them
    the home address, renewed after 32 days. A thief brings his own, but for one take-over in four,
    which runs through the customer's own device.
    """
    customer, day = rows["customer"], rows["day"]
    slot = (uniform(key, "device") < 0.2).astype(np.int64)
    age = (day + whole(own, "renewal", 9)) // 400
    usual = whole(keyed(world.seed, "device", customer, slot, age), "device")
    usual = np.where(uniform(key, "borrowed") < 0.02, whole(key, "borrowed device"), usual)
    home = whole(keyed(world.seed, "address", customer, day // 32), "address", 24)
    home = np.where(uniform(key, "mobile") < 0.5, whole(key, "address", 24), home)
    foreign = rows["kind"] > 0
    remote = (rows["kind"] == fraud.TAKEOVER) & (uniform(rows["incident"], "remote") < 0.25)
    return (
        np.where(foreign & ~remote, whole(gang, "device"), usual),
        np.where(foreign, whole(gang, "address", 24), home),
    )


def _place(
    world: World,
    rows: Columns,
    key: Keys,
    own: Keys,
    gang: Keys,
    whereabouts: Ints,
    online: np.ndarray,
    terminal: tuple[Floats, Floats],
) -> tuple[np.ndarray, Floats, Floats]:
    """Country and place of the payment: the terminal's, or where the address seems to be."""
    areas, home = world.areas, world.home_place(rows["customer"])
    at_home = whereabouts == world.town(uniform(own, "town"))
    places = []
    for name, centre, living, till in (
        ("lat", areas.latitude, home[0], terminal[0]),
        ("lon", areas.longitude, home[1], terminal[1]),
    ):
        source = np.where(rows["kind"] > 0, gang, key)
        seen = np.where(at_home, living, centre[whereabouts]) + 0.02 * normal(source, name)
        places.append(np.where(online, seen, till))
    return areas.country[whereabouts], places[0], places[1]


def _amounts(world: World, rows: Columns, key: Keys, own: Keys, merchant: Ints, kind: Ints) -> Ints:
    """Cents: log-normal by category and customer, then what each kind of fraud makes of it."""
    category = world.category(merchant)
    median = np.array([c.median for c in CATEGORIES])[category]
    spread = np.array([c.spread for c in CATEGORIES])[category]
    amount = median * np.exp(0.35 * normal(own, "purse") + spread * normal(key, "amount"))
    change = normal(key, "fraud amount")
    for which, centre, width in (
        (fraud.STOLEN, 1.6, 0.5),
        (fraud.TAKEOVER, 1.8, 0.5),
        (fraud.TESTING, 1.6, 0.4),
        (fraud.TERMINAL, 0.3, 0.5),
        (fraud.MERCHANT, 0.5, 0.2),
    ):
        amount = np.where(kind == which, amount * np.exp(centre + width * change), amount)
    probe = (kind == fraud.TESTING) & (rows["nth"] < fraud.PROBES)
    amount = np.where(probe, 0.5 + 2.5 * uniform(key, "probe"), amount)
    return np.clip(np.rint(100 * amount), 1, 5_000_000).astype(np.int64)
