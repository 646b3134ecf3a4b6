"""Where the slices of a series are in space, from its metadata.

Source: DICOM PS3.3 sections C.7.6.2.1.1 (image plane), C.7.6.16.2.1 to C.7.6.16.2.9 (functional groups of enhanced
multi-frame images), edition 2025b. Coordinates are those of the patient: x to the left, y to the back, z to the head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.dicom.dictionary import tag_of
from dicomkit.errors import FailedPrecondition

__all__ = [
    "MAX_FRAMES",
    "OBLIQUE_DEGREES",
    "Slice",
    "along",
    "has_lost_groups",
    "number_of",
    "numbers_of",
    "slices_of",
    "stacks_of",
    "values_of",
]

OBLIQUE_DEGREES = 10.0
"""A slice that is farther from the three planes of the body than this is called oblique."""

SAME_DIRECTION = 1e-3
"""Most difference of the direction cosines of parallel slices; 0.06 degrees."""

SAME_SPACING = 1e-3
"""Most relative difference of pixel spacings that are the same."""

MAX_FRAMES = 100_000
"""Most frames of an instance that are looked at one by one; the number is what a file says of itself."""

UNIT_LENGTH = 1e-2
"""Most by which direction cosines may miss the length of 1, and a right angle."""

Row = Mapping[str, Any]
Vector = npt.NDArray[np.float64]

_PLANES = (("sagittal", 0), ("coronal", 1), ("axial", 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One frame of one instance, and where it is."""

    study: str
    series: str
    instance: str
    frame: int
    """Number of the frame, from 1."""
    frames: int
    """How many frames the instance has."""
    number: int | None
    """InstanceNumber."""
    rows: int | None
    columns: int | None
    position: tuple[float, ...] | None
    """Centre of the first pixel in mm."""
    orientation: tuple[float, ...] | None
    """Direction cosines of a row and of a column, of unit length and at a right angle."""
    spacing: tuple[float, ...] | None
    """Distance of two rows, and of two columns, in mm."""
    thickness: float | None
    """Distance of slices as the attributes say, or else their thickness, in mm."""
    slope: float
    intercept: float
    has_lut: bool
    is_localizer: bool
    frame_of_reference: str | None
    row: Row
    """The metadata of the instance."""

    @property
    def normal(self) -> Vector | None:
        """The direction in which slices are ordered: row times column."""
        if self.orientation is None:
            return None
        return np.cross(np.array(self.orientation[:3]), np.array(self.orientation[3:]))

    @property
    def label(self) -> str | None:
        """axial, coronal, sagittal or oblique."""
        normal = self.normal
        if normal is None:
            return None
        near = math.cos(math.radians(OBLIQUE_DEGREES))
        return next((name for name, axis in _PLANES if abs(normal[axis]) >= near), "oblique")


def values_of(row: Row, keyword: str) -> list[Any]:
    """The values of an attribute in the DICOM JSON model; none where it is missing, or is no such model."""
    element = row.get(tag_of(keyword))
    values = element.get("Value") if isinstance(element, Mapping) else None
    return values if isinstance(values, list) else []


def numbers_of(row: Row, keyword: str) -> list[float] | None:
    """The numbers of an attribute; ``None`` where it is missing or holds something else."""
    try:
        numbers = [float(value) for value in values_of(row, keyword)]
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if numbers and all(map(math.isfinite, numbers)) else None


def number_of(row: Row, keyword: str) -> int | None:
    """A whole number; ``None`` where it is missing or none."""
    numbers = numbers_of(row, keyword)
    return int(numbers[0]) if numbers and numbers[0].is_integer() else None


def _text(row: Row, keyword: str, index: int = 0) -> str | None:
    values = values_of(row, keyword)
    return values[index] if len(values) > index and isinstance(values[index], str) else None


def _item(row: Row, keyword: str, index: int = 0) -> Row:
    items = values_of(row, keyword)
    return items[index] if len(items) > index and isinstance(items[index], Mapping) else {}


def has_lost_groups(row: Row) -> bool:
    """Whether an enhanced multi-frame image came without what is known of each frame.

    Metadata leave out sequences above 1 MiB, which this one is where there are some hundreds of frames.
    """
    is_enhanced = tag_of("SharedFunctionalGroupsSequence") in row
    return is_enhanced and not values_of(row, "PerFrameFunctionalGroupsSequence")


