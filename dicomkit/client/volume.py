"""A series as a volume: slices in the order of space, and how its indexes lead to millimetres.

Source: DICOM PS3.3 sections C.7.6.2.1.1 (image plane, equation C.7.6.2.1-1) and C.11.1.1.2 (rescale), edition 2025b.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from dicomkit.client.geometry import SAME_PLACE_MM, TOLERANCE, distances
from dicomkit.client.slices import Slice, along, number_of, stacks_of
from dicomkit.errors import FailedPrecondition

__all__ = ["Volume", "checked_stack", "rescaled_type", "volume_of"]

STRAY_PIXELS = 0.1
"""How far the first pixel of a slice may be off the line of the others, in pixels."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Volume:
    """A series as an array, and where its voxels are.

    Attributes
    ----------
    array
        Slices x rows x columns.
    spacing
        Distances of slices, rows and columns in mm, in the order of the array's axes.
    affine
        4 x 4: ``affine @ [slice, row, column, 1]`` is the centre of a voxel in mm, in DICOM's patient coordinates
        (LPS: x to the left, y to the back, z to the head).
    study_instance_uid, series_instance_uid
        The series.
    sop_instance_uids, frame_numbers
        The instance of each slice, and the frame in it, from 1.
    is_rescaled
        Whether slope and intercept were applied: Hounsfield units in CT.
    """

    array: Array
    spacing: tuple[float, float, float]
    affine: Array
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uids: tuple[str, ...]
    frame_numbers: tuple[int, ...]
    is_rescaled: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of slices, rows and columns."""
        return self.array.shape

    @property
    def origin(self) -> tuple[float, float, float]:
        """Centre of the first voxel in mm, LPS."""
        x, y, z = self.affine[:3, 3].tolist()
        return (x, y, z)

    @property
    def orientation(self) -> Array:
        """3 x 3, a unit vector in a column for each axis of the array: the way of slices, rows and columns."""
        directions: Array = self.affine[:3, :3] / np.array(self.spacing)
        return directions

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        spacing = " x ".join(f"{mm:g}" for mm in self.spacing)
        return f"<Volume of {size} voxels, {self.array.dtype}, {spacing} mm>"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.array, dtype=dtype, copy=copy)


def checked_stack(slices: Sequence[Slice], tolerance: float = TOLERANCE) -> tuple[list[Slice], float]:
    """The slices in the order of space, and their distance in mm.

    Raises
    ------
    FailedPrecondition
        They are no volume; the message says why.
    """
    if any(each.rows is None or each.columns is None for each in slices):
        _no_volume("some of its instances are no images")
    localizers = sum(each.is_localizer for each in slices)
    if localizers:
        _no_volume(f"{localizers} of its {len(slices)} slices are localizers")
    for what, count in (
        ("ImagePositionPatient", sum(each.position is None for each in slices)),
        ("ImageOrientationPatient that is one", sum(each.orientation is None for each in slices)),
        ("PixelSpacing", sum(each.spacing is None for each in slices)),
    ):
        if count:
            _no_volume(f"{count} of its {len(slices)} slices have no {what}")
    sizes = Counter((each.rows, each.columns) for each in slices)
    if len(sizes) > 1:
        several = ", ".join(f"{rows} x {columns} ({count})" for (rows, columns), count in sizes.most_common(4))
        _no_volume(f"its slices differ in size: {several}")
    stacks = stacks_of(slices)
    if len(stacks) > 1:
        labels = ", ".join(f"{stack[0].label} ({len(stack)})" for stack in stacks[:4])
        _no_volume(f"its slices differ in orientation, pixel spacing or frame of reference: {labels}")
    (stack,) = stacks
    return stack, _slice_spacing(stack, tolerance)


def _slice_spacing(stack: Sequence[Slice], tolerance: float) -> float:
    first = stack[0]
    steps, usual = distances(stack)
    doubles = int((steps <= SAME_PLACE_MM).sum())
    if doubles:
        _no_volume(f"{doubles} of its {len(stack)} slices are at the place of another one")
    if usual is None:
        if first.thickness is None:
            _no_volume("it is a single slice that says neither its thickness nor its spacing")
        return first.thickness
    gaps = int((steps > usual * (1 + tolerance)).sum())
    if gaps:
        _no_volume(
            f"slices are missing: {gaps} distances are larger than {usual:.4g} mm, the largest {steps.max():.4g}"
        )
    if (steps < usual * (1 - tolerance)).any():
        _no_volume(f"its slices are not evenly spaced: from {steps.min():.4g} to {steps.max():.4g} mm")
    places = np.array([each.position for each in stack])
    normal = first.normal
    aside = places - places[0]
    aside = aside - np.outer(aside @ normal, normal) if normal is not None else aside
    stray = float(np.linalg.norm(aside, axis=1).max())
    if stray > STRAY_PIXELS * min(first.spacing or (1.0,)) + SAME_PLACE_MM:
        _no_volume(f"its slices are not one above the other, by up to {stray:.4g} mm, as with a tilted gantry")
    return (along(stack[-1], normal) - along(first, normal)) / (len(stack) - 1)


def _no_volume(why: str) -> NoReturn:
    raise FailedPrecondition(f"the series is no volume: {why}; store.geometry() shows each slice")


def rescaled_type(stack: Sequence[Slice], stored: np.dtype[Any]) -> np.dtype[Any]:
    """The type that holds every value after slope and intercept, whatever the pixels are.

    ``int16`` or ``int32`` where both are whole numbers and the bits stored fit; else ``float32``.
    """
    if any(each.has_lut for each in stack):
        _no_volume("it has a Modality LUT, which is no slope and intercept; rescale=False gives the stored values")
    if stored.kind == "f":
        return stored
    row = stack[0].row
    bits = number_of(row, "BitsStored") or 8 * stored.itemsize
    bits = min(bits, 8 * stored.itemsize)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if stored.kind == "i" else (0, 2**bits - 1)
    pairs = {(each.slope, each.intercept) for each in stack}
    if not all(slope.is_integer() and intercept.is_integer() for slope, intercept in pairs):
        return np.dtype(np.float32)
    ends = [slope * value + intercept for slope, intercept in pairs for value in (low, high)]
    for name in ("int16", "int32"):
        limits = np.iinfo(name)
        if limits.min <= min(ends) and max(ends) <= limits.max:
            return np.dtype(name)
    return np.dtype(np.float32)


def volume_of(stack: Sequence[Slice], slice_spacing: float, array: Array, *, is_rescaled: bool) -> Volume:
    """The volume of checked slices and their pixels."""
    first = stack[0]
    if first.normal is None or first.spacing is None or first.orientation is None or first.position is None:
        raise AssertionError("a checked slice has its geometry")
    spacing = (slice_spacing, first.spacing[0], first.spacing[1])
    affine = np.eye(4)
    # The first three cosines are the way along a row, which is that of the column index.
    affine[:3, 0] = first.normal * spacing[0]
    affine[:3, 1] = np.array(first.orientation[3:]) * spacing[1]
    affine[:3, 2] = np.array(first.orientation[:3]) * spacing[2]
    affine[:3, 3] = first.position
    if not math.isfinite(float(affine.sum())):
        _no_volume("its geometry has numbers that are none")
    return Volume(
        array=array,
        spacing=spacing,
        affine=affine,
        study_instance_uid=first.study,
        series_instance_uid=first.series,
        sop_instance_uids=tuple(each.instance for each in stack),
        frame_numbers=tuple(each.frame for each in stack),
        is_rescaled=is_rescaled,
    )
