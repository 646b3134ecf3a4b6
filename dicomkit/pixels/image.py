"""A Part 10 file as an image: its parts, and how its pixels are laid out.

Sources: DICOM PS3.10 section 7 (file format), PS3.3 section C.7.6.3 (image pixel), PS3.5 section 8 (pixel data),
edition 2025b.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from functools import cached_property

from dicomkit.dicom.vr import BIG, LITTLE, LONG_HEADER, VRS, Encoding
from dicomkit.errors import DicomFormatError, FailedPrecondition
from dicomkit.pixels.elements import LIMITS, Buffer, Elements
from dicomkit.pixels.limits import FILE_BYTES, FRAME_BYTES
from dicomkit.pixels.syntaxes import DEFLATED, EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, NATIVE

__all__ = ["Image", "Layout", "layout_of"]

PIXEL_DATA = "7FE00010"
FLOAT_PIXELS = {"7FE00008": 32, "7FE00009": 64}
"""Float Pixel Data and Double Float Pixel Data, and the bits of a value."""

_MONOCHROME = frozenset({"MONOCHROME1", "MONOCHROME2"})
_ONE_SAMPLE = _MONOCHROME | {"PALETTE COLOR"}
_THREE_SAMPLES = frozenset(
    {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT", "XYB"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the pixels of an image are laid out."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    planar: bool
    """Colour by plane: all of the first sample, then all of the second (PlanarConfiguration 1)."""
    frames: int
    is_float: bool = False

    @property
    def is_monochrome(self) -> bool:
        """Whether grey values are what the pixels hold."""
        return self.photometric in _MONOCHROME

    @property
    def is_subsampled(self) -> bool:
        """Whether two neighbours share their colour in native pixel data (PS3.3 section C.7.6.3.1.2)."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def container_bytes(self) -> int:
        """Bytes of one sample in an array."""
        return max(1, self.bits_allocated // 8)

    @property
    def frame_bits(self) -> int:
        """Bits of one frame in native pixel data. Frames of one bit a pixel follow each other without a gap."""
        samples = 2 if self.is_subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame that is by itself."""
        return (self.frame_bits + 7) // 8

    @property
    def dtype(self) -> str:
        """NumPy's name of a sample, little endian."""
        if self.is_float:
            return f"<f{self.container_bytes}"
        return f"<{'i' if self.signed else 'u'}{self.container_bytes}"

    def with_colour(self, photometric: str) -> Layout:
        """The same image as another photometric interpretation, by pixel."""
        return replace(self, photometric=photometric, planar=False)


class Image:
    """One Part 10 file, opened.

    Parameters
    ----------
    buffer, start, end
        Where the file is.

    Raises
    ------
    DicomFormatError
        The bytes are no DICOM file.
    FailedPrecondition
        The file is larger than what is transcoded.
    """

    def __init__(self, buffer: Buffer, start: int = 0, end: int | None = None) -> None:
        end = len(buffer) if end is None else end
        if end - start > FILE_BYTES:
            raise FailedPrecondition(
                f"the file has {end - start} bytes; up to {FILE_BYTES} are transcoded or rendered. "
                "Ask for transfer-syntax=* to get it as it was stored"
            )
        self.file = (buffer, start, end)
        pos = _after_preamble(buffer, start, end)
        self.has_prefix = pos - start == 132
        self.dataset_start = meta_end = _meta_end(buffer, pos, end)
        meta_implicit = meta_end > pos and buffer[pos + 4 : pos + 6] not in VRS
        self.meta = Elements(buffer, pos, meta_end, implicit=meta_implicit, encoding=LITTLE)
        syntax = self.meta.text("00020010") or ""
        body, begin, stop = buffer, meta_end, end
        if syntax == DEFLATED:
            body = _inflate(buffer[meta_end:end])
            begin, stop = 0, len(body)
        implicit, encoding = _encoding(body, begin, syntax)
        self.elements = Elements(body, begin, stop, implicit=implicit, encoding=encoding)
        if not syntax:
            syntax = EXPLICIT_BIG if encoding is BIG else IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE
        self.syntax = syntax

    @property
    def is_encapsulated(self) -> bool:
        """Whether the pixel data are made of fragments."""
        return self.syntax not in NATIVE

    @cached_property
    def pixel_tag(self) -> str | None:
        """The element that holds the pixels: integers, floats or doubles; ``None`` when this is no image."""
        return next((tag for tag in (PIXEL_DATA, *FLOAT_PIXELS) if tag in self.elements), None)

    @cached_property
    def layout(self) -> Layout:
        """How the pixels are laid out.

        Raises
        ------
        FailedPrecondition
            There are no pixels, or the attributes that describe them are missing, contradict each other, or ask
            for more than the limits.
        """
        if self.pixel_tag is None:
            raise FailedPrecondition("the instance has no pixel data")
        return layout_of(self.elements, self.pixel_tag)


def layout_of(elements: Elements, tag: str = PIXEL_DATA) -> Layout:
    """How the pixels of a dataset are laid out; see :attr:`Image.layout`."""

    def whole(name: str, keyword: str, default: int | None = None) -> int:
        value = elements.integer(name)
        value = default if value is None else value
        if value is None:
            raise FailedPrecondition(f"the instance has pixel data, but no {keyword}")
        return value

    samples = whole("00280002", "SamplesPerPixel", 1)
    floats = FLOAT_PIXELS.get(tag)
    allocated = whole("00280100", "BitsAllocated", floats)
    layout = Layout(
        rows=whole("00280010", "Rows"),
        columns=whole("00280011", "Columns"),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=whole("00280101", "BitsStored", allocated),
        signed=whole("00280103", "PixelRepresentation", 0) == 1,
        photometric=elements.text("00280004") or ("MONOCHROME2" if samples == 1 else "RGB"),
        planar=samples > 1 and whole("00280006", "PlanarConfiguration", 0) == 1,
        frames=whole("00280008", "NumberOfFrames", 1) or 1,
        is_float=floats is not None,
    )
    _check(layout, floats)
    return layout


def _check(layout: Layout, floats: int | None) -> None:
    if not (1 <= layout.rows <= 65_535 and 1 <= layout.columns <= 65_535):
        raise FailedPrecondition("Rows and Columns must be 1 to 65535")
    if layout.bits_allocated not in ((floats,) if floats else (1, 8, 16, 32, 64)):
        raise FailedPrecondition(f"BitsAllocated {layout.bits_allocated} is none that can be decoded: 1, 8, 16, 32, 64")
    if not 1 <= layout.bits_stored <= layout.bits_allocated:
        raise FailedPrecondition("BitsStored must be 1 to BitsAllocated")
    if layout.frames < 1:
        raise FailedPrecondition("NumberOfFrames must be 1 or more")
    wanted = _ONE_SAMPLE if layout.samples == 1 else _THREE_SAMPLES if layout.samples == 3 else frozenset()
    if layout.photometric not in wanted:
        raise FailedPrecondition(
            f"{layout.samples} samples a pixel do not go with this PhotometricInterpretation; "
            "1 is MONOCHROME1, MONOCHROME2 or PALETTE COLOR, and 3 is RGB or a YBR one"
        )
    if layout.samples == 3 and layout.bits_allocated == 1:
        raise FailedPrecondition("BitsAllocated 1 is for one sample a pixel")
    if layout.frame_bytes > FRAME_BYTES:
        raise FailedPrecondition(
            f"a frame has {layout.frame_bytes} bytes; up to {FRAME_BYTES} are transcoded or rendered. "
            "Ask for transfer-syntax=* to get it as it was stored"
        )


def _after_preamble(buffer: Buffer, start: int, end: int) -> int:
    if buffer[start + 128 : min(end, start + 132)] == b"DICM":
        return start + 132
    if buffer[start : min(end, start + 4)] == b"DICM":
        return start + 4
    head = buffer[start : min(end, start + 8)]
    if len(head) == 8 and (
        int.from_bytes(head[:2], "little") in (0x0002, 0x0004, 0x0008) or (head[:2] == b"\0\x08" and head[4:6] in VRS)
    ):
        return start
    raise DicomFormatError("this is no DICOM file: neither a preamble nor the beginning of a dataset", offset=0)


def _meta_end(buffer: Buffer, pos: int, end: int) -> int:
    """Where group 0002 ends. Its group length is wrong in too many files to be trusted."""
    implicit = buffer[pos + 4 : pos + 6] not in VRS
    while pos + 8 <= end and buffer[pos : pos + 2] == b"\x02\0":
        vr = VRS.get(buffer[pos + 4 : pos + 6])
        if implicit or vr is None:
            length = 8 + int.from_bytes(buffer[pos + 4 : pos + 8], "little")
        elif vr[0] in LONG_HEADER:
            length = 12 + int.from_bytes(buffer[pos + 8 : pos + 12], "little")
        else:
            length = 8 + int.from_bytes(buffer[pos + 6 : pos + 8], "little")
        if length > end - pos:
            raise DicomFormatError("the file meta information is cut off", offset=pos)
        pos += length
    return pos


def _encoding(buffer: Buffer, pos: int, syntax: str) -> tuple[bool, Encoding]:
    """Implicit VR or not, and the byte order: as the transfer syntax says, unless the first element disproves it."""
    head = buffer[pos : pos + 6]
    if not head:
        return syntax == IMPLICIT_LITTLE, LITTLE
    explicit = head[4:6] in VRS
    big = syntax == EXPLICIT_BIG or (not syntax and explicit and head[0] == 0 and head[1] != 0)
    return not explicit, BIG if big else LITTLE


def _inflate(deflated: bytes) -> bytes:
    """The dataset of Deflated Explicit VR Little Endian (PS3.5 section A.5)."""
    engine = zlib.decompressobj(-15)
    most = min(LIMITS.inflated_bytes, max(16 << 20, len(deflated) * LIMITS.inflated_ratio))
    try:
        inflated = engine.decompress(deflated, most)
    except zlib.error:
        raise DicomFormatError("the deflated dataset is damaged") from None
    if engine.unconsumed_tail or (not engine.eof and len(inflated) >= most):
        raise DicomFormatError(f"the deflated dataset is larger than {most} bytes")
    if not engine.eof:
        raise DicomFormatError("the deflated dataset is cut off")
    return inflated
