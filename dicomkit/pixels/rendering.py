"""A frame as a picture: PNG or JPEG of 8 bits, grey stays grey.

Source: DICOM PS3.18 section 8.3.5 and 10.4 (rendered resources), PS3.4 section N.2 (pixel transformations),
edition 2025b.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.errors import FailedPrecondition, NotAcceptable
from dicomkit.pixels.colour import palette_of, to_rgb
from dicomkit.pixels.greyscale import Greyscale
from dicomkit.pixels.image import Image
from dicomkit.pixels.limits import VIEWPORT_FRAME_BYTES, VIEWPORT_SIDE
from dicomkit.pixels.transcoding import FrameReader
from dicomkit.pixels.viewport import Viewport

__all__ = ["MEDIA_TYPES", "render_frame", "shown_frame"]

Array = npt.NDArray[Any]

MEDIA_TYPES = frozenset({"image/jpeg", "image/png"})
"""What a rendered resource can be."""

_QUALITY = 90


def render_frame(image: Image, frame: int, media_type: str, viewport: Viewport | None) -> bytes:
    """See :func:`dicomkit.pixels.render`; the frame is counted from 0."""
    if media_type not in MEDIA_TYPES:
        raise NotAcceptable(f"a frame is rendered as image/jpeg or image/png, and not as {media_type:.64}")
    layout = image.layout
    if viewport is not None:
        if layout.frame_bytes > VIEWPORT_FRAME_BYTES or max(layout.rows, layout.columns) > VIEWPORT_SIDE:
            raise FailedPrecondition(
                f"with a viewport a frame of up to {VIEWPORT_FRAME_BYTES} bytes and {VIEWPORT_SIDE} pixels a side is "
                "rendered; this one is larger"
            )
        viewport.region(layout.columns, layout.rows)
    from PIL import Image as Pillow

    picture = Pillow.fromarray(np.ascontiguousarray(shown_frame(image, frame)))
    if viewport is not None:
        picture = _through(viewport, picture, Pillow)
    out = io.BytesIO()
    try:
        if media_type == "image/png":
            picture.save(out, "PNG", compress_level=3)
        else:
            picture.save(out, "JPEG", quality=_QUALITY)
    except (OSError, ValueError) as exc:
        raise FailedPrecondition("the frame is too large for a picture of that media type") from exc
    return out.getvalue()


def shown_frame(image: Image, frame: int) -> Array:
    """A frame, counted from 0, as unsigned 8 bits: rows x columns, or rows x columns x 3 in RGB."""
    reader = FrameReader(image)
    layout = reader.layout
    array = reader.array(frame)
    if layout.is_monochrome:
        return Greyscale(image.elements, layout, frame).apply(array)
    if layout.photometric == "PALETTE COLOR":
        palette, first = palette_of(image.elements)
        if layout.signed and first > 32_767:
            first -= 65_536
        return palette[np.clip(array.astype(np.int64) - first, 0, len(palette) - 1)]
    if layout.is_float:
        raise FailedPrecondition("an image of floats is shown in grey only")
    if layout.signed or layout.bits_allocated > 32:
        raise FailedPrecondition("colours must be unsigned and of up to 32 bits to be shown")
    colours = to_rgb(array, layout.photometric)
    bits = layout.bits_stored
    if bits > 8:
        return (colours >> (bits - 8)).astype(np.uint8)
    if bits < 8:
        return (np.minimum(colours, (1 << bits) - 1).astype(np.uint16) * 255 // ((1 << bits) - 1)).astype(np.uint8)
    return colours.astype(np.uint8, copy=False)


def _through(viewport: Viewport, picture: Any, pillow: Any) -> Any:
    columns, rows = picture.size
    box = viewport.region(columns, rows)
    size = viewport.size(columns, rows)
    shrinks = size[0] < box[2] - box[0] or size[1] < box[3] - box[1]
    method = pillow.Resampling.LANCZOS if shrinks else pillow.Resampling.BILINEAR
    if size != (columns, rows) or box != (0, 0, columns, rows):
        picture = picture.resize(size, method, box=box)
    if (viewport.region_width or 0) < 0:
        picture = picture.transpose(pillow.Transpose.FLIP_LEFT_RIGHT)
    if (viewport.region_height or 0) < 0:
        picture = picture.transpose(pillow.Transpose.FLIP_TOP_BOTTOM)
    return picture
