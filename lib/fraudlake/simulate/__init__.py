"""Synthetic card transactions: a seeded world, honest behaviour, fraud, and faulty delivery."""

from fraudlake.simulate.faults import BREAKS, Faults
from fraudlake.simulate.files import CUSTOMERS_PER_FILE, RawFolder, lines
from fraudlake.simulate.fraud import KINDS
from fraudlake.simulate.world import World

__all__ = ["BREAKS", "CUSTOMERS_PER_FILE", "KINDS", "Faults", "RawFolder", "World", "lines"]
