"""A CT series that nobody lay in the scanner for: a body with lungs, a spine and a bright sphere.

DICOM PS3.3 A.3 (CT Image IOD), C.7.6.2 (Image Plane).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

__all__ = ["PATIENT_NAME", "SLICES", "SPHERE", "STUDY_UID", "ct_series"]

PATIENT_NAME = "Phantom^Torso"
STUDY_UID = "1.2.826.0.1.3680043.10.1511.77.1"
SIZE = 256
"""Rows and columns; a pixel is 1.5 mm wide, a slice 5 mm thick."""
SLICES = 20

SPHERE = (76, 176)
"""Row and column of the middle of the bright sphere, which is in the slices from the middle one on."""
_SPHERE_RADIUS = 17


def ct_series() -> Iterator[Dataset]:
    """The slices of the phantom, from the feet to the head."""
    for index in range(SLICES):
        yield _slice(index)


def _slice(index: int) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = f"{STUDY_UID}.1.{index + 1}"
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240311"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "093000"
    ds.AccessionNumber = "PH1"
    ds.Modality = "CT"
    ds.Manufacturer = "dicomkit"
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Phantom of a torso"
    ds.SeriesDescription = "Axial 5 mm"
    ds.PatientName = PATIENT_NAME
    ds.PatientID = "PHANTOM-1"
    ds.PatientBirthDate = ""
    ds.PatientSex = "O"
    ds.BodyPartExamined = "CHEST"
    ds.SliceThickness = "5"
    ds.KVP = "120"
    ds.PatientPosition = "HFS"
    ds.StudyInstanceUID = STUDY_UID
    ds.SeriesInstanceUID = f"{STUDY_UID}.1"
    ds.StudyID = "1"
    ds.SeriesNumber = 1
    ds.AcquisitionNumber = 1
    ds.InstanceNumber = index + 1
    ds.ImagePositionPatient = ["-192", "-192", str(5 * index)]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.FrameOfReferenceUID = f"{STUDY_UID}.2"
    ds.PositionReferenceIndicator = ""
    ds.SliceLocation = str(5 * index)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = SIZE
    ds.PixelSpacing = ["1.5", "1.5"]
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.add_new("PixelData", "OW", (_hounsfield(index) + 1024).astype("<u2").tobytes())
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _hounsfield(index: int) -> npt.NDArray[np.int32]:
    """Air, soft tissue, lungs that narrow to the head, bone, and the sphere; with a little noise."""
    rows, columns = np.mgrid[:SIZE, :SIZE]

    def ellipse(row: float, column: float, height: float, width: float) -> npt.NDArray[np.bool_]:
        inside: npt.NDArray[np.bool_] = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 <= 1
        return inside

    image = np.full((SIZE, SIZE), -1000, dtype=np.int32)
    image[ellipse(128, 128, 82, 112)] = -90
    image[ellipse(128, 128, 76, 105)] = 20
    lung = 44 - index
    for column in (80, 176):
        image[ellipse(124, column, lung, 0.7 * lung)] = -820
    image[ellipse(124, 128, 28, 18)] = 60
    image[ellipse(182, 128, 17, 19)] = 600
    image[ellipse(182, 128, 12, 14)] = 220
    radius_squared = _SPHERE_RADIUS**2 - (4 * (index - 3 * SLICES // 4)) ** 2
    if index >= SLICES // 2 and radius_squared > 0:
        radius = radius_squared**0.5
        image[ellipse(*SPHERE, radius, radius)] = 900
    noise = np.random.default_rng(index).normal(0, 8, image.shape)
    return np.clip(image + noise.astype(np.int32), -1024, 3071)
