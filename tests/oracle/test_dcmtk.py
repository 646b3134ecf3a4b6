"""DCMTK beside the engine: metadata, transcoding and pictures of every file of pydicom's wheel."""

from __future__ import annotations

import base64
import io
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian

import dicomkit as dk
from dicomkit.pixels.syntaxes import JPEG_LOSSY
from tests.oracle import dcmtk
from tests.oracle.dcmtk import needs_dcmtk
from tests.oracle.every_file import WHEEL_NAMES, Kept, keep_all
from tests.oracle.json_agreement import Agreement

pytestmark = [needs_dcmtk, pytest.mark.filterwarnings("ignore::UserWarning:pydicom")]

RULES = {
    "character set": "JSON is UTF-8 (PS3.18 F.2). DCMTK names that, the engine and pydicom that of the file",
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
        yield keep_all(dataset, WHEEL_NAMES)


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


@pytest.mark.parametrize("name", WHEEL_NAMES)
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


DECODERS = {
    "1.2.840.10008.1.2": ("dcmconv", "+te"),
    "1.2.840.10008.1.2.1": ("dcmconv", "+te"),
    "1.2.840.10008.1.2.1.99": ("dcmconv", "+te"),
    "1.2.840.10008.1.2.2": ("dcmconv", "+te"),
    "1.2.840.10008.1.2.4.50": ("dcmdjpeg",),
    "1.2.840.10008.1.2.4.51": ("dcmdjpeg",),
    "1.2.840.10008.1.2.4.57": ("dcmdjpeg", "+cn"),  # the colours are already those that the file names
    "1.2.840.10008.1.2.4.70": ("dcmdjpeg", "+cn"),
    "1.2.840.10008.1.2.4.80": ("dcmdjpls",),
    "1.2.840.10008.1.2.5": ("dcmdrle",),
}
"""Transfer syntax -> the tool that makes Explicit VR Little Endian of it; Debian's DCMTK has no JPEG 2000."""

WRITTEN = sorted(DECODERS.keys() - JPEG_LOSSY - {"1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"})
"""What the engine writes without loss, and DCMTK reads."""

NO_IMAGE = {
    "SC_rgb_jpeg.dcm": "not read by DCMTK",
    "JPEG2000-embedded-sequence-delimiter.dcm": "a codestream that was cut",
    "badVR.dcm": "NumberOfFrames is no number",
}
"""Files whose pixels cannot be compared, and why."""


def is_image(kept: Kept | str) -> bool:
    """Whether the file is stored and has pixels that both can be asked for."""
    return (
        isinstance(kept, Kept) and kept.path.name not in NO_IMAGE and {"PixelData", "Rows"} <= set(kept.dataset().dir())
    )


def decoded(data: bytes, syntax: str, scratch: Path) -> pydicom.Dataset:
    """A file by DCMTK in Explicit VR Little Endian."""
    source, target = scratch / "source.dcm", scratch / "target.dcm"
    source.write_bytes(data)
    dcmtk.run(*DECODERS[syntax], source, target)
    return pydicom.dcmread(target)


@pytest.mark.parametrize("name", WHEEL_NAMES)
def test_decompressed_pixels_are_those_of_dcmtk(files: Mapping[str, Kept | str], name: str, tmp_path: Path) -> None:
    """Byte by byte, of every image whose compression DCMTK knows, lossy JPEG and its colours too; dcmftest takes it."""
    kept = files[name]
    if not is_image(kept) or (syntax := kept.dataset().file_meta.TransferSyntaxUID) not in DECODERS:
        return
    ours = kept.get(accept=f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}").content
    theirs = decoded(kept.data, syntax, tmp_path)
    found = pydicom.dcmread(io.BytesIO(ours))
    if kept.path.name.startswith("rtdose_expb"):  # "words" in RULES
        expected = np.frombuffer(theirs.PixelData, "<u2").reshape(-1, 2)[:, ::-1].tobytes()
    else:
        expected = theirs.PixelData
    assert found.PixelData == expected
    assert found.PhotometricInterpretation == theirs.PhotometricInterpretation
    (tmp_path / "ours.dcm").write_bytes(ours)
    assert dcmtk.run("dcmftest", tmp_path / "ours.dcm").startswith(b"yes: ")


def kinds(files: Mapping[str, Kept | str]) -> list[Kept]:
    """An image for each way to lay out pixels."""
    found = {}
    for kept in files.values():
        if is_image(kept):
            dataset = kept.dataset()
            keywords = ("PhotometricInterpretation", "BitsAllocated", "BitsStored", "PixelRepresentation")
            found.setdefault((*(dataset.get(k) for k in keywords), "NumberOfFrames" in dataset), kept)
    return list(found.values())


@pytest.mark.parametrize("target", WRITTEN)
def test_what_the_engine_compresses_dcmtk_reads(files: Mapping[str, Kept | str], target: str, tmp_path: Path) -> None:
    """The same pixels, of each kind of image that the transfer syntax can hold; dcmftest takes the file."""
    compared = 0
    for kept in kinds(files):
        answer = kept.session.get(kept.url, headers={"Accept": f"application/dicom; transfer-syntax={target}"})
        if answer.status_code == 406:
            assert "cannot be transcoded to" in answer.json()["error"]["message"]
            continue
        uncompressed = kept.get(accept=f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}").content
        (tmp_path / "ours.dcm").write_bytes(answer.content)
        assert dcmtk.run("dcmftest", tmp_path / "ours.dcm").startswith(b"yes: ")
        np.testing.assert_array_equal(
            decoded(answer.content, target, tmp_path).pixel_array,
            pydicom.dcmread(io.BytesIO(uncompressed)).pixel_array,
        )
        compared += 1
    assert compared >= 15


@pytest.mark.parametrize("name", WHEEL_NAMES)
def test_pictures_are_those_of_dcmtk(files: Mapping[str, Kept | str], name: str, tmp_path: Path) -> None:
    """Colours, and grey through the window of the file, to the rounding of a half; DCMTK has no picture of others."""
    kept = files[name]
    if not is_image(kept):
        return
    dataset = kept.dataset()
    window = ["+Wi", "1"] if "WindowCenter" in dataset else []
    if DECODERS.get(dataset.file_meta.TransferSyntaxUID, ("dcmdjpls",)) == ("dcmdjpls",):
        return  # dcmj2pnm knows no more
    if dataset.SamplesPerPixel == 1 and not window:
        return  # without a window each shows what it likes (PS3.3 section C.11.2.1.2)
    target = tmp_path / "theirs.png"
    dcmtk.run("dcmj2pnm", "+on", "-O", *window, kept.path, target)
    theirs = np.asarray(Image.open(target), dtype=np.int16)
    ours = np.asarray(Image.open(io.BytesIO(kept.get(f"{kept.url}/frames/1/rendered", "image/png").content)))
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1
