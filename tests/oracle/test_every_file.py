"""Every file of pydicom's wheel: stored whole or refused for a reason, and then what pydicom reads in it.

``DICOMKIT_EXTRA_DICOM=FOLDER pytest tests/oracle/test_every_file.py`` does the same with files of your own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.pixels import pixel_array

import dicomkit as dk
from dicomkit.errors import DicomkitError
from dicomkit.pixels.syntaxes import JPEG_LOSSY
from tests.oracle.every_file import FILES, NAMES, WHEEL_NAMES, Kept, keep_all, read
from tests.oracle.json_agreement import DIFFERENT, RULES, Agreement, as_json

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")  # of files with values that break rules


def _has_no(keyword: str) -> Callable[[bytes], bool]:
    return lambda data: not read(data).get(keyword)


def _is_no_dicom(data: bytes) -> bool:
    try:
        pydicom.dcmread(pydicom.filebase.DicomBytesIO(data))
    except pydicom.errors.InvalidDicomError:
        return True
    return False


def _is_longer_declared(data: bytes) -> bool:
    """The file ends before its last element does; pydicom cuts that value short, or gives what was before it."""
    return data[128:132] == b"DICM"


REASONS: dict[str, Callable[[bytes], bool]] = {
    r"this is no DICOM file: neither a preamble nor the beginning of a dataset": _is_no_dicom,
    r"this is a DICOMDIR: an index of files, with no instance of its own": lambda data: (
        "DirectoryRecordSequence" in read(data)
    ),
    r"StudyInstanceUID is missing": _has_no("StudyInstanceUID"),
    r"StudyInstanceUID is no UID: it must be 1 to 64 digits and dots": lambda data: (
        not read(data).StudyInstanceUID.is_valid
    ),
    r"an image without its pixel data: the file was cut before them, or is a header only": _has_no("PixelData"),
    r"(a value|an item) of \d+ bytes is declared, \d+ are there": _is_longer_declared,
    r"pixel data end without their delimiter": _is_longer_declared,
}
"""Why a file is refused, and what pydicom finds in it."""

REFUSED = Counter(
    {
        "this is no DICOM file": 12,
        "this is a DICOMDIR": 7,
        "StudyInstanceUID is missing": 20,
        "an image without its pixel data": 53,
        "a value": 2,
        "an item": 1,
    }
)
"""Files of the wheel that are refused, by the beginning of the reason."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Kept | str]]:
    """What became of each file."""
    with dk.connect(tmp_path_factory.mktemp("every") / "home") as dataset:
        yield keep_all(dataset)


@pytest.fixture(autouse=True)
def _no_validation() -> Iterator[None]:
    before = config.settings.reading_validation_mode
    config.settings.reading_validation_mode = config.IGNORE
    yield
    config.settings.reading_validation_mode = before


@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_back_bit_by_bit_or_was_refused_for_a_reason(files: Mapping[str, Kept | str], name: str) -> None:
    """The reason is a sentence of the table above, and true by what pydicom reads in the file."""
    kept = files[name]
    if isinstance(kept, Kept):
        assert kept.get().content == kept.data
    else:
        (holds,) = [holds for text, holds in REASONS.items() if re.match(text, kept)]
        assert holds(FILES[name].read_bytes())


def test_what_is_refused_of_the_wheel(files: Mapping[str, Kept | str]) -> None:
    """So many files for each reason; all others are stored."""
    of_the_wheel = {name: kept for name, kept in files.items() if name in WHEEL_NAMES}
    found = Counter(
        next(text for text in REFUSED if kept.startswith(text)) for kept in of_the_wheel.values() if type(kept) is str
    )
    assert found == REFUSED
    assert len(of_the_wheel) - found.total() > 100


@pytest.mark.parametrize("name", NAMES)
def test_metadata_and_bulk_data_are_what_pydicom_reads(files: Mapping[str, Kept | str], name: str) -> None:
    """Same elements, VRs, values, nesting and bytes, the file meta information too, but for the rules in the table."""
    kept = files[name]
    if not isinstance(kept, Kept):
        return
    dataset = pydicom.dcmread(kept.path, force=True)
    theirs = as_json(dataset)
    theirs |= dataset.file_meta.to_json_dict()
    theirs.pop("00020001", None)  # the service does not show the version of the file meta information
    agreement = Agreement(kept.bulk, big_endian=kept.is_big_endian)
    agreement.compare(kept.metadata(), theirs)
    assert agreement.count >= len(theirs)
    expected = {"group length"}
    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        expected.add("delimiter")
    if kept.is_big_endian:
        expected.add("byte order")
    found = agreement.found - expected
    if name in WHEEL_NAMES:
        assert found == DIFFERENT.get(kept.path.name, set())
    else:
        assert found <= RULES.keys()


UNDECODED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "a codestream that was cut to test how a parser looks for its end",
    "badVR.dcm": "NumberOfFrames is no number",
    "liver_j2k.dcm": "compressed bits, which the service has only between native transfer syntaxes",
    "liver_nonbyte_aligned_j2k.dcm": "as the one above",
    "liver_rle.dcm": "as the one above; pydicom cannot either",
    "liver_nonbyte_aligned_rle.dcm": "as the one above; pydicom cannot either",
    "example3.dcm": "the JPEG header breaks rules; pydicom cannot either",
    "RTSTRUCT.dcm": "pixel data of no columns; pydicom cannot either",
}
"""Files whose pixels the engine does not decode, and why."""

UNDECODED_BY_PYDICOM = {
    "JPEG-lossy.dcm": "the scan's header breaks the rule for sequential JPEG; the engine's codec reads it",
    "liver_deflate.dcm": "Deflated Image Frame Compression, which pydicom 3.0 does not have",
    "liver_nonbyte_aligned_deflate.dcm": "as the one above",
}
"""Files whose pixels only the engine decodes."""

OFF_BY_ONE = {
    "sample-op.dcm": "named JPEG Lossless, but baseline JPEG; DCMTK decodes the same as the engine, bit by bit",
}
"""Files whose pixels are lossy against their transfer syntax."""


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_the_pixels_that_pydicom_decodes(files: Mapping[str, Kept | str], name: str) -> None:
    """Exactly where the compression loses nothing, else within the rounding of two decoders."""
    kept = files[name]
    if not isinstance(kept, Kept) or not {"PixelData", "FloatPixelData"} & set(kept.dataset().dir()):
        return
    dataset = kept.dataset()
    if kept.path.name in UNDECODED:
        with pytest.raises(DicomkitError):
            kept.store.frames(*kept.uids)
        return
    got = kept.store.frames(*kept.uids)
    if kept.path.name in UNDECODED_BY_PYDICOM:
        with pytest.raises((RuntimeError, NotImplementedError)):
            pixel_array(dataset)
        return
    is_lossy = dataset.file_meta.TransferSyntaxUID in JPEG_LOSSY
    # Lossy JPEG changes colours itself, so that they are RGB afterwards.
    want = pixel_array(dataset, raw=not is_lossy).reshape(got.shape)
    if is_lossy or kept.path.name in OFF_BY_ONE:
        # Where colours are subsampled, decoders interpolate them each in their own way.
        most = 8 if "_42" in dataset.PhotometricInterpretation else 2 if dataset.SamplesPerPixel > 1 else 1
        assert np.abs(got.astype(np.int64) - want).max() <= most
    else:
        np.testing.assert_array_equal(got, want)
