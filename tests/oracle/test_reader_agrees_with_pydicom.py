"""The reader against pydicom, on every file of pydicom's wheel: element by element, at every depth."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import config

from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError
from tests.conftest import WHEEL
from tests.oracle.every_file import DATA
from tests.oracle.json_agreement import DIFFERENT, Agreement, as_json

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of files with values that break rules

FILES = [
    path
    for folder in ("test_files", "charset_files", "palettes")
    for path in sorted((DATA / folder).rglob("*"))
    if path.is_file()
]

REFUSED = {
    "DICOMDIR-nooffset": "an item's length goes beyond its sequence; pydicom does not look",
    "MR_truncated.dcm": "the pixel data are shorter than declared; pydicom cuts the value short",
    "FileInfo.txt": "no DICOM",
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


@pytest.fixture(autouse=True)
def _no_validation() -> Any:
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    yield
    config.settings.reading_validation_mode = before


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DATA).as_posix())
def test_every_element_of_a_file_is_what_pydicom_reads(path: Path) -> None:
    """Same elements, VRs, values, bytes and nesting, but for the differences of the table, with their rule."""
    raw = path.read_bytes()
    if path.name in REFUSED:
        with pytest.raises(DicomFormatError):
            read_part10(raw, require_uids=False)
        return
    part = read_part10(raw, require_uids=False)
    part.use_numbers()
    bulk = {value.path: part.buffer[value.offset : value.offset + value.length] for value in part.bulk}
    # The reader leaves the byte order of bulk data to who sends them, so that they are as pydicom has them.
    agreement = Agreement(bulk.__getitem__)
    agreement.compare(part.elements, as_json(pydicom.dcmread(io.BytesIO(raw), force=True)))
    assert agreement.found - {"group length", "delimiter"} == DIFFERENT.get(path.name, set())
    assert agreement.count >= len(part.elements)


def test_the_wheel_brings_files_of_many_kinds() -> None:
    """The comparison above is over more than 150 files, so that an empty folder can't make it pass."""
    assert len(FILES) > 150


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_RLE.dcm", "MR_small_bigendian.dcm", "rtdose.dcm"])
def test_bulk_offsets_point_at_the_value(name: str) -> None:
    """The bytes at an offset are those that pydicom gives as pixel data."""
    raw = (WHEEL / name).read_bytes()
    part = read_part10(raw)
    pixels = next(b for b in part.bulk if b.path == "7FE00010")
    expected = pydicom.dcmread(io.BytesIO(raw)).PixelData
    if pixels.fragments is None:
        assert raw[pixels.offset : pixels.offset + pixels.length] == expected
    else:
        # pydicom keeps the items with their headers, and drops the sequence delimiter or not by version.
        assert expected.startswith(raw[pixels.offset : pixels.offset + pixels.length - 8])
