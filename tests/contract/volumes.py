"""Series with a known geometry, made for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import EnhancedCTImageStorage

from tests.contract.instances import ct_slice

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
"""Two unit vectors at a right angle, by hand: 0.64 + 0.36 = 1 and 0.1296 + 0.2304 + 0.64 = 1."""

ORIGIN = np.array([-120.5, 80.25, -33.0])
SPACING = ("0.5", "0.75")


def normal_of(orientation: Sequence[float]) -> npt.NDArray[np.float64]:
    """Row times column."""
    return np.cross(orientation[:3], orientation[3:])


def pixels_of(k: int) -> npt.NDArray[np.uint16]:
    """4 x 4 pixels that no other slice has."""
    return (np.arange(16, dtype="<u2") + 16 * k).reshape(4, 4)


def plane(k: float, orientation: Sequence[float] = AXIAL, spacing_mm: float = 2.5) -> dict[str, Any]:
    """The image plane of slice *k*."""
    place = ORIGIN + normal_of(orientation) * k * spacing_mm
    return {
        "ImagePositionPatient": [f"{x:.5f}" for x in place],
        "ImageOrientationPatient": [f"{x:.5f}" for x in orientation],
        "PixelSpacing": list(SPACING),
    }


def series(
    places: Sequence[float],
    orientation: Sequence[float] = AXIAL,
    *,
    spacing_mm: float = 2.5,
    study: int = 1,
    first: int = 1,
    **attributes: Any,
) -> list[Dataset]:
    """A slice for each of *places*, in units of the spacing and in their order; the instance numbers follow it."""
    made = []
    for number, k in enumerate(places, first):
        dataset = ct_slice(study, 1, number, **plane(k, orientation, spacing_mm))
        dataset.RescaleSlope, dataset.RescaleIntercept = "1", "-1024"
        dataset.PixelData = pixels_of(int(k)).tobytes()
        dataset.BitsStored, dataset.HighBit = 12, 11
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
        made.append(dataset)
    return made


def item(**attributes: Any) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def enhanced(places: Sequence[int], orientation: Sequence[float] = OBLIQUE, *, comment: str = "") -> Dataset:
    """An enhanced CT of a frame for each of *places*."""
    dataset = ct_slice(SOPClassUID=EnhancedCTImageStorage, NumberOfFrames=len(places))
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelData = b"".join(pixels_of(k).tobytes() for k in places)
    dataset.SharedFunctionalGroupsSequence = Items(
        [
            item(
                PixelMeasuresSequence=Items([item(PixelSpacing=list(SPACING), SliceThickness="2.5")]),
                PlaneOrientationSequence=Items(
                    [item(ImageOrientationPatient=plane(0, orientation)["ImageOrientationPatient"])]
                ),
                PixelValueTransformationSequence=Items(
                    [item(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")]
                ),
            )
        ]
    )
    dataset.PerFrameFunctionalGroupsSequence = Items(
        [
            item(
                FrameContentSequence=Items([item(FrameComments=comment)]),
                PlanePositionSequence=Items([item(ImagePositionPatient=plane(k, orientation)["ImagePositionPatient"])]),
            )
            for k in places
        ]
    )
    return dataset
