"""Stored grey values -> 8 bits for a screen: modality LUT, then VOI LUT or window, then the polarity.

The steps are worked out once for every value that a pixel can have, and looked up for the pixels.

Source: DICOM PS3.3 sections C.11.1 (modality LUT), C.11.2 (VOI LUT and windows), C.7.6.16.2 (functional groups) and
C.7.5.1.1.2 (padding), PS3.4 section N.2, edition 2025b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from dicomkit.errors import FailedPrecondition
from dicomkit.pixels.elements import Elements
from dicomkit.pixels.image import Layout

__all__ = ["Greyscale"]

Array = npt.NDArray[Any]

_CHUNK = 1 << 20
"""Pixels that are worked on at once where there is no table of all values."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A lookup table: what it gives for the value *first*, the next one, and so on."""

    first: int
    bits: int
    entries: Array

    def apply(self, values: Array) -> Array:
        """The entries for *values*; those before the first and behind the last get the nearest one."""
        place = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1)
        found: Array = self.entries[place.astype(np.int64)]
        return found


@dataclass(frozen=True, slots=True)
class _Window:
    centre: float
    width: float
    function: str

    def apply(self, values: Array) -> Array:
        """0 to 1 (PS3.3 sections C.11.2.1.2 and C.11.2.1.3)."""
        values = np.asarray(values, dtype=np.float64)
        if self.function == "SIGMOID":
            with np.errstate(over="ignore"):
                return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - self.centre) / self.width)))
        centre, width = self.centre, self.width
        if self.function == "LINEAR":
            centre, width = centre - 0.5, width - 1.0
        if width == 0:
            return (values > centre).astype(np.float64)
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)