def slices_of(rows: Sequence[Row]) -> Iterator[Slice]:
    """The slices of some instances, a frame each; what is no image is one slice without rows and columns.

    Raises
    ------
    FailedPrecondition
        An instance says that it has more than ``MAX_FRAMES``.
    """
    for row in rows:
        count = max(1, number_of(row, "NumberOfFrames") or 1)
        if count > MAX_FRAMES:
            raise FailedPrecondition(f"an instance says that it has {count} frames; up to {MAX_FRAMES} are looked at")
        shared = _item(row, "SharedFunctionalGroupsSequence")
        for index in range(count):
            groups = (_item(row, "PerFrameFunctionalGroupsSequence", index), shared)
            yield _slice(row, groups, index + 1, count)


def _slice(row: Row, groups: tuple[Row, Row], frame: int, count: int) -> Slice:
    def plane(sequence: str) -> Row:
        for group in groups:
            if item := _item(group, sequence):
                return item
        # What is said once for several frames is not the place of each.
        return row if count == 1 or sequence != "PlanePositionSequence" else {}

    measures, values = plane("PixelMeasuresSequence"), plane("PixelValueTransformationSequence")
    thickness = numbers_of(measures, "SpacingBetweenSlices") or numbers_of(measures, "SliceThickness")
    slope, intercept = numbers_of(values, "RescaleSlope"), numbers_of(values, "RescaleIntercept")
    return Slice(
        study=_text(row, "StudyInstanceUID") or "",
        series=_text(row, "SeriesInstanceUID") or "",
        instance=_text(row, "SOPInstanceUID") or "",
        frame=frame,
        frames=count,
        number=number_of(row, "InstanceNumber"),
        rows=number_of(row, "Rows"),
        columns=number_of(row, "Columns"),
        position=_vector(numbers_of(plane("PlanePositionSequence"), "ImagePositionPatient"), 3),
        orientation=_directions(numbers_of(plane("PlaneOrientationSequence"), "ImageOrientationPatient")),
        spacing=_spacing(numbers_of(measures, "PixelSpacing")),
        thickness=abs(thickness[0]) or None if thickness else None,
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        has_lut=bool(_item(row, "ModalityLUTSequence")),
        is_localizer=_text(row, "ImageType", 2) == "LOCALIZER",
        frame_of_reference=_text(row, "FrameOfReferenceUID"),
        row=row,
    )


def _vector(numbers: list[float] | None, length: int) -> tuple[float, ...] | None:
    return tuple(numbers) if numbers is not None and len(numbers) == length else None


def _spacing(numbers: list[float] | None) -> tuple[float, ...] | None:
    found = _vector(numbers, 2)
    return found if found is not None and min(found) > 0 else None


def _directions(numbers: list[float] | None) -> tuple[float, ...] | None:
    """Six direction cosines, made exact; ``None`` where they are none."""
    if numbers is None or len(numbers) != 6:
        return None
    along, down = np.array(numbers[:3]), np.array(numbers[3:])
    lengths = np.linalg.norm(along), np.linalg.norm(down)
    if any(abs(length - 1) > UNIT_LENGTH for length in lengths) or abs(float(along @ down)) > UNIT_LENGTH:
        return None
    along = along / lengths[0]
    down = down - (along @ down) * along
    down = down / np.linalg.norm(down)
    return (*along.tolist(), *down.tolist())


def stacks_of(slices: Sequence[Slice]) -> list[list[Slice]]:
    """The slices in groups that are parallel, of one size and one pixel spacing, each in the order along its normal.

    What has no geometry is a group by itself, the last, in the order of InstanceNumber.
    """
    stacks: list[list[Slice]] = []
    without: list[Slice] = []
    for each in slices:
        if each.position is None or each.orientation is None or each.rows is None or each.columns is None:
            without.append(each)
            continue
        stack = next((stack for stack in stacks if _belongs(each, stack[0])), None)
        if stack is None:
            stacks.append([each])
        else:
            stack.append(each)
    for stack in stacks:
        normal = stack[0].normal
        stack.sort(key=lambda each: (round(along(each, normal), 4), each.number or 0, each.instance, each.frame))
    stacks.sort(key=len, reverse=True)
    without.sort(key=lambda each: (each.number or 0, each.instance, each.frame))
    return [*stacks, without] if without else stacks


def along(each: Slice, normal: Vector | None) -> float:
    """Position of a slice along a normal, in mm."""
    return float(np.array(each.position) @ normal) if normal is not None else math.nan


def _belongs(each: Slice, first: Slice) -> bool:
    if (each.rows, each.columns, each.frame_of_reference) != (first.rows, first.columns, first.frame_of_reference):
        return False
    if (each.spacing is None) != (first.spacing is None):
        return False
    is_parallel = np.allclose(each.orientation or (), first.orientation or (), rtol=0, atol=SAME_DIRECTION)
    return is_parallel and bool(np.allclose(each.spacing or (), first.spacing or (), rtol=SAME_SPACING, atol=0))
