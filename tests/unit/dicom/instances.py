"""Small named factories of Part 10 files, for the tests of everything that reads them."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

WHEEL = Path(pydicom.__file__).parent / "data" / "test_files"

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def wheel(name: str) -> bytes:
    """A real file of pydicom's wheel."""
    return (WHEEL / name).read_bytes()


def ct(**attributes: Any) -> Dataset:
    """A CT slice of 2 x 2 pixels."""
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "P1"
    dataset.StudyDate = "20240229"
    dataset.Rows = dataset.Columns = 2
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.SamplesPerPixel = 1
    dataset.PixelRepresentation = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = b"\x01\x00\x02\x00\x03\x00\x04\x00"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def part10(dataset: Dataset, syntax: str = "explicit") -> bytes:
    """The file of a dataset, written by pydicom."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset["PixelData"].VR = "OW"
    out = io.BytesIO()
    pydicom.dcmwrite(out, dataset, enforce_file_format=True, overwrite=True)
    return out.getvalue()


def element(tag: int, vr: str, value: bytes, length: int | None = None) -> bytes:
    """One explicit little endian element, as it is or with a false length."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    size = len(value) if length is None else length
    if vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"):
        return head + struct.pack("<HI", 0, size) + value
    return head + struct.pack("<H", size) + value


def raw_part10(*elements: bytes, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """A file put together by hand: preamble, transfer syntax, the identity of an SR, and *elements*."""
    uid = syntax.encode() + (b"\x00" if len(syntax) % 2 else b"")
    meta = element(0x00020010, "UI", uid)
    identity = (
        element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.88.11\x00")
        + element(0x00080018, "UI", b"1.2.3.4.5\x00")
        + element(0x0020000D, "UI", b"1.2.3\x00")
        + element(0x0020000E, "UI", b"1.2.3.4\x00")
    )
    return b"\x00" * 128 + b"DICM" + meta + identity + b"".join(elements)
