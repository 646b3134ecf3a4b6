"""Noise, which no codec makes smaller: every syntax that can hold an image holds the worst of its kind."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psutil
import pytest

from dicomkit import pixels
from dicomkit.engine.services.pixel_workers import PixelWorkers
from dicomkit.errors import NotAcceptable
from dicomkit.pixels.syntaxes import EXPLICIT_LITTLE, JPEG_BASELINE, JPEG_XL_RECOMPRESSION, LOSSY_METHOD
from tests.unit.pixels.images import image

KINDS = [("u1", 8, 1), ("u2", 12, 1), ("i2", 12, 1), ("u2", 16, 1), ("i2", 16, 1), ("u1", 8, 3), ("u2", 16, 3)]
SIZES = [(1, 1), (1, 2), (2, 1), (7, 1), (1, 64), (3, 5), (64, 64), (257, 129), (1024, 1024)]
REFUSED = {
    ("u2", 12, 1): {".4.50"},
    ("i2", 12, 1): {".4.50", ".4.51", ".4.112"},
    ("u2", 16, 1): {".4.50", ".4.51"},
    ("i2", 16, 1): {".4.50", ".4.51", ".4.112"},
    ("u2", 16, 3): {".4.50", ".4.51", ".4.57", ".4.70"},
}
"""What a kind of image cannot be (docs/pixels.md)."""


@pytest.fixture(scope="module")
def workers() -> Iterator[PixelWorkers]:
    made = PixelWorkers(workers=1)
    yield made
    made.close()


def noise(rows: int, columns: int, dtype: str, stored: int, samples: int) -> tuple[bytes, bytes]:
    """An image of nothing but chance, and its samples."""
    low, high = (-(1 << (stored - 1)), 1 << (stored - 1)) if dtype[0] == "i" else (0, 1 << stored)
    shape = (rows, columns, samples)
    array = np.random.default_rng(rows * columns).integers(low, high, shape).astype(dtype)
    data = image(dtype=dtype, stored=stored, samples=samples, rows=rows, columns=columns, array=array)
    return data, array.tobytes()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind[0]}-{kind[1]}-{kind[2]}")
def test_noise_is_written_in_every_syntax(
    workers: PixelWorkers, kind: tuple[str, int, int], size: tuple[int, int]
) -> None:
    """None fails, lossless ones give every sample back, and one process lives through all of it."""
    data, samples = noise(*size, *kind)
    workers.frame_count(data)
    before = psutil.Process().children()
    refused = set()
    for syntax in sorted(pixels.WRITABLE):
        source = data
        try:
            if syntax == JPEG_XL_RECOMPRESSION:
                source = workers.transcode(data, JPEG_BASELINE)
            there = workers.transcode(source, syntax)
        except NotAcceptable:
            refused.add(syntax)
            continue
        (back,) = workers.frame_bytes(there, [1], transfer_syntax=EXPLICIT_LITTLE)
        if syntax in LOSSY_METHOD:
            assert len(back) == len(samples)
        else:
            assert back == samples, syntax
    ends = {syntax.removeprefix("1.2.840.10008.1.2") for syntax in refused}
    wanted = REFUSED.get(kind, set())
    assert ends == wanted | ({".4.111"} if ".4.50" in wanted else set())
    assert [child.pid for child in psutil.Process().children()] == [child.pid for child in before]
