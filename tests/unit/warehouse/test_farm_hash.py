"""FARM_FINGERPRINT against published values, of every length that takes another way through the algorithm."""

from __future__ import annotations

import pyarrow as pa
import pytest

from dicomkit.engine.persistence.farm_hash import fingerprint64, fingerprints
from dicomkit.engine.services.bigquery import BigQueryService

from .conftest import rows

PUBLISHED = {
    # GoogleSQL reference, "FARM_FINGERPRINT", example.
    b"1footrue": -1541654101129638711,
    b"2applefalse": 2794438866806483259,
    b"3true": -4880158226897771312,
    # Guava, FarmHashFingerprint64Test: 4, 32 and 256 bytes.
    b"test": 8581389452482819506,
    b"test" * 8: -4196240717365766262,
    b"test" * 64: 3500507768004279527,
    # Amazon Redshift reference, farmFingerprint64.
    b"Amazon Redshift": 8085098817162212970,
}

COMBINED = 0x7A1D67C50EC7E167
"""What the C++ reference and Guava's port both end with after 3,200 fingerprints of up to 3,199 bytes (Guava,
FarmHashFingerprint64Test, testMultipleLengths)."""


@pytest.mark.parametrize("data", PUBLISHED)
def test_published_values(data: bytes) -> None:
    """Each as its source prints it."""
    assert fingerprint64(data) == PUBLISHED[data]


def test_every_length_agrees_with_the_reference() -> None:
    """A chain in which every value depends on all before it, so that one wrong bit changes the end."""
    data, size, state = bytearray(3_200), 0, 0
    for turn in range(800):
        for step in range(4):
            # The length of each step, in the size that the steps before have made.
            length = turn if step == 0 else size if step == 3 else turn ** (step + 1) % size
            state ^= fingerprint64(bytes(data[:length])) % (1 << 64)
            state = (state ^ state >> 41) * 949_921_979 % (1 << 64)
            data[size] = ord("a") + state % (1 << 20) % 26
            size += 1
        last, second, third, middle = data[size - 1], data[size - 2], data[size - 3], data[size // 2]
        data[int.from_bytes((last, second, third), "big") % size] ^= middle
        data[int.from_bytes((second, third, middle), "big") % size] ^= turn % 256
    assert state == COMBINED


def test_many_at_once_keep_their_places() -> None:
    """NULL stays NULL, in one piece or in several."""
    values = [b"test", None, b"3true", b"test"]
    expected = [PUBLISHED[value] if value else None for value in values]
    assert fingerprints(pa.array(values, pa.binary())).to_pylist() == expected
    chunked = pa.chunked_array([values[:2], values[2:]], pa.binary())
    assert fingerprints(chunked).to_pylist() == expected
    assert fingerprints(pa.chunked_array([], pa.binary())).to_pylist() == []


def test_the_function_in_sql(service: BigQueryService) -> None:
    """The example of the reference, bytes, NULL, and many rows of which some are equal."""
    sql = (
        "WITH example AS (SELECT 1 AS x, 'foo' AS y, true AS z UNION ALL SELECT 2, 'apple', false UNION ALL "
        "SELECT 3, '', true) SELECT x, FARM_FINGERPRINT(CONCAT(CAST(x AS STRING), y, CAST(z AS STRING))) FROM example "
        "ORDER BY x"
    )
    values = [PUBLISHED[data] for data in (b"1footrue", b"2applefalse", b"3true")]
    assert rows(service, sql) == [(str(n), str(value)) for n, value in enumerate(values, 1)]
    sql = "SELECT FARM_FINGERPRINT(b'test'), FARM_FINGERPRINT(NULL), SAFE.FARM_FINGERPRINT('test')"
    assert rows(service, sql) == [(str(PUBLISHED[b"test"]), None, str(PUBLISHED[b"test"]))]
    sql = (
        "SELECT COUNT(*), COUNT(DISTINCT FARM_FINGERPRINT(CAST(DIV(n, 3) AS STRING))) "
        "FROM UNNEST(GENERATE_ARRAY(0, 29999)) AS n"
    )
    assert rows(service, sql) == [("30000", "10000")]
