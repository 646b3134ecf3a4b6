"""The table of transfer syntaxes in ``docs/pixels.md`` says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from dicomkit import pixels
from dicomkit.pixels.syntaxes import LOSSY_METHOD

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pixels.md"


def test_the_table_is_true() -> None:
    """Each syntax that is read or written has its row, with what is done with it, and no other has one."""
    rows = re.findall(r"^\| `([\d.]+)` \| [^|]+ \| (\w*) \| (\w*) \| (\w*) \|$", PAGE.read_text(), re.MULTILINE)
    assert {uid for uid, *_ in rows} == pixels.READABLE | pixels.WRITABLE
    for uid, read, written, lossy in rows:
        assert (read == "yes") == (uid in pixels.READABLE)
        assert (written == "yes") == (uid in pixels.WRITABLE)
        assert (lossy == "yes") == (uid in LOSSY_METHOD)


def test_the_documented_syntaxes_are_those_of_the_service() -> None:
    """The list of the conformance statement, and Explicit VR Big Endian as a source."""
    base = "1.2.840.10008.1.2"
    endings = ["", ".1", ".1.99", ".5", ".8.1"]
    endings += [f".4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 110, 111, 112, 201, 202, 203)]
    assert {base + ending for ending in endings} == pixels.DOCUMENTED
    assert pixels.READABLE - pixels.DOCUMENTED == {base + ".2"}
