"""The tables of a lake: every read and write of one, each with its re-run rule."""

from fraudlake.lake.lake import Lake

__all__ = ["Lake"]
