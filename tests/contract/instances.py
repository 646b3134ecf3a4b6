"""Small instances made for the contract tests."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

ROOT = "1.2.826.0.1.3680043.10.1511"
"""A UID root for tests."""


def ct_slice(study: int = 1, series: int = 1, instance: int = 1, **attributes: Any) -> Dataset:
    """A CT image of 4 x 4 pixels; attributes by keyword replace what is set here."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{ROOT}.{study}.{series}.{instance}"
    dataset.StudyDate = date(2024, 1, study).strftime("%Y%m%d")
    dataset.StudyTime = "103000"
    dataset.AccessionNumber = f"A{study}"
    dataset.Modality = "CT"
    dataset.PatientName = f"Test^Patient{study}"
    dataset.PatientID = f"P{study}"
    dataset.StudyInstanceUID = f"{ROOT}.{study}"
    dataset.SeriesInstanceUID = f"{ROOT}.{study}.{series}"
    dataset.SeriesNumber = series
    dataset.InstanceNumber = instance
    dataset.SliceThickness = "2.50"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.Rows = dataset.Columns = 4
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.add_new("PixelData", "OW", bytes(range(32)))
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def part10(dataset: Dataset) -> bytes:
    """*dataset* as a file."""
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def ct_files(folder: Path, *, studies: int = 2, series: int = 2, instances: int = 3) -> list[Path]:
    """A folder per study with its files, in the order of their UIDs."""
    paths = []
    for s in range(1, studies + 1):
        for e in range(1, series + 1):
            for i in range(1, instances + 1):
                path = folder / f"study{s}" / f"series{e}" / f"{i}.dcm"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(part10(ct_slice(s, e, i)))
                paths.append(path)
    return paths
