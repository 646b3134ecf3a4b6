"""The ``viewport`` parameter of rendered resources.

Source: DICOM PS3.18 section 8.3.5.1.3, edition 2025b; quotas page of the Cloud Healthcare API for the sides.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from dicomkit.errors import InvalidArgument
from dicomkit.pixels.limits import VIEWPORT_SIDE

__all__ = ["Viewport"]

_NUMBER = re.compile(r"[+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9})")
_WHOLE = re.compile(r"\d{1,9}")
_RULE = "viewport must be w,h or w,h,sx,sy,sw,sh"


@dataclass(frozen=True, slots=True)
class Viewport:
    """A size to fit into, and the region of the image that is shown.

    Parameters
    ----------
    width, height
        Most columns and rows of the result, which keeps the region's aspect.
    left, top
        Where the region begins, in pixels of the image.
    region_width, region_height
        Size of the region; ``None`` is up to the edge, and a negative value flips it.
    """

    width: int
    height: int
    left: float = 0.0
    top: float = 0.0
    region_width: float | None = None
    region_height: float | None = None

    @classmethod
    def parse(cls, text: str) -> Viewport:
        """The viewport that the value of the parameter says.

        Raises
        ------
        InvalidArgument
            The value breaks the rule.
        """
        parts = [part.strip() for part in text.split(",")]
        if len(parts) not in (2, 6):
            raise InvalidArgument(f"{_RULE}; got {len(parts)} values")
        width, height = (_side(part) for part in parts[:2])
        if len(parts) == 2:
            return cls(width, height)
        left, top, region_width, region_height = (_number(part) for part in parts[2:])
        if (left or 0) < 0 or (top or 0) < 0:
            raise InvalidArgument("viewport: sx and sy must not be negative")
        if region_width == 0 or region_height == 0:
            raise InvalidArgument("viewport: sw and sh must not be 0")
        return cls(width, height, left or 0.0, top or 0.0, region_width, region_height)

    def region(self, columns: int, rows: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the region in an image of this size.

        Raises
        ------
        InvalidArgument
            The region is not inside the image.
        """
        width = columns - self.left if self.region_width is None else abs(self.region_width)
        height = rows - self.top if self.region_height is None else abs(self.region_height)
        box = (self.left, self.top, self.left + width, self.top + height)
        if width <= 0 or height <= 0 or box[2] > columns or box[3] > rows:
            raise InvalidArgument(f"viewport: the region is not inside the image of {columns} x {rows} pixels")
        return box

    def size(self, columns: int, rows: int) -> tuple[int, int]:
        """Columns and rows of the result, for an image of this size."""
        left, top, right, bottom = self.region(columns, rows)
        scale = min(self.width / (right - left), self.height / (bottom - top))
        # Never beyond the viewport, and never nothing.
        return (
            max(1, min(self.width, math.floor((right - left) * scale + 0.5))),
            max(1, min(self.height, math.floor((bottom - top) * scale + 0.5))),
        )


def _side(text: str) -> int:
    if not _WHOLE.fullmatch(text) or not text.isascii() or not 1 <= int(text) <= VIEWPORT_SIDE:
        raise InvalidArgument(f"{_RULE}; w and h are whole numbers from 1 to {VIEWPORT_SIDE}")
    return int(text)


def _number(text: str) -> float | None:
    if not text:
        return None
    if not _NUMBER.fullmatch(text) or not text.isascii():
        raise InvalidArgument(f"{_RULE}; sx, sy, sw and sh are decimal numbers, or empty")
    return float(text)
