"""The pixels of a store: frames and volumes as arrays, pictures, and the geometry of a series.

Source: DICOM PS3.18, retrieve transaction; Cloud Healthcare API v1, ``retrieveFrames``, ``retrieveRendered`` and
``retrieveMetadata``.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import requests

from dicomkit.client import pool, retrieve
from dicomkit.client.geometry import TOLERANCE, geometry_frame
from dicomkit.client.named import NamedStore
from dicomkit.client.picture import MEDIA, Picture
from dicomkit.client.pixel_frames import frame_arrays, frame_numbers, layout_of_row
from dicomkit.client.slices import Slice, has_lost_groups, slices_of, stacks_of, values_of
from dicomkit.client.volume import Volume, checked_stack, rescaled_type, volume_of
from dicomkit.dicom.dictionary import tag_of
from dicomkit.errors import FailedPrecondition, InvalidArgument, NotFound

if TYPE_CHECKING:
    from dicomkit.pixels.image import Layout

__all__ = ["Images"]

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


class Images(NamedStore):
    """The images of a store."""

    def frames(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        *,
        numbers: int | Sequence[int] | None = None,
    ) -> npt.NDArray[Any]:
        """Frames of an instance as stored values: an array (frames, rows, columns), or (..., samples) for colour.

        Parameters
        ----------
        numbers
            Of the frames, from 1; all of them when left out.

        Returns
        -------
        array, of the type that the pixels are stored in.
            The server decompresses. Bits above BitsStored are left out, as PS3.5 section 8.1.1 says. No slope, window
            or palette is applied; colours are those of the file, but RGB where the compression changes them itself
            (lossy JPEG, JPEG 2000).

        Raises
        ------
        NotFound
            The store has no such instance.
        InvalidArgument
            A number is none of the image's.
        FailedPrecondition, NotAcceptable
            The instance is no image, is damaged, or cannot be decompressed by the server.

        Notes
        -----
        DICOM PS3.18, Retrieve Transaction, frame resources; Healthcare API ``retrieveFrames``.
        """
        path = self._instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        rows = retrieve.metadata_rows(self._rest, path)
        if not rows:
            raise NotFound("the store has no such instance")
        layout = layout_of_row(rows[0])
        wanted = frame_numbers(numbers, layout.frames)
        once = [*dict.fromkeys(wanted)]  # a list of frames names none twice
        found = frame_arrays(self._rest, path, layout, once)
        first = next(found)
        array = np.empty((len(once), *first.shape), dtype=first.dtype)
        array[0] = first
        for index, frame in enumerate(found, 1):
            array[index] = frame
        return array if once == wanted else array[[once.index(number) for number in wanted]]

    def pixels(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        *,
        rescale: bool = True,
        tolerance: float = TOLERANCE,
        workers: int = pool.WORKERS,
    ) -> Volume:
        """A series as a volume: slices in the order of space, with their spacing, origin and directions.

        Slices are ordered along the normal of ImageOrientationPatient; names, numbers and times play no part. Frames of
        enhanced multi-frame images are slices like any other.

        Parameters
        ----------
        rescale
            Apply RescaleSlope and RescaleIntercept, e.g. to Hounsfield units. The values are then ``int16`` or
            ``int32`` where slope and intercept are whole numbers and all that the stored bits can hold fits, else
            ``float32``. Without it they are the stored ones.
        tolerance
            How far a distance of two slices may be off the usual one, as a part of it.
        workers
            Slices that are fetched at a time.

        Raises
        ------
        NotFound
            The store has no such series.
        FailedPrecondition
            The series is no volume: slices of several orientations, sizes or spacings, gaps, double or missing
            positions, a tilted gantry, localizers, colour, or what is no image. The message names it.

        Notes
        -----
        DICOM PS3.3 section C.7.6.2.1.1; Healthcare API ``retrieveFrames`` and ``retrieveMetadata``.
        """
        slices = self._slices(study_instance_uid, series_instance_uid)
        stack, spacing = checked_stack(slices, _checked(tolerance))
        layouts = {each.instance: layout_of_row(each.row) for each in stack}
        layout = layouts[stack[0].instance]
        stored = np.dtype("u1" if layout.bits_allocated == 1 else layout.dtype)
        _check_alike(layouts.values())
        kind = rescaled_type(stack, stored) if rescale else stored
        array = np.empty((len(stack), layout.rows, layout.columns), dtype=kind)
        places: dict[str, list[int]] = {}
        for index, each in enumerate(stack):
            places.setdefault(each.instance, []).append(index)

        def fill(instance: str) -> None:
            indexes = places[instance]
            path = self._instance(study_instance_uid, series_instance_uid, instance)
            numbers = [stack[index].frame for index in indexes]
            for index, frame in zip(indexes, frame_arrays(self._rest, path, layouts[instance], numbers), strict=True):
                if not rescale:
                    array[index] = frame
                    continue
                slope, intercept = stack[index].slope, stack[index].intercept
                wide = np.float64 if kind.kind == "f" else np.int64
                array[index] = frame.astype(wide) * wide(slope) + wide(intercept)

        for _ in pool.in_order(fill, places, workers=workers):
            pass
        return volume_of(stack, spacing, array, is_rescaled=rescale)

    def geometry(
        self, study_instance_uid: str, series_instance_uid: str, *, tolerance: float = TOLERANCE
    ) -> pd.DataFrame:
        """Where the slices of a series are, from its metadata alone.

        Parameters
        ----------
        tolerance
            As for :meth:`pixels`.

        Returns
        -------
        DataFrame, one row per slice, columns ``frames.GEOMETRY``.
            In the order of space, the largest stack of parallel slices first; what has no geometry comes last.
            ``attrs["is_volume"]`` says whether it is one stack with even spacing; beside it are ``"spacing_mm"``,
            ``"stacks"``, ``"gaps"`` and ``"duplicates"``.

        Raises
        ------
        NotFound
            The store has no such series.

        Notes
        -----
        DICOM PS3.3 section C.7.6.2.1.1; Healthcare API ``retrieveMetadata``.
        """
        slices = self._slices(study_instance_uid, series_instance_uid)
        return geometry_frame(stacks_of(slices), _checked(tolerance))

    def render(
        self,
        study_instance_uid: str,
        series_instance_uid: str,
        sop_instance_uid: str,
        *,
        frame: int = 1,
        viewport: Sequence[float] | str | None = None,
        media_type: str = "image/png",
    ) -> Picture:
        """A frame as a picture, which a notebook shows and ``.save(path)`` writes.

        Parameters
        ----------
        frame
            Its number, from 1.
        viewport
            ``(width, height)`` that the picture fits into, or ``(width, height, left, top, region width, region
            height)`` of a region of the image; or the text of the parameter.
        media_type
            ``"image/png"`` or ``"image/jpeg"``.

        Raises
        ------
        NotFound
            The store has no such instance or frame.
        InvalidArgument
            The number, the viewport or the media type is none.
        FailedPrecondition
            The instance is no image, or is damaged.

        Notes
        -----
        DICOM PS3.18, Retrieve Transaction, rendered resources; Healthcare API ``retrieveRendered``.
        """
        if media_type not in MEDIA:
            raise InvalidArgument(f"media_type is {' or '.join(MEDIA)}; got {media_type!r:.40}")
        if isinstance(frame, bool) or not isinstance(frame, int) or frame < 1:
            raise InvalidArgument("frame is the number of a frame, counted from 1")
        path = self._instance(study_instance_uid, series_instance_uid, sop_instance_uid)
        params = {} if viewport is None else {"viewport": _viewport(viewport)}

        def take(response: requests.Response) -> bytes:
            found = response.headers.get("Content-Type", "").partition(";")[0].strip()
            if found != media_type:
                raise self._rest.odd(response, f"something that is not {media_type}")
            return self._rest.body(response)

        url = f"{path}/frames/{frame}/rendered"
        data = self._rest.receive("GET", url, take, params=params, headers={"Accept": media_type})
        return Picture(data, media_type)

    def _instance(self, study: str, series: str, instance: str) -> str:
        return f"{self._web}/{retrieve.instance_path(study, series, instance)}"

    def _slices(self, study: str, series: str) -> list[Slice]:
        rows = retrieve.metadata_rows(self._rest, f"{self._web}/{retrieve.uid_path(study, series)}")
        if not rows:
            raise NotFound("the store has no such series")
        return [*slices_of([self._with_groups(study, series, row) for row in rows])]

    def _with_groups(self, study: str, series: str, row: dict[str, Any]) -> dict[str, Any]:
        """Metadata with the functional groups of every frame, from the file where they are too large for metadata."""
        if not has_lost_groups(row):
            return row
        instance = values_of(row, "SOPInstanceUID")
        dataset = retrieve.read_dataset(self._rest, self._instance(study, series, instance[0] if instance else ""))
        found = {keyword: dataset[keyword] for keyword in _GROUPS if keyword in dataset}
        return {**row, **{tag_of(keyword): element.to_json_dict(None, 0) for keyword, element in found.items()}}


def _check_alike(layouts: Any) -> None:
    kinds: set[tuple[Any, ...]] = {(each.dtype, each.bits_stored, each.samples, each.photometric) for each in layouts}
    first: Layout = next(iter(layouts))
    if not first.is_monochrome or first.samples != 1:
        raise FailedPrecondition("the series is no volume: its pixels are colours; store.frames() gives each instance")
    if len(kinds) > 1:
        raise FailedPrecondition("the series is no volume: its slices differ in how their pixels are stored")


def _checked(tolerance: float) -> float:
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise InvalidArgument("tolerance is a part of the slice spacing, between 0 and 1")
    return float(tolerance)


def _viewport(viewport: Sequence[float] | str) -> str:
    if isinstance(viewport, str):
        return viewport
    numbers = [*viewport]
    if len(numbers) not in (2, 6) or not all(isinstance(n, Real) and not isinstance(n, bool) for n in numbers):
        raise InvalidArgument("viewport is (width, height), or these and (left, top, region width, region height)")
    return ",".join(str(int(n)) if float(n).is_integer() else f"{float(n):.6f}" for n in numbers)
