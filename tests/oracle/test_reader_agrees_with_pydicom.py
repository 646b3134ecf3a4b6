"""The reader against pydicom, on every file of pydicom's wheel: element by element, at every depth."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import config

from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError

FILES_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
FILES = sorted(f for f in FILES_FOLDER.rglob("*") if f.is_file())

REFUSED = {
    "DICOMDIR-nooffset": "an item's length goes beyond its sequence; pydicom does not look",
    "MR_truncated.dcm": "the pixel data are shorter than declared; pydicom cuts the value short",
    "README": "no DICOM",
    "README.txt": "no DICOM",
    "README.md": "no DICOM",
    "crayons.icc": "an ICC profile",
    "no_meta.dcm": "begins with a stray byte; pydicom reads nonsense tags",
    "rtplan.dump": "the text of a dump",
    "rtplan_truncated.dcm": "cut inside a sequence; pydicom gives what was before it",
    "rtstruct.dump": "the text of a dump",
    "test1.json": "DICOM JSON",
    "test_PN.json": "DICOM JSON",
    "zipMR.gz": "a gzip file",
}
"""Files of the wheel that the reader refuses, with the reason."""

PYDICOM_CANNOT = {"badVR.dcm": "IS holds 1A, which pydicom cannot make a number of; the reader keeps the text"}
"""Files that pydicom reads but can't turn into DICOM JSON."""

DIFFERENT = {
    "693_J2KI.dcm": {"padding"},
    "SC_rgb_gdcm_KY.dcm": {"padding"},
    "SC_rgb_jpeg_lossy_gdcm.dcm": {"padding"},
    "CT_small.dcm": {"trailing padding"},
    "MR_small.dcm": {"trailing padding"},
    "MR_small_RLE.dcm": {"trailing padding"},
    "MR_small_expb.dcm": {"trailing padding"},
    "MR_small_jp2klossless.dcm": {"trailing padding"},
    "MR_small_jpeg_ls_lossless.dcm": {"trailing padding"},
    "MR_small_padded.dcm": {"trailing padding"},
    "examples_rgb_color.dcm": {"trailing padding"},
    "examples_ybr_color.dcm": {"null"},
    "examples_overlay.dcm": {"null"},
}
"""Where the two differ, and by which of the rules in ``_explain``."""


def _oracle(raw: bytes) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(raw), force=True)
        return dataset.to_json_dict(bulk_data_threshold=1, bulk_data_element_handler=lambda element: "bulk")


def _explain(tag: str, ours: dict[str, Any] | None, theirs: dict[str, Any] | None) -> str:
    """The rule that explains a difference, or the difference itself."""
    if ours is None and theirs is not None:
        if tag[4:] == "0000":
            return "group length"  # PS3.18 F.2.2 leaves it out
        if tag == "FFFCFFFC":
            return "trailing padding"  # PS3.10 7.2: not part of the instance
    elif ours is not None and theirs is not None and ours["vr"] == theirs["vr"]:
        a, b = ours.get("Value", []), theirs.get("Value", [])
        if [x or None for x in a] == [x or None for x in b]:
            return "null"  # PS3.18 F.2.5: an empty value among several is null, pydicom writes ""
        if [str(x).strip() for x in a] == [str(x).strip() for x in b]:
            return "padding"  # PS3.5 6.2: spaces around CS are not significant, also inside a list
    return f"{tag}: {ours} / {theirs}"


def _compare(ours: dict[str, Any], theirs: dict[str, Any], found: set[str]) -> int:
    count = 0
    for tag in ours.keys() | theirs.keys():
        count += 1
        a, b = ours.get(tag), theirs.get(tag)
        if a is None or b is None or a["vr"] != b["vr"]:
            found.add(_explain(tag, a, b))
        elif a["vr"] == "SQ":
            items, expected = a.get("Value", []), b.get("Value", [])
            if len(items) != len(expected):
                found.add(f"{tag}: {len(items)} items / {len(expected)}")
            for x, y in zip(items, expected, strict=False):
                count += _compare(x, y, found)
        elif "BulkDataURI" in a or "InlineBinary" in a:
            if not ({"BulkDataURI", "InlineBinary"} & b.keys()):
                found.add(_explain(tag, a, b))
        elif a.get("Value") != b.get("Value"):
            found.add(_explain(tag, a, b))
    return count


@pytest.fixture(autouse=True)
def _no_validation() -> Any:
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    yield
    config.settings.reading_validation_mode = before


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(FILES_FOLDER)))
def test_every_element_of_a_file_is_what_pydicom_reads(path: Path) -> None:
    """Same elements, VRs, values and nesting, but for the differences that stand in the table with their rule."""
    raw = path.read_bytes()
    if path.name in REFUSED:
        with pytest.raises(DicomFormatError):
            read_part10(raw, require_uids=False)
        return
    part = read_part10(raw, require_uids=False)
    part.use_numbers()
    if path.name in PYDICOM_CANNOT:
        with pytest.raises(ValueError, match="invalid literal"):
            _oracle(raw)
        return
    found: set[str] = set()
    compared = _compare(part.elements, _oracle(raw), found)
    found.discard("group length")
    assert found == DIFFERENT.get(path.name, set())
    assert compared >= len(part.elements)


def test_the_wheel_brings_files_of_many_kinds() -> None:
    """The comparison above is over more than 150 files, so that an empty folder can't make it pass."""
    assert len(FILES) > 150


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "rtdose.dcm"])
def test_bulk_offsets_point_at_the_value(name: str) -> None:
    """The bytes at an offset are those that pydicom gives as pixel data."""
    raw = (FILES_FOLDER / name).read_bytes()
    part = read_part10(raw)
    pixels = next(b for b in part.bulk if b.path == "7FE00010")
    expected = pydicom.dcmread(io.BytesIO(raw)).PixelData
    if pixels.fragments is None:
        assert raw[pixels.offset : pixels.offset + pixels.length] == expected
    else:
        # pydicom keeps the items with their headers, and drops the sequence delimiter or not by version.
        assert expected.startswith(raw[pixels.offset : pixels.offset + pixels.length - 8])
