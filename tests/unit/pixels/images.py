"""Small images made by pydicom, with pixels that vary."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MultiFrameGrayscaleWordSecondaryCaptureImageStorage, RLELossless

from tests.contract.instances import ROOT

Array = npt.NDArray[Any]


def ramp(shape: tuple[int, ...], dtype: str, stored: int) -> Array:
    """Pixels that rise, with a little noise: the lowest and the highest value of *stored* bits are among them."""
    kind = np.dtype(dtype)
    low = -(1 << (stored - 1)) if kind.kind == "i" else 0
    high = low + (1 << stored) - 1
    count = int(np.prod(shape))
    values = np.linspace(low, high, count) + np.random.default_rng(7).normal(0, (high - low) / 200, count)
    values[0], values[-1] = low, high
    return np.clip(values, low, high).astype(kind).reshape(shape)


def image(
    *,
    dtype: str = "u1",
    stored: int | None = None,
    samples: int = 1,
    photometric: str | None = None,
    planar: int = 0,
    frames: int = 1,
    rows: int = 36,
    columns: int = 52,
    array: Array | None = None,
    syntax: str = ExplicitVRLittleEndian,
    **values: Any,
) -> bytes:
    """An image as a file; attributes by keyword replace what is set here, ``None`` leaves one out."""
    kind = np.dtype(dtype)
    stored = stored or 8 * kind.itemsize
    if array is None:
        array = ramp((frames, rows, columns, samples), dtype, stored)
    if planar:
        array = array.transpose(0, 3, 1, 2)
    ds = Dataset()
    ds.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{ROOT}.9.1.1", f"{ROOT}.9", f"{ROOT}.9.1"
    ds.PatientName, ds.PatientID = "Test^Pixels", "P9"
    ds.SamplesPerPixel = samples
    ds.PhotometricInterpretation = photometric or ("MONOCHROME2" if samples == 1 else "RGB")
    if samples > 1:
        ds.PlanarConfiguration = planar
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * kind.itemsize, stored, stored - 1
    ds.PixelRepresentation = int(kind.kind == "i")
    data = array.tobytes()
    ds.add_new("PixelData", "OW" if kind.itemsize > 1 else "OB", data + b"\0" * (len(data) % 2))
    for keyword, value in values.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return part10(ds, syntax)


def part10(ds: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """*ds* as a file, its values as they are."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    known = UID(syntax).is_transfer_syntax
    if not known:
        # One that pydicom 3.0 has no name for; it is put in afterwards.
        ds.file_meta.TransferSyntaxUID = RLELossless
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    data = buffer.getvalue()
    if known:
        return data
    at = data.index(b"\x02\0\x10\0UI")
    old = 8 + int.from_bytes(data[at + 6 : at + 8], "little")
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    length = int.from_bytes(data[140:144], "little") + 8 + len(value) - old
    new = b"\x02\0\x10\0UI" + struct.pack("<H", len(value)) + value
    return data[:140] + struct.pack("<I", length) + data[144:at] + new + data[at + old :]


def sequence(**values: Any) -> Sequence:
    """A sequence of one item."""
    item = Dataset()
    for keyword, value in values.items():
        if keyword == "LUTData":
            item.add_new("LUTData", "US", value)
        else:
            setattr(item, keyword, value)
    return Sequence([item])
