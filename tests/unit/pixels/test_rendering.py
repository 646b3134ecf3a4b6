"""Pictures of frames, where pydicom's pipeline is no oracle: no window, padding, functional groups, media types."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicomkit import pixels
from dicomkit.errors import FailedPrecondition, InvalidArgument, NotAcceptable
from tests.conftest import WHEEL
from tests.unit.pixels.images import image, sequence


def shown(data: bytes, frame: int = 1, media_type: str = "image/png") -> Any:
    return Image.open(io.BytesIO(pixels.render(data, frame, media_type=media_type)))


def row(*values: int, dtype: str = "i2", **attributes: Any) -> bytes:
    """An image of one row."""
    return image(dtype=dtype, rows=1, columns=len(values), array=np.array(values, dtype), **attributes)


def grey(data: bytes, frame: int = 1) -> list[int]:
    return [int(v) for v in np.asarray(shown(data, frame)).reshape(-1)]


def test_without_a_window_the_frame_is_stretched() -> None:
    """From the frame's lowest value to its highest, whatever other frames have."""
    assert grey(row(-100, 0, 100)) == [0, 128, 255]
    assert grey(row(-100, 0, 100, photometric="MONOCHROME1")) == [255, 127, 0]
    two = image(dtype="u2", rows=1, columns=2, frames=2, array=np.array([0, 10, 500, 900], "u2"))
    assert grey(two, 1) == grey(two, 2) == [0, 255]


def test_a_frame_of_one_value_is_dark() -> None:
    """Nothing to stretch."""
    assert grey(row(7, 7, 7)) == [0, 0, 0]


def test_padding_does_not_stretch() -> None:
    """Padding, one value or a range, does not count for the lowest and the highest value (PS3.3 C.7.5.1.1.2)."""
    assert grey(row(-2000, 0, 50, 100, PixelPaddingValue=-2000)) == [0, 0, 128, 255]
    assert grey(row(-2000, -1990, 0, 100, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1980)) == [0, 0, 0, 255]
    assert grey(row(5, 5, PixelPaddingValue=5)) == [0, 0]


def test_a_window_that_means_nothing_is_left_out() -> None:
    """A linear window must have a width of 1 or more; without one the frame is stretched."""
    assert grey(row(-100, 0, 100, WindowCenter=0, WindowWidth=0)) == [0, 128, 255]
    assert grey(row(-100, 0, 100, WindowCenter=0, WindowWidth="-5")) == [0, 128, 255]


def test_bits_above_bits_stored_do_not_count() -> None:
    """Twelve bits in sixteen: what is above, and the sign, are as BitsStored says (PS3.5 section 8.1.1)."""
    values = [0x0FFF, 0x7000, 0x0001]  # -1, 0 and 1 in 12 bits, with an overlay plane above
    assert grey(row(*values, stored=12)) == [0, 128, 255]


def test_functional_groups_have_a_window_for_each_frame() -> None:
    """The frame's own group comes before the shared one (PS3.3 section C.7.6.16.2)."""

    def window(centre: int) -> Dataset:
        group = Dataset()
        group.FrameVOILUTSequence = sequence(WindowCenter=centre, WindowWidth=101)
        return group

    shared = Dataset()
    shared.PixelValueTransformationSequence = sequence(RescaleIntercept=-50, RescaleSlope=1, RescaleType="US")
    shared.FrameVOILUTSequence = sequence(WindowCenter=0, WindowWidth=1)
    data = image(
        dtype="u2",
        rows=1,
        columns=3,
        frames=2,
        array=np.array([0, 50, 100] * 2, "u2"),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([window(0), window(100)]),
    )
    assert grey(data, 1) == [1, 129, 255]
    assert grey(data, 2) == [0, 0, 1]


def test_floats_and_wide_values_are_shown() -> None:
    """Float pixel data, where values that are none are dark, and 32 bits."""
    values = np.array([0.0, 0.5, 1.0, np.nan], "<f4").tobytes()
    floats = image(dtype="u4", rows=1, columns=4, PixelData=None, PixelRepresentation=None, FloatPixelData=values)
    assert grey(floats) == [0, 128, 255, 0]
    assert grey(row(0, 1 << 30, 1 << 31, dtype="u4")) == [0, 128, 255]


@pytest.mark.parametrize("media_type", ["image/png", "image/jpeg"])
def test_grey_stays_grey_and_colour_colour(media_type: str) -> None:
    """One channel of 8 bits for grey values, three for colours and palettes."""
    kind = media_type.removeprefix("image/").upper()
    for data, mode in [
        (image(dtype="u2", stored=12), "L"),
        (image(samples=3), "RGB"),
        ((WHEEL / "examples_palette.dcm").read_bytes(), "RGB"),
    ]:
        made = shown(data, media_type=media_type)
        assert (made.format, made.mode) == (kind, mode)


def test_deep_colours_show_their_upper_bits() -> None:
    """Sixteen bits of a colour become the upper eight."""
    data = image(dtype="u2", samples=3, rows=1, columns=1, array=np.array([0xFF00, 0x1234, 0x00FF], "u2"))
    assert grey(data) == [0xFF, 0x12, 0x00]


def test_partial_ybr_is_stretched() -> None:
    """The retired partial range: luma 16 is black and 235 is white (PS3.3 section C.7.6.3.1.2)."""
    value = np.array([16, 235, 128, 128], "u1").tobytes()
    data = image(samples=3, rows=1, columns=2, photometric="YBR_PARTIAL_422", array=np.zeros(6, "u1"), PixelData=value)
    assert grey(data) == [0, 0, 0, 255, 255, 255]


def test_frames_and_media_types_are_checked() -> None:
    """Counted from 1; JPEG and PNG alone."""
    with pytest.raises(InvalidArgument, match="counted from 1"):
        pixels.render(image(), 0, media_type="image/png")
    with pytest.raises(NotAcceptable, match="image/jpeg or image/png"):
        pixels.render(image(), 1, media_type="image/gif")


@pytest.mark.parametrize(
    "values",
    [
        {"RedPaletteColorLookupTableDescriptor": None},
        {"RedPaletteColorLookupTableData": b"\0\0"},
        {"RedPaletteColorLookupTableDescriptor": [256, 0, 12]},
        {"RedPaletteColorLookupTableData": None},
        {"RedPaletteColorLookupTableData": None, "SegmentedRedPaletteColorLookupTableData": b"\1\x09\x01\0"},
        {
            "RedPaletteColorLookupTableData": None,
            "SegmentedRedPaletteColorLookupTableData": b"\x02\x09\xff\xff\xff\xff",
        },
        {"RedPaletteColorLookupTableData": None, "SegmentedRedPaletteColorLookupTableData": b"\x07\x09"},
    ],
)
def test_broken_palettes_are_refused(values: dict[str, Any]) -> None:
    """Missing, short and senseless tables end in a refusal."""
    whole: dict[str, Any] = {}
    for colour in ("Red", "Green", "Blue"):
        whole[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
        whole[f"{colour}PaletteColorLookupTableData"] = bytes(range(256))
    whole |= values
    data = image(photometric="PALETTE COLOR", **{k: v for k, v in whole.items() if v is not None})
    with pytest.raises(FailedPrecondition, match="PALETTE COLOR|palette"):
        pixels.render(data, 1, media_type="image/png")