class Greyscale:
    """How one frame of a monochrome image is shown.

    Raises
    ------
    FailedPrecondition
        A lookup table of the image is damaged.
    """

    def __init__(self, elements: Elements, layout: Layout, frame: int) -> None:
        self._layout = layout
        groups = list(_groups(elements, frame))
        self._modality = self._table(elements, "00283000")
        self._slope, self._intercept = 1.0, 0.0
        if self._modality is None:
            self._slope, self._intercept = _rescale([elements, *_inside(groups, "00289145")])
        self._voi = self._table(elements, "00283010")
        self._window = None if self._voi else _window([elements, *_inside(groups, "00289132")])
        self._inverted = layout.photometric == "MONOCHROME1"
        padding = elements.numbers("00280120")
        limit = elements.numbers("00280121") or padding
        self._padding = (min(padding[0], limit[0]), max(padding[0], limit[0])) if padding else None

    def apply(self, array: Array) -> Array:
        """A frame of stored values as unsigned 8 bits."""
        layout = self._layout
        if layout.is_float or layout.bits_stored > 16:
            return self._direct(array)
        bits = layout.bits_stored
        codes = np.arange(1 << bits, dtype=np.int64)
        stored = np.where(codes >= 1 << (bits - 1), codes - (1 << bits), codes) if layout.signed else codes
        # Bits above BitsStored are no part of the value (PS3.5 section 8.1.1).
        places = array.view(f"u{array.dtype.itemsize}") & np.array((1 << bits) - 1, dtype=f"u{array.dtype.itemsize}")
        values = self._rescaled(stored)
        low, high = 0.0, 0.0
        if self._voi is None and self._window is None:
            used = np.zeros(1 << bits, dtype=bool)
            used[places] = True
            used = self._without_padding(stored, used)
            low, high = float(values[used].min()), float(values[used].max())
        table: Array = self._shown(values, low, high)
        shown: Array = np.take(table, places)
        return shown

    def _direct(self, array: Array) -> Array:
        flat = array.reshape(-1)
        low, high = 0.0, 0.0
        if self._voi is None and self._window is None:
            bounds = [self._bounds(flat[at : at + _CHUNK]) for at in range(0, len(flat), _CHUNK)]
            low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
            if low > high:
                low = high = 0.0
        out = np.empty(len(flat), dtype=np.uint8)
        for at in range(0, len(flat), _CHUNK):
            values = self._rescaled(flat[at : at + _CHUNK].astype(np.float64))
            out[at : at + _CHUNK] = self._shown(np.nan_to_num(values, nan=low), low, high)
        return out.reshape(array.shape)

    def _bounds(self, chunk: Array) -> tuple[float, float]:
        used = self._without_padding(chunk, np.isfinite(chunk))
        values = self._rescaled(chunk[used].astype(np.float64))
        return (float(values.min()), float(values.max())) if len(values) else (math.inf, -math.inf)

    def _without_padding(self, stored: Array, used: Array) -> Array:
        if self._padding is None:
            return used
        without = used & ~((stored >= self._padding[0]) & (stored <= self._padding[1]))
        return without if without.any() else used

    def _rescaled(self, stored: Array) -> Array:
        if self._modality is not None:
            return self._modality.apply(stored)
        if (self._slope, self._intercept) == (1.0, 0.0):
            return stored
        return stored.astype(np.float64) * self._slope + self._intercept

    def _shown(self, values: Array, low: float, high: float) -> Array:
        if self._voi is not None:
            share = self._voi.apply(values) / ((1 << self._voi.bits) - 1)
        elif self._window is not None:
            share = self._window.apply(values)
        elif high > low:
            with np.errstate(over="ignore", invalid="ignore"):
                share = np.clip(np.nan_to_num((values - low) / (high - low)), 0.0, 1.0)
        else:
            share = np.zeros(values.shape)
        # Without the noise of floating point, a half is a half on every machine.
        shown = np.clip(np.floor(np.round(share * 255.0, 9) + 0.5), 0, 255).astype(np.uint8)
        return np.uint8(255) - shown if self._inverted else shown

    def _table(self, elements: Elements, sequence: str) -> _Table | None:
        item = next(iter(elements.items(sequence)), None)
        if item is None:
            return None
        descriptor = [int(v) for v in item.numbers("00283002")]
        data = item.raw("00283006")
        if len(descriptor) != 3 or data is None:
            raise FailedPrecondition("a lookup table without its descriptor or its data")
        count = descriptor[0] % 65_536 or 65_536
        first, bits = descriptor[1], descriptor[2]
        if self._layout.signed and first > 32_767:
            first -= 65_536
        if not 1 <= bits <= 16:
            raise FailedPrecondition("a lookup table has up to 16 bits an entry")
        if len(data) >= 2 * count:
            entries = np.frombuffer(data, dtype=f"{item.encoding.order}u2", count=count)
        elif bits <= 8 and len(data) >= count:
            entries = np.frombuffer(data, dtype=np.uint8, count=count)
        else:
            raise FailedPrecondition("a lookup table has fewer entries than its descriptor says")
        return _Table(first, bits, entries)


def _groups(elements: Elements, frame: int) -> Iterator[Elements]:
    """The functional groups of a frame, then those that all frames share."""
    yield from islice(elements.items("52009230"), frame, frame + 1)
    yield from islice(elements.items("52009229"), 1)


def _inside(groups: list[Elements], sequence: str) -> Iterator[Elements]:
    for group in groups:
        yield from islice(group.items(sequence), 1)


def _rescale(places: list[Elements]) -> tuple[float, float]:
    for place in places:
        slope, intercept = place.numbers("00281053"), place.numbers("00281052")
        if slope and intercept:
            return float(slope[0]), float(intercept[0])
    return 1.0, 0.0


def _window(places: list[Elements]) -> _Window | None:
    """The first window that means something; ``None`` when there is none."""
    for place in places:
        centre, width = place.numbers("00281050"), place.numbers("00281051")
        function = (place.text("00281056") or "LINEAR").upper()
        if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
            function = "LINEAR"
        if centre and width and (width[0] >= 1 or (width[0] > 0 and function != "LINEAR")):
            return _Window(float(centre[0]), float(width[0]), function)
    return None
