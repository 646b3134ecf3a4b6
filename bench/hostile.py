"""What one hostile file costs an upload, in seconds and in memory, each in a process of its own.

Run as ``python -m bench.hostile FOLDER NAME`` it is that process: it uploads the file between two good ones, checks
that it is the one that failed, and prints a line of JSON.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom

import dicomkit as dk
from bench.measure import Row
from bench.memory import Peak

__all__ = ["run"]

TARGET_S = 2.0
TARGET_MIB = 150

_EXPLICIT, _IMPLICIT, _DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99"
_WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"


def _element(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
    return head + (struct.pack("<HI", 0, size) if vr in (b"SQ", b"UN", b"OB") else struct.pack("<H", size)) + value


def _uid(text: str) -> bytes:
    return text.encode() + b"\x00" * (len(text) % 2)


def _head(syntax: str = _EXPLICIT) -> bytes:
    return b"\x00" * 128 + b"DICM" + _element(0x00020010, b"UI", _uid(syntax))


def _identity(study: bytes = b"1.2.3\x00") -> bytes:
    return (
        _element(0x00080016, b"UI", _uid("1.2.840.10008.5.1.4.1.1.88.11"))
        + _element(0x00080018, b"UI", _uid("1.2.3.4.5"))
        + _element(0x0020000D, b"UI", study)
        + _element(0x0020000E, b"UI", _uid("1.2.3.4"))
    )


def _bomb(size: int) -> bytes:
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return _head(_DEFLATED) + engine.compress(_identity()) + engine.compress(b"\x00" * size) + engine.flush()


def _file(*elements: bytes) -> bytes:
    return _head() + _identity() + b"".join(elements)


_ITEM = b"\xfe\xff\x00\xe0"
_OPEN = 0xFFFFFFFF

CASES: dict[str, Callable[[], bytes]] = {
    "garbage, 4 MB": lambda: bytes(range(256)) * 16_384,
    "truncated": lambda: (_WHEEL / "MR_truncated.dcm").read_bytes(),
    "no UIDs": lambda: _head() + _element(0x00100020, b"LO", b"P1"),
    "UID ../../x": lambda: _head() + _identity(b"../../x\x00"),
    "UID with a newline": lambda: _head() + _identity(b"1.2.3\n"),
    "UID of 65 characters": lambda: _head() + _identity(b"1" * 65 + b"\x00"),
    "deflate bomb, 1 MB for 1 GiB": lambda: _bomb(1 << 30),
    "a million empty elements": lambda: _file(
        *[struct.pack("<HH2sH", 0x0009, i % 0xFFFF, b"LO", 0) for i in range(1_000_000)]
    ),
    "a million items": lambda: _file(_element(0x00400275, b"SQ", (_ITEM + b"\x00" * 4) * 1_000_000, _OPEN)),
    "nesting of 100,000": lambda: _file(*[_element(0x00400275, b"SQ", _ITEM + b"\xff" * 4, _OPEN)] * 100_000),
    "IS with a million values": lambda: (
        _head(_IMPLICIT) + struct.pack("<HHI", 0x0020, 0x0013, 2_000_000) + b"1\\" * 1_000_000
    ),
    "zeros after UN without length, 4 MB": lambda: _file(_element(0x00091001, b"UN", b"\x00" * 4_000_000, _OPEN)),
    "NaN": lambda: _file(_element(0x00189073, b"FD", struct.pack("<d", float("nan")))),
    "unknown VR": lambda: _file(_element(0x00100020, b"ZZ", b"P1")),
    "wrong character set": lambda: _head() + _element(0x00080005, b"CS", b"unicode_escape") + _identity(),
}


def _child(folder: Path, name: str) -> dict[str, object]:
    path = folder / "hostile.dcm"
    path.write_bytes(CASES[name]())
    good = [_WHEEL / "CT_small.dcm", _WHEEL / "MR_small.dcm"]
    outcomes: list[str] = []
    with dk.connect(folder / "home") as dataset:
        store = dataset.create_store("bench")
        store.upload([_WHEEL / "rtplan.dcm"])  # imports and caches first
        peak, start = Peak(), time.perf_counter()
        added = peak.added(lambda: outcomes.extend(store.upload([good[0], path, good[1]])["outcome"]))
        seconds = time.perf_counter() - start
        found = len(store.search_instances())
    if outcomes != ["stored", "failed", "stored"] or found != 3:
        raise AssertionError(f"{name}: {outcomes}, {found} instances")
    return {"seconds": seconds, "resident": added["resident"]}


def run(*, repeat: int, quick: bool) -> Iterator[Row]:
    """Yield a row for each case; one run each, whatever *repeat* says, for the figures are bounds."""
    del repeat
    for name in list(CASES)[:3] if quick else CASES:
        with tempfile.TemporaryDirectory(prefix="dicomkit-bench-") as folder:
            done = subprocess.run(
                [sys.executable, "-m", "bench.hostile", folder, name], capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise RuntimeError(f"{name}: the measuring process ended with {done.returncode}: {done.stderr[-2000:]}")
        cost = json.loads(done.stdout.splitlines()[-1])
        yield Row(
            what=f"one bad file among three: {name}",
            ours=f"{cost['seconds']:.2f} s, {cost['resident']:.0f} MiB",
            theirs=f"{TARGET_S:.0f} s and {TARGET_MIB} MiB allowed",
            ratios=[max(cost["seconds"] / TARGET_S, cost["resident"] / TARGET_MIB)],
            target="<= 1",
        )


if __name__ == "__main__":
    print(json.dumps(_child(Path(sys.argv[1]), sys.argv[2])))
