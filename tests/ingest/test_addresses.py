"""What an address belongs to, held against Python's own `ipaddress`."""

from ipaddress import ip_address, ip_network

import numpy as np
import pyarrow as pa
import pytest

from fraudlake.errors import DataError
from fraudlake.ingest import addresses
from fraudlake.ingest.checks import check

RANGES = """first,last,country,network
192.0.2.64,192.0.2.127,FR,paris
192.0.2.128,192.0.2.128,DE,one
2001:db8::,2001:db8::ffff,NL,six
10.0.0.0,10.0.0.255,BE,ten
10.0.1.0,10.0.1.9,,nameless
3232235776,3232236031.0,US,number
"""
EXPECTED = {
    "192.0.2.63": None,
    "192.0.2.64": "FR",
    "192.0.2.127": "FR",
    "::ffff:192.0.2.127": "FR",
    "192.0.2.128": "DE",
    "192.0.2.129": None,
    "10.0.0.255": "BE",
    "10.0.1.3": None,
    "192.168.1.255": "US",
    "192.168.2.0": None,
    "9.255.255.255": None,
    "255.255.255.255": None,
    "2001:db8::": "NL",
    "2001:DB8:0:0:0:0:0:FFFF": "NL",
    "2001:db8::1:0": None,
    "::": None,
    "192.0.2": None,
    "192.0.2.64/32": None,
    "é\0": None,
    "nowhere": None,
    None: None,
}


NETWORKS = {
    "192.0.2.77": "192.0.2.64/26",
    "255.255.255.255": "255.255.255.192/26",
    "10.0.0.0": "10.0.0.0/26",
    "256.0.0.1": None,
    "10.0.0": None,
    "2001:DB8:0042:7::1": "2001:db8:42::/48",
    "2001:db8::1": "2001:db8:0::/48",
    "::1": "0:0:0::/48",
    "1:2:3:4:5:6:7:8": "1:2:3::/48",
    "1::2::3": None,
    "nowhere": None,
    "": None,
}


def test_the_network_of_an_address(spark):
    texts = spark.createDataFrame([(text,) for text in NETWORKS], "text string")
    found = texts.select("text", addresses.network(texts["text"], 26).alias("network"))
    assert {row.text: row.network for row in found.collect()} == NETWORKS


NUMBERS = {
    "3221226061": "192.0.2.64/26",
    "3221226061.99972": "192.0.2.64/26",
    "3.221226061E9": "192.0.2.64/26",
    "4294967295": "255.255.255.192/26",
    "0": "0.0.0.0/26",
    "4294967296": None,
    "-1": None,
    "192.0.2.77": None,
    "1e99": None,
    "": None,
}


def test_an_address_that_is_a_number(spark):
    texts = spark.createDataFrame([(text,) for text in NUMBERS], "text string")
    found = texts.select("text", addresses.network(addresses.dotted(texts["text"]), 26).alias("n"))
    assert {row.text: row.n for row in found.collect()} == NUMBERS


@pytest.fixture
def file(tmp_path):
    """The path of a table of ranges with this content."""

    def written(text, name="ranges.csv"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return written


def test_a_record_gets_what_the_range_of_its_address_says(spark, shop, file):
    """Through the checks that ingest and stream share: edges, gaps, both families, no address."""
    of_address = {"source": "ip", "type": "string", "required": False}
    described = shop().model_dump(by_alias=True)
    for name in ("country", "network"):
        ranges = {"file": file(RANGES), "column": name}
        described["columns"][name] = {**of_address, "ranges": ranges}
    dataset = type(shop()).model_validate(described)
    records = [({"id": str(i), "ip": text}, None, "raw", "file") for i, text in enumerate(EXPECTED)]
    schema = "fields map<string, string>, corrupt string, raw string, source_file string"
    read = addresses._sent.cache_info().misses
    checked = [check(spark.createDataFrame(records, schema), dataset) for _ in range(2)]
    assert addresses._sent.cache_info().misses == read + 2
    found = checked[-1].orderBy("tx_id").collect()
    assert [row["country"] for row in found] == list(EXPECTED.values())
    assert {row["network"] for row in found} == {
        "paris",
        "one",
        "six",
        "ten",
        "nameless",
        "number",
        None,
    }
    assert not any("country" in reason for row in found for reason in row["reasons"])


def test_networks_of_any_size_equal_a_plain_search(spark, tmp_path):
    random = np.random.default_rng(1)
    networks = {ip_network((int(n) << 8, int(b))) for n, b in zip(
        random.integers(0, 2**24, 300), random.integers(24, 33, 300), strict=True
    ) if b <= 24}  # fmt: skip
    networks |= {ip_network((0xFF << 120 | int(n) << 64, 64)) for n in random.integers(0, 99, 40)}
    rows = [(str(network), i) for i, network in enumerate(sorted(networks, key=str))]
    path = str(tmp_path / "networks.parquet")
    spark.createDataFrame(rows, "cidr string, code int").write.parquet(path)
    edges = [a for n in networks for a in (n[0], n[-1], n[0] - 1, n[-1] + 1)]
    texts = [str(address) for address in edges]
    ranges = addresses._read(spark, path, "code")
    plain = [
        next((str(i) for n, i in rows if ip_address(text) in ip_network(n)), None) for text in texts
    ]
    assert ranges.find(pa.array(texts)).to_pylist() == plain
    assert ranges.find(pa.array([], "string")).to_pylist() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cidr,city\n10.0.0.0/8,x\n", "got the columns cidr, city, expected country too"),
        ("last,country\n10.0.0.0,x\n", "expected first too"),
        ("cidr,country\n", "got no row, expected ranges"),
        ("first,last,country\n1,4294967296,x\n", "got '1 to 4294967296', expected ranges"),
        ("cidr,country\n10.0.0.0/8,x\n10.0.0.1/24,y\n", "got '10.0.0.1/24', expected ranges"),
        ("first,last,country\n10.0.0.9,10.0.0.1,x\n", "got '10.0.0.9 to 10.0.0.1', expected"),
        (
            "first,last,country\n10.0.0.1,10.0.0.9,x\n10.0.0.9,10.0.0.20,y\n",
            "got 10.0.0.1 to 10.0.0.9 and 10.0.0.9 to 10.0.0.20, which overlap",
        ),
    ],
)
def test_what_is_no_table_of_ranges_is_refused(spark, file, text, said):
    with pytest.raises(DataError, match=said):
        addresses._read(spark, file(text), "country")
