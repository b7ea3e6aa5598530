"""Customers, cards, merchants, terminals and places: functions of their ids, no tables.

Only the list of areas (one online, up to thirty towns, eight places abroad) is held in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fraudlake.simulate.draws import (
    Floats,
    Ints,
    integers,
    keyed,
    normal,
    pick,
    uniform,
    zipf,
    zipf_share,
)

HOME_COUNTRY = "FR"
_LATITUDES, _LONGITUDES = (43.5, 49.5), (-0.5, 6.5)  # a box inside the home country
ABROAD = (
    ("ES", 40.42, -3.70),
    ("IT", 45.46, 9.19),
    ("GB", 51.51, -0.13),
    ("DE", 50.11, 8.68),
    ("US", 40.71, -74.01),
    ("TR", 41.01, 28.98),
    ("TH", 13.76, 100.50),
    ("BR", -23.55, -46.63),
)
TERMINALS_PER_MERCHANT = 4
CARDS_PER_CUSTOMER = 3
TRANSACTIONS_PER_DAY = 2.0


class Category(NamedTuple):
    """A merchant category: ISO 18245 code, weights by channel, amounts (log-normal)."""

    code: str
    present: float
    online: float
    median: float
    spread: float


CATEGORIES = (
    Category("5411", 30, 6, 28.0, 0.60),  # grocery stores
    Category("5812", 16, 0, 26.0, 0.60),  # restaurants
    Category("5814", 14, 8, 11.0, 0.45),  # fast food
    Category("5541", 9, 0, 48.0, 0.35),  # service stations
    Category("4111", 8, 5, 5.5, 0.60),  # local transport
    Category("5912", 7, 3, 17.0, 0.55),  # pharmacies
    Category("5651", 8, 16, 46.0, 0.55),  # clothing
    Category("5732", 3, 10, 110.0, 0.75),  # electronics
    Category("7011", 2, 5, 120.0, 0.60),  # hotels
    Category("4511", 0, 5, 190.0, 0.60),  # airlines
    Category("5816", 0, 20, 9.0, 0.70),  # digital goods
    Category("5399", 3, 22, 33.0, 0.70),  # general merchandise
)


class Areas(NamedTuple):
    """Where merchants are. Position 0 is online, then the towns, then the places abroad."""

    country: np.ndarray
    latitude: Floats
    longitude: Floats
    start: Ints  # first merchant id
    merchants: Ints  # how many there are
    share: Floats  # expected share of all transactions
    towns: int


@dataclass(frozen=True)
class World:
    """Everything that stays the same from day to day.

    Parameters
    ----------
    seed
        Another seed is another world.
    customers
        Ids 0 … customers − 1.
    merchants
        Ids 0 … merchants − 1, at least 200. In each area the first id is the busiest.
    skew
        Zipf exponent of the merchants of one area; 0 makes all equally busy.
    fraud
        Expected share of fraudulent transactions, met to about a third with as many merchants as
        the job `simulate` takes by default.
    """

    seed: int = 1
    customers: int = 5000
    merchants: int = 2000
    skew: float = 1.0
    fraud: float = 0.007

    @cached_property
    def areas(self) -> Areas:
        """One online area, towns of Zipf sizes (Gabaix, 1999), places abroad."""
        towns = min(30, self.merchants // 50)
        key = keyed(self.seed, "town", np.arange(towns))
        size = 1 / np.arange(1, towns + 1)
        size /= size.sum()
        abroad = np.full(len(ABROAD), 1 / len(ABROAD))
        edges = np.cumsum(np.concatenate([[0.20], 0.70 * size, 0.10 * abroad]))
        ends = np.floor(edges / edges[-1] * self.merchants + 1e-6).astype(np.int64)
        start = np.concatenate([[0], ends[:-1]])
        spot = [(uniform(key, n), b) for n, b in (("lat", _LATITUDES), ("lon", _LONGITUDES))]
        inside = [low + u * (high - low) for u, (low, high) in spot]
        return Areas(
            country=np.array([HOME_COUNTRY] * (1 + towns) + [a[0] for a in ABROAD]),
            latitude=np.concatenate([[np.nan], inside[0], [a[1] for a in ABROAD]]),
            longitude=np.concatenate([[np.nan], inside[1], [a[2] for a in ABROAD]]),
            start=start,
            merchants=ends - start,
            share=np.concatenate([[0.30], 0.69 * size, 0.01 * abroad]),
            towns=towns,
        )

    def town(self, u: Floats) -> Ints:
        """Uniform draws as towns, each as likely as its size."""
        return 1 + pick(u, self.areas.share[1 : 1 + self.areas.towns])

    def abroad(self, u: Floats) -> Ints:
        """Uniform draws as places abroad."""
        return 1 + self.areas.towns + integers(u, 0, len(ABROAD) - 1)

    def merchant(self, area: Ints, u: Floats) -> Ints:
        """Uniform draws as merchants of the given areas, by popularity."""
        return self.areas.start[area] + zipf(u, self.areas.merchants[area], self.skew)

    def area(self, merchant: Ints) -> Ints:
        """Where merchants are."""
        return np.searchsorted(self.areas.start, merchant, side="right") - 1

    def daily_volume(self, merchant: Ints) -> Floats:
        """Expected transactions of merchants in a day."""
        area = self.area(merchant)
        rank = merchant - self.areas.start[area]
        share = self.areas.share[area] * zipf_share(rank, self.areas.merchants[area], self.skew)
        return self.customers * TRANSACTIONS_PER_DAY * share

    def category(self, merchant: Ints) -> Ints:
        """Position in `CATEGORIES` of merchants."""
        u = uniform(keyed(self.seed, "merchant", merchant), "category")
        present = pick(u, [c.present for c in CATEGORIES])
        return np.where(self.area(merchant) == 0, pick(u, [c.online for c in CATEGORIES]), present)

    def tills(self, merchant: Ints) -> Ints:
        """Number of terminals of merchants: one online, else 1 to 4."""
        u = uniform(keyed(self.seed, "merchant", merchant), "tills")
        return np.where(self.area(merchant) == 0, 1, integers(u, 1, TERMINALS_PER_MERCHANT))

    def terminal(self, merchant: Ints, u: Floats) -> Ints:
        """Uniform draws as terminals of the given merchants; a terminal id names its merchant."""
        return merchant * TERMINALS_PER_MERCHANT + (u * self.tills(merchant)).astype(np.int64)

    def terminal_place(self, terminal: Ints) -> tuple[Floats, Floats]:
        """Latitude and longitude of terminals in degrees (NaN online)."""
        area = self.area(terminal // TERMINALS_PER_MERCHANT)
        key = keyed(self.seed, "terminal", terminal)
        return (
            self.areas.latitude[area] + 0.05 * normal(key, "lat"),
            self.areas.longitude[area] + 0.07 * normal(key, "lon"),
        )

    def home(self, customer: Ints) -> Ints:
        """Town of customers."""
        return self.town(uniform(keyed(self.seed, "customer", customer), "town"))

    def home_place(self, customer: Ints) -> tuple[Floats, Floats]:
        """Latitude and longitude of customers in degrees."""
        town, key = self.home(customer), keyed(self.seed, "customer", customer)
        return (
            self.areas.latitude[town] + 0.08 * normal(key, "lat"),
            self.areas.longitude[town] + 0.11 * normal(key, "lon"),
        )

    def card(self, customer: Ints, u: Floats) -> Ints:
        """Uniform draws as cards: 1 to 3 a customer, the first one used most."""
        held = 1 + pick(uniform(keyed(self.seed, "customer", customer), "cards"), [55, 33, 12])
        slot = np.where(u < 0.7, 0, ((u - 0.7) / 0.3 * held).astype(np.int64))
        return customer * CARDS_PER_CUSTOMER + slot
