"""DCMTK beside the engine: metadata, transcoding and pictures of every file of pydicom's wheel."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dicomkit as dk
from tests.oracle import dcmtk
from tests.oracle.dcmtk import needs_dcmtk
from tests.oracle.every_file import NAMES, Kept, keep_all
from tests.oracle.json_agreement import Agreement

pytestmark = [needs_dcmtk, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

RULES = {
    "character set": "PS3.18 F.2: JSON is UTF-8. DCMTK names that; the engine, as pydicom, what the file was written in",
    "rounded": "DCMTK writes floating point numbers with so many digits that the last bit may be another",
    "empty components": "PS3.5 6.2.1: delimiters behind the last component of a name mean nothing; DCMTK drops them",
    "compressed": "dcm2json has no form for compressed pixel data; they are taken out before",
    "unknown": "elements under UN have the VR of the dictionary (PS3.5 6.2.2); DCMTK leaves them as they are",
    "words": "DCMTK turns round words of 16 bits also where a pixel has 32; the engine and pydicom turn pixels",
}
"""Why the engine and DCMTK may differ, beside the rules that hold for pydicom."""

UNREAD = {
    "chrH31.dcm": "Cannot open character encoding",
    "chrH32.dcm": "Cannot open character encoding",
    "J2K_pixelrep_mismatch.dcm": "Cannot open character encoding",
    "SC_rgb_jpeg.dcm": "than remaining bytes in file",
}
"""Files that DCMTK as Debian builds it does not read, and its reason."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Kept | str]]:
    """What became of each file."""
    with dk.connect(tmp_path_factory.mktemp("dcmtk") / "home") as dataset:
        yield keep_all(dataset)


def explain(tag: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """The rule of ``RULES`` for an element."""
    a, b = ours.get("Value", []), theirs.get("Value", [])
    if tag == "00080005" and b == ["ISO_IR 192"]:
        return "character set"
    if tag == "7FE00010" and not theirs:
        return "compressed"
    vr = ours.get("vr")
    if theirs.get("vr") == "UN" and vr != "UN":
        return "unknown"
    if tag == "7FE00010" and np.array_equal(_words(ours)[:, ::-1], _words(theirs)):
        return "words"
    if vr in ("FL", "FD") and np.allclose(a, b, rtol=1e-8 if vr == "FL" else 1e-15, atol=0):
        return "rounded"
    if vr == "PN":
        names = [{group: text.rstrip("^") for group, text in name.items()} for name in a]
        if [name for name in names if any(name.values())] == b:
            return "empty components"
    return None


def _words(element: dict[str, Any]) -> np.ndarray:
    """Pairs of 16 bits."""
    return np.frombuffer(base64.b64decode(element["InlineBinary"]), dtype="<u2").reshape(-1, 2)


@pytest.mark.parametrize("name", NAMES)
def test_metadata_are_those_of_dcm2json(files: Mapping[str, Kept | str], name: str, tmp_path: Path) -> None:
    """Element by element, at every depth, and the bytes of binary values; the differences are those of the tables."""
    kept = files[name]
    if not isinstance(kept, Kept):
        return
    if kept.path.name in UNREAD:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            dcmtk.as_json(kept.path, tmp_path)
        assert UNREAD[kept.path.name].encode() in caught.value.stderr
        return
    ours = {tag: element for tag, element in kept.metadata().items() if not tag.startswith("0002")}
    theirs = dcmtk.as_json(kept.path, tmp_path)
    agreement = Agreement(kept.bulk, big_endian=kept.is_big_endian, explain=explain)
    agreement.compare(ours, theirs)
    assert agreement.count >= len(ours) > 0
    known = RULES.keys() | {"group length", "trailing padding"} | ({"byte order"} if kept.is_big_endian else set())
    assert agreement.found <= known
