"""What an IP address belongs to: its network, or a range in a table that a user brings.

An address is compared as 16 bytes, IPv4 as the IPv6 address that stands for it, such as
`::ffff:192.0.2.1`, so that one sorted array and one binary search serve both.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Address, ip_network
from typing import TYPE_CHECKING

from fraudlake.errors import DataError
from fraudlake.ingest.values.time import NUMBER

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark import Broadcast, SparkContext
    from pyspark.sql import Column, SparkSession

_OCTET = r"(25[0-5]|2[0-4]\d|1?\d?\d)"
_IPV4 = rf"^{_OCTET}(\.{_OCTET}){{3}}$"
_IPV6 = r"^(?=.*:.*:)(?!.*::.*::)[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}$"
_LARGEST = 2**32 - 1
_MAPPED = bytes(10) + b"\xff\xff"


def network(address: Column, bits: int) -> Column:
    """Network of an IPv4 address (`192.0.2.0/24`) or an IPv6 one (`2001:db8:0::/48`), else null."""
    from pyspark.sql import functions as F

    octets = F.transform(F.split(address, r"\."), lambda octet: octet.try_cast("bigint"))
    number = F.aggregate(octets, F.lit(0).cast("bigint"), lambda whole, octet: whole * 256 + octet)
    start = number - number % (1 << (32 - bits))
    ipv4 = F.concat(_octets(start), F.lit(f"/{bits}"))
    groups = F.split(F.split(F.lower(address), "::")[0], ":")
    padded = F.slice(F.concat(groups, F.array(F.lit("0"), F.lit("0"), F.lit("0"))), 1, 3)
    bare = F.transform(padded, lambda group: F.regexp_replace(group, "^0*(?=.)", ""))
    ipv6 = F.concat(F.concat_ws(":", F.transform(bare, _or_zero)), F.lit("::/48"))
    return F.when(address.rlike(_IPV4), ipv4).when(address.rlike(_IPV6), ipv6)


def dotted(number: Column) -> Column:
    """The IPv4 address that a number stands for, its fraction cut; null for text that is none."""
    from pyspark.sql import functions as F

    whole = F.floor(F.when(number.rlike(NUMBER), number).try_cast("decimal(38,18)"))
    return F.when(whole.between(0, _LARGEST), _octets(whole.try_cast("bigint")))


def _octets(number: Column) -> Column:
    from pyspark.sql import functions as F

    places = [F.pmod(F.floor(number / (1 << shift)), F.lit(256)) for shift in (24, 16, 8, 0)]
    return F.concat_ws(".", *[place.cast("string") for place in places])


def _or_zero(group: Column) -> Column:
    from pyspark.sql import functions as F

    return F.when(group == "", F.lit("0")).otherwise(group)


def looked_up(address: Column, file: str, column: str) -> Column:
    """What a table of ranges says of an address; null for text that is none, or in no range.

    A run reads a table once, so all its rows meet the same one. It is sent to every Python worker:
    32 bytes a range and the value.

    Parameters
    ----------
    file
        CSV with a header, or Parquet: one row a range with the columns `first` and `last` (the two
        addresses or their numbers, both included) or `cidr` (`192.0.2.0/24`).
    column
        The column that is wanted; as text.

    Raises
    ------
    DataError
        A column is missing, a row is no range, or two ranges overlap.
    """
    from pyspark.sql import SparkSession

    ranges = _sent(SparkSession.active().sparkContext, file, column)
    # The value is asked for in the worker: here it would be pickled with every plan.
    return _udf(lambda texts: Ranges.find(ranges.value, texts), "string")(address)


def _udf(function: Callable[[pa.Array], pa.Array], kind: str) -> Callable[..., Column]:
    from pyspark.sql import functions as F

    return F.arrow_udf(function, kind)  # type: ignore[attr-defined]  # not in pyspark's stubs


@dataclass(frozen=True)
class Ranges:
    """Ranges of addresses that do not overlap, rising; bounds of 16 bytes, both included."""

    first: NDArray[np.bytes_]
    last: NDArray[np.bytes_]
    values: pa.Array

    def find(self, texts: pa.Array) -> pa.Array:
        """The value of the range that each address is in, or null."""
        import numpy as np
        import pyarrow as pa

        words = texts.dictionary_encode()
        packed = [_packed(text) for text in words.dictionary.to_pylist()]
        known = np.array([address is not None for address in packed], bool)
        keys = np.array([address or b"" for address in packed], "S16")
        at = np.searchsorted(self.first, keys, side="right") - 1
        inside = known & (at >= 0) & (keys <= self.last[at])
        return self.values.take(pa.array(at, mask=~inside)).take(words.indices)


def _packed(text: str) -> bytes | None:
    with suppress(OSError, ValueError):
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    return None


# By context: each micro-batch of a stream has a session of its own.
@lru_cache(maxsize=8)
def _sent(context: SparkContext, file: str, column: str) -> Broadcast[Ranges]:
    from pyspark.sql import SparkSession

    return context.broadcast(_read(SparkSession.active(), file, column))


def _read(spark: SparkSession, file: str, column: str) -> Ranges:
    import pyarrow.compute as pc
    from pyspark.sql import functions as F

    csv = file.endswith(".csv")
    rows = spark.read.csv(file, header=True) if csv else spark.read.parquet(file)
    bounds = ("cidr", "cidr") if "cidr" in rows.columns else ("first", "last")
    missing = sorted({*bounds, column} - set(rows.columns))
    if missing:
        raise DataError(
            f"{file}: got the columns {', '.join(rows.columns)}, expected {', '.join(missing)} too"
        )
    table = (
        rows.select(
            _udf(lambda texts: _bound(texts, upper=False), "binary")(bounds[0]).alias("_a"),
            _udf(lambda texts: _bound(texts, upper=True), "binary")(bounds[1]).alias("_b"),
            F.concat_ws(" to ", *dict.fromkeys(bounds)).alias("said"),
            F.col(column).cast("string").alias("value"),
        )
        .orderBy("_a")
        .toArrow()
        .combine_chunks()
    )
    wrong = pc.fill_null(pc.greater(table["_a"], table["_b"]), True)
    if len(table) == 0 or pc.any(wrong).as_py():
        said = repr(table.filter(wrong)["said"][0].as_py()) if len(table) else "no row"
        raise DataError(
            f"{file}: got {said}, expected ranges: a first and a last address, or a network such as"
            " 192.0.2.0/24"
        )
    first, last = (_fixed(table[name]) for name in ("_a", "_b"))
    overlap = (first[1:] <= last[:-1]).nonzero()[0]
    if len(overlap):
        one, other = (table["said"][int(overlap[0]) + i].as_py() for i in (0, 1))
        raise DataError(
            f"{file}: got {one} and {other}, which overlap, expected ranges of which each address "
            "is in one at most"
        )
    return Ranges(first, last, table["value"].combine_chunks())


def _bound(texts: pa.Array, *, upper: bool) -> pa.Array:
    """First or last address of networks; an address is a network of its own. Null for others."""
    import pyarrow as pa

    found = []
    for text in texts.to_pylist():
        address = None
        said = (text or "").strip()
        number = re.match(NUMBER, said, re.ASCII)
        with suppress(ValueError):
            network = ip_network(IPv4Address(int(Decimal(said))) if number else said)
            address = network.broadcast_address if upper else network.network_address
        mapped = _MAPPED if address and address.version == 4 else b""
        found.append(address and mapped + address.packed)
    return pa.array(found, "binary")


def _fixed(column: pa.ChunkedArray) -> NDArray[np.bytes_]:
    """Addresses of 16 bytes as a NumPy array that compares them."""
    import numpy as np

    return np.frombuffer(b"".join(column.to_pylist()), "S16")
