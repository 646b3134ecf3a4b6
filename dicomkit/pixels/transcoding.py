"""A whole Part 10 file in another transfer syntax.

Source: DICOM PS3.5 Annex A and section 8.2, PS3.3 sections C.7.6.1.1.5 (lossy compression) and C.7.6.3 (image
pixel), PS3.10 section 7.1 (file meta information), edition 2025b.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace as replaced

from dicomkit.dicom.vr import BIG
from dicomkit.errors import FailedPrecondition, NotAcceptable
from dicomkit.pixels.colour import to_rgb
from dicomkit.pixels.decoding import decode_frame, photometric_of
from dicomkit.pixels.elements import Elements
from dicomkit.pixels.encapsulation import EncodedFrames, encapsulate
from dicomkit.pixels.encoding import check_writable, encode_frame, photometric_in, recompressed
from dicomkit.pixels.image import PIXEL_DATA, Image, Layout, layout_of
from dicomkit.pixels.limits import RESULT_BYTES
from dicomkit.pixels.native import Array, check_length, frame_array, native_frame, packed, swapped
from dicomkit.pixels.recoding import UNDEFINED, NativePixels, Replacement, header, write_dataset
from dicomkit.pixels.syntaxes import (
    DEFLATED,
    DEFLATED_FRAMES,
    EXPLICIT_LITTLE,
    HTJ2K,
    IMPLICIT_LITTLE,
    JPEG_BASELINE,
    JPEG_LOSSY,
    JPEG_LS_NEAR,
    JPEG_XL,
    JPEG_XL_RECOMPRESSION,
    LOSSY_METHOD,
    NATIVE,
    READABLE,
    WRITABLE,
)

__all__ = ["FrameReader", "check_source", "encoded_frames", "transcode_image"]

_OFFSET_TABLES: tuple[str, ...] = ("7FE00001", "7FE00002", "7FE00003")
"""Extended offset table, its lengths, and the total length of encapsulated pixel data."""
_IMPLEMENTATION_CLASS_UID = b"1.2.826.0.1.3680043.8.498.1"


def check_source(image: Image) -> None:
    """Refuse an image whose pixels cannot be decoded here.

    Raises
    ------
    NotAcceptable
        Its transfer syntax is none of ``READABLE``.
    """
    if image.syntax not in READABLE:
        raise NotAcceptable(
            "the instance is stored in a transfer syntax that this server does not decode; "
            "ask for transfer-syntax=* to get it as it was stored"
        )


class FrameReader:
    """The frames of an image as arrays, decoded one at a time.

    Attributes
    ----------
    layout
        What the arrays are: colour by pixel, in the photometric interpretation that decoding gives.
    """

    def __init__(self, image: Image) -> None:
        check_source(image)
        self._image = image
        if image.is_encapsulated and image.syntax != DEFLATED_FRAMES and image.layout.bits_allocated == 1:
            raise FailedPrecondition("pixels of 1 bit cannot be compressed the way the transfer syntax says")
        self._encoded = EncodedFrames(image.elements, image.layout, image.syntax) if image.is_encapsulated else None
        if self._encoded is None:
            check_length(image)
        self.source = image.layout
        self.layout = self.source.with_colour(photometric_of(image.syntax, self.source))

    def __len__(self) -> int:
        return self.source.frames

    def encoded(self, frame: int) -> bytes:
        """The bytes of a frame as they are stored, counted from 0."""
        return native_frame(self._image, frame) if self._encoded is None else self._encoded[frame]

    def array(self, frame: int) -> Array:
        """A frame as rows x columns (x samples), counted from 0."""
        if self._encoded is None:
            return frame_array(native_frame(self._image, frame), self.source)
        return decode_frame(self._image.syntax, self._encoded[frame], self.source)

    def native(self, frame: int) -> bytes:
        """The bytes of a frame, uncompressed, little endian."""
        if self._encoded is None:
            return native_frame(self._image, frame)
        array = self.array(frame)
        return packed([array]) if self.source.bits_allocated == 1 else array.tobytes()


def transcode_image(image: Image, target: str) -> bytearray | bytes:
    """See :func:`dicomkit.pixels.transcode`."""
    if target not in WRITABLE:
        raise NotAcceptable(f"{target:.64} is no transfer syntax that this server writes; ask for {EXPLICIT_LITTLE}")
    if image.syntax == target:
        buffer, start, end = image.file
        # Without preamble and prefix it is no file that others read (PS3.10 section 7.1).
        return buffer[start:end] if image.has_prefix else _head(image, target) + buffer[image.dataset_start : end]
    check_source(image)
    replace = _new_pixels(image, target) if image.pixel_tag is not None else {}
    out = _head(image, target)
    body = bytearray() if target == DEFLATED else out
    write_dataset(
        body,
        image.elements,
        implicit=target == IMPLICIT_LITTLE,
        replace=replace,
        native_pixels=_icons_of(image.syntax) if image.is_encapsulated else None,
    )
    if target == DEFLATED:
        engine = zlib.compressobj(6, zlib.DEFLATED, -15)
        out += engine.compress(body)
        out += engine.flush()
        out += b"\0" * (len(out) % 2)
    return out


def _head(image: Image, target: str) -> bytearray:
    """An empty preamble, and file meta information.

    A preamble makes a file one of another format as well, a TIFF by its offsets or a program by its first bytes
    (PS3.10 section 7.1): neither is true of a file that was made anew.
    """
    replace: dict[str, Replacement | None] = {"00020010": Replacement("UI", _even(target.encode("ascii"), b"\0"))}
    if "00020001" not in image.meta:
        replace["00020001"] = Replacement("OB", b"\0\1")
    for tag, source in (("00020002", "00080016"), ("00020003", "00080018")):
        if tag not in image.meta:
            replace[tag] = Replacement("UI", image.elements.raw(source) or b"")
    if "00020012" not in image.meta:
        replace["00020012"] = Replacement("UI", _even(_IMPLEMENTATION_CLASS_UID, b"\0"))
    replace["00020000"] = None
    meta = bytearray()
    write_dataset(meta, image.meta, implicit=False, replace=replace)
    length = header("00020000", "UL", 4, implicit=False) + struct.pack("<I", len(meta))
    return bytearray(bytes(128) + b"DICM" + length) + meta


def _new_pixels(image: Image, target: str) -> dict[str, Replacement | None]:
    """What changes in the dataset when its pixels go to *target*."""
    if not image.is_encapsulated and target in NATIVE:
        return _same_pixels(image)
    reader = FrameReader(image)
    check_writable(image.syntax, target, reader.layout)
    replace: dict[str, Replacement | None] = dict.fromkeys(_OFFSET_TABLES)
    if target in NATIVE:
        layout = reader.layout
        replace[PIXEL_DATA] = _native(reader)
    else:
        layout, replace[PIXEL_DATA], ratio = _compressed(reader, image, target)
        if target in LOSSY_METHOD:
            replace |= _lossy(image, LOSSY_METHOD[target], ratio)
    if image.syntax in JPEG_LOSSY and image.elements.text("00282110") != "01":
        replace["00282110"] = Replacement("CS", b"01")
    if layout.photometric != image.layout.photometric:
        replace["00280004"] = Replacement("CS", _even(layout.photometric.encode("ascii"), b" "))
    if layout.samples > 1:
        replace["00280006"] = Replacement("US", bytes(2))
    if layout.bits_allocated != image.layout.bits_allocated:
        replace["00280100"] = Replacement("US", struct.pack("<H", layout.bits_allocated))
    if layout.bits_stored != image.layout.bits_stored:
        replace["00280101"] = Replacement("US", struct.pack("<H", layout.bits_stored))
        replace["00280102"] = Replacement("US", struct.pack("<H", layout.bits_stored - 1))
    return replace


def _same_pixels(image: Image) -> dict[str, Replacement | None]:
    """Native pixels stay as they are; only those that are longer than a word of their VR are swapped here."""
    element = image.elements.get(PIXEL_DATA)
    bits = image.elements.integer("00280100") or 0
    if element is None or image.elements.encoding is not BIG or bits not in (32, 64) or element.vr != "OW":
        return {}
    return {PIXEL_DATA: Replacement("OW", swapped(image.elements.raw(PIXEL_DATA) or b"", bits // 8))}


def _native(reader: FrameReader) -> Replacement:
    layout = reader.layout
    length = (layout.frame_bits * layout.frames + 7) // 8
    if length > RESULT_BYTES or (layout.bits_allocated == 1 and length * 8 > RESULT_BYTES):
        raise FailedPrecondition(
            f"the pixels have {length} bytes without compression, up to {RESULT_BYTES} are transcoded; "
            "retrieve frames, or ask for transfer-syntax=*"
        )

    def append(out: bytearray) -> None:
        if layout.bits_allocated == 1 and layout.frame_bits % 8:
            out += packed([reader.array(frame) for frame in range(layout.frames)])
        else:
            for frame in range(layout.frames):
                out += reader.native(frame)
        out += b"\0" * (length % 2)

    return Replacement("OW" if layout.bits_allocated > 8 else "OB", length=length + length % 2, append=append)


def _compressed(reader: FrameReader, image: Image, target: str) -> tuple[Layout, Replacement, float]:
    """The layout inside the target, its pixel data, and how much smaller they have become."""
    frames = list(encoded_frames(reader, image.syntax, target, range(len(reader))))
    native = reader.layout.frame_bytes * len(frames)
    layout = reader.layout
    photometric = photometric_in(target, _outside(target, layout.photometric))
    if target == JPEG_XL_RECOMPRESSION:
        photometric = reader.source.photometric
    layout = replaced(layout, photometric=photometric)
    if target == JPEG_BASELINE:
        layout = replaced(layout, bits_allocated=8)
    if target in (JPEG_LS_NEAR, HTJ2K):
        # The stream has the precision of the container, and what was lost can lead above BitsStored.
        layout = replaced(layout, bits_stored=layout.bits_allocated)

    def append(out: bytearray) -> None:
        encapsulate(out, frames, len(frames))

    return layout, Replacement("OB", length=UNDEFINED, append=append), native / max(1, sum(map(len, frames)))


def encoded_frames(reader: FrameReader, source: str, target: str, frames: Iterable[int]) -> Iterator[bytes]:
    """Frames, counted from 0, in a compressed *target* that can hold them."""
    jpeg_inside = (source, target) in ((JPEG_BASELINE, JPEG_XL_RECOMPRESSION), (JPEG_XL_RECOMPRESSION, JPEG_BASELINE))
    photometric = _outside(target, reader.layout.photometric)
    layout = replaced(reader.layout, photometric=photometric)
    for frame in frames:
        if jpeg_inside:
            yield recompressed(target, reader.encoded(frame))
            continue
        array = reader.array(frame)
        if photometric != reader.layout.photometric:
            array = to_rgb(array, reader.layout.photometric)
        yield encode_frame(target, array, layout)


def _outside(target: str, photometric: str) -> str:
    """What the encoder of *target* is to be given: it makes its own colours of RGB where it is lossy."""
    lossy = target in JPEG_LOSSY or target == JPEG_XL
    return "RGB" if lossy and photometric.startswith("YBR_FULL") else photometric


def _lossy(image: Image, method: str, ratio: float) -> dict[str, Replacement | None]:
    """LossyImageCompression and how it came about; what was done before stays (PS3.3 section C.7.6.1.1.5)."""
    ratios = [image.elements.text("00282112"), f"{ratio:.2f}"]
    methods = [image.elements.text("00282114"), method]
    return {
        "00282110": Replacement("CS", b"01"),
        "00282112": Replacement("DS", _even("\\".join(filter(None, ratios)).encode("latin-1"), b" ")),
        "00282114": Replacement("CS", _even("\\".join(filter(None, methods)).encode("latin-1"), b" ")),
    }


def _icons_of(syntax: str) -> NativePixels:
    """Makes native pixels of the icons inside the instance, which are compressed as its pixels are.

    An icon is native in a native transfer syntax, and may be so in every other (PS3.5 section A.4).
    """

    def native(item: Elements) -> dict[str, Replacement | None]:
        layout = layout_of(item)
        array = decode_frame(syntax, EncodedFrames(item, layout, syntax)[0], layout)
        value = array.tobytes()
        replace: dict[str, Replacement | None] = {
            PIXEL_DATA: Replacement("OW" if layout.bits_allocated > 8 else "OB", _even(value, b"\0"))
        }
        if layout.samples > 1:
            photometric = photometric_of(syntax, layout)
            replace["00280004"] = Replacement("CS", _even(photometric.encode("ascii"), b" "))
            replace["00280006"] = Replacement("US", bytes(2))
        return replace

    return native


def _even(value: bytes, padding: bytes) -> bytes:
    return value + padding * (len(value) % 2)
