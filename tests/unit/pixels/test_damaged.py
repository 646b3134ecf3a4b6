"""Thousands of damaged files: each of the four functions answers, or refuses with an error of dicomkit.

They are tried in child processes, as a server would, since a codec may die of one; that is an error of dicomkit, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from dicomkit import pixels
from dicomkit.engine.services.pixel_workers import PixelWorkers
from dicomkit.errors import DicomkitError, Internal
from tests.unit.pixels.images import image

FILES = 500
SYNTAXES = sorted(pixels.WRITABLE)


def sound() -> list[bytes]:
    """Small images of several kinds in every syntax that holds them."""
    kinds = [
        image(),
        image(dtype="i2", stored=12, frames=2, WindowCenter=10, WindowWidth=100),
        image(samples=3, planar=1),
    ]
    made = []
    for data in kinds:
        for syntax in SYNTAXES:
            try:
                made.append(pixels.transcode(data, syntax))
            except DicomkitError:
                continue
    return made


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut, with bytes left out, or with bytes changed: anywhere, or about the pixels and what describes them."""
    out = bytearray(data)
    kind = chance.random()
    if kind < 0.15:
        del out[chance.randrange(len(out)) :]
    elif kind < 0.3:
        at = chance.randrange(len(out))
        del out[at : at + chance.randrange(1, 40)]
    else:
        pixel_data = max(300, out.find(b"\xe0\x7f\x10\x00"))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(out)) if kind < 0.6 else pixel_data - 300 + chance.randrange(600)
            out[min(at, len(out) - 1)] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
    return bytes(out)


@pytest.mark.parametrize("seed", range(5))
def test_damaged_files_end_in_errors_of_ours(seed: int) -> None:
    """Two and a half thousand files, four functions: nothing but answers and typed errors, and no defect among them."""
    chance = random.Random(seed)
    files = sound()
    workers = PixelWorkers(workers=1, time_limit_s=60)
    answered = refused = 0
    try:
        for _ in range(FILES):
            data = damaged(chance.choice(files), chance)
            syntax = chance.choice(SYNTAXES)
            calls: list[Callable[[], object]] = [
                lambda data=data, syntax=syntax: workers.transcode(data, syntax),
                lambda data=data: workers.frame_count(data),
                lambda data=data, syntax=syntax: workers.frame_bytes(data, [1], transfer_syntax=syntax),
                lambda data=data: workers.render(data, 1, media_type="image/png", viewport=pixels.Viewport(16, 16)),
            ]
            for call in calls:
                try:
                    call()
                    answered += 1
                except DicomkitError as exc:
                    assert not isinstance(exc, Internal)
                    refused += 1
    finally:
        workers.close()
    assert answered > FILES // 2 and refused > FILES // 2
