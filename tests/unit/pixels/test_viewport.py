"""The viewport parameter: what it says, and what comes out (DICOM PS3.18 section 8.3.5.1.3)."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dicomkit import pixels
from dicomkit.errors import InvalidArgument
from dicomkit.pixels import Viewport
from tests.unit.pixels.images import image


@pytest.mark.parametrize(
    ("text", "viewport"),
    [
        ("512,256", Viewport(512, 256)),
        ("512,256,0,0,100,50", Viewport(512, 256, 0, 0, 100, 50)),
        (" 512 , 256 ", Viewport(512, 256)),
        ("1,1,,,,", Viewport(1, 1)),
        ("10,10,2.5,,20.25,", Viewport(10, 10, 2.5, 0, 20.25)),
        ("10,10,,,-20,-30", Viewport(10, 10, 0, 0, -20, -30)),
    ],
)
def test_values_are_read(text: str, viewport: Viewport) -> None:
    """Two or six values; what is left empty of the last four is the whole image."""
    assert Viewport.parse(text) == viewport


@pytest.mark.parametrize(
    "text",
    [
        *("", "1", "0,1", "1,0", "-1,5", "1.5,1", "10001,1", "1,2,3", "1,2,3,4,5", "1,2,-1,0,1,1", "1,2,0,0,0,1"),
        *("1,2,a,0,1,1", "1,2,1e3,0,1,1", "1,2,nan,0,1,1", "1,2,0,0,inf,1", "١,٢", "1,2,0,0,1,1,1", "1;2"),
        "9" * 5000 + ",1",
    ],
)
def test_what_breaks_the_rule_is_refused(text: str) -> None:
    """Anything else is an argument error that does not repeat the text."""
    with pytest.raises(InvalidArgument, match="viewport") as caught:
        Viewport.parse(text)
    assert len(str(caught.value)) < 200


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    """Whatever comes is a viewport or an argument error."""
    try:
        viewport = Viewport.parse(text)
    except InvalidArgument:
        return
    assert viewport.width > 0 and viewport.height > 0


@given(*(st.integers(1, 3000) for _ in range(4)))
def test_the_result_fits_and_keeps_the_aspect(width: int, height: int, columns: int, rows: int) -> None:
    """One side is filled, neither is exceeded, and the other is within half a pixel of the aspect."""
    wide, high = Viewport(width, height).size(columns, rows)
    assert 1 <= wide <= width and 1 <= high <= height
    assert wide == width or high == height
    scale = min(width / columns, height / rows)
    assert abs(wide - columns * scale) <= 0.5 or wide == 1
    assert abs(high - rows * scale) <= 0.5 or high == 1


def picture(data: bytes, text: str) -> np.ndarray:
    out = pixels.render(data, 1, media_type="image/png", viewport=Viewport.parse(text))
    return np.asarray(Image.open(io.BytesIO(out)))


def test_a_region_is_cut_out_and_flipped() -> None:
    """The region alone is shown; a negative size turns it over."""
    data = image(rows=20, columns=30)
    whole = np.asarray(Image.open(io.BytesIO(pixels.render(data, 1, media_type="image/png"))))
    assert np.array_equal(picture(data, "30,20"), whole)
    assert np.array_equal(picture(data, "10,5,4,6,10,5"), whole[6:11, 4:14])
    assert np.array_equal(picture(data, "10,5,4,6,-10,5"), whole[6:11, 4:14][:, ::-1])
    assert np.array_equal(picture(data, "10,5,4,6,10,-5"), whole[6:11, 4:14][::-1])
    assert picture(data, "300,300").shape == (200, 300)
    assert picture(data, "3,300").shape == (2, 3)


@pytest.mark.parametrize("text", ["10,10,30,0,1,1", "10,10,0,0,31,1", "10,10,29.5,0,1,1", "10,10,0,20,,"])
def test_a_region_outside_is_refused(text: str) -> None:
    """A region must be inside the image."""
    with pytest.raises(InvalidArgument, match="not inside the image of 30 x 20"):
        picture(image(rows=20, columns=30), text)
