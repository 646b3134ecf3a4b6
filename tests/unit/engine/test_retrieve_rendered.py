"""Instances and frames as pictures (healthcare-api 4.3; PS3.18 sections 8.3.5 and 10.4.1.1.4)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import client
from tests.unit.engine.wheel_files import refusal, stored, typed_bodies

# pydicom's, of odd values in real files
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("rendered")) as made:
        yield made


@pytest.fixture(scope="module")
def http(engine: Engine) -> Client:
    return client(engine)


def picture(data: bytes) -> Image.Image:
    """What an image program sees."""
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("tail", ["/rendered", "/frames/1/rendered"])
@pytest.mark.parametrize(
    ("accept", "media"),
    [
        (None, "image/jpeg"),
        ("*/*", "image/jpeg"),
        ("image/*", "image/jpeg"),
        ("image/jpeg", "image/jpeg"),
        ("image/png", "image/png"),
        ("image/png; q=0.3, image/jpeg; q=0.2", "image/png"),
        ("image/webp, image/*; q=0.5, image/jpeg; q=0", "image/png"),
    ],
)
def test_a_picture_is_jpeg_or_png(http: Client, accept: str | None, media: str, tail: str) -> None:
    """JPEG where both will do; of the size of the image."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(one.path + tail, headers={"Accept": accept} if accept else {})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, media)
    seen = picture(answer.data)
    assert seen.get_format_mimetype() == media  # type: ignore[attr-defined]
    assert seen.size == (one.dataset.Columns, one.dataset.Rows)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_png_holds_the_colours_of_the_image(http: Client) -> None:
    """Eight bits of colour need no window: pixel by pixel what pydicom reads."""
    one = stored(http, "examples_rgb_color.dcm")
    seen = picture(http.get(f"{one.path}/rendered", headers={"Accept": "image/png"}).data)
    np.testing.assert_array_equal(np.asarray(seen), one.dataset.pixel_array)


def test_several_frames_are_parts(http: Client) -> None:
    """Of an instance all of them, of a list those; one body holds one picture only."""
    one = stored(http, "rtdose.dcm")
    got = typed_bodies(http.get(f"{one.path}/rendered"))
    assert [content_type for content_type, _ in got] == ["image/jpeg"] * 15
    answer = http.get(f"{one.path}/frames/3,1/rendered", headers={"Accept": 'multipart/related; type="image/png"'})
    assert answer.headers["Content-Type"].startswith('multipart/related; type="image/png"; boundary=')
    third, first = (data for _, data in typed_bodies(answer))
    for frame, data in ((3, third), (1, first)):
        alone = http.get(f"{one.path}/frames/{frame}/rendered", headers={"Accept": "image/png"})
        assert alone.data == data
    answer = http.get(f"{one.path}/rendered", headers={"Accept": "image/jpeg"})
    assert answer.status_code == 406
    assert 'multipart/related; type="image/jpeg"' in answer.json["error"]["message"]


def test_one_frame_may_be_a_part_too(http: Client) -> None:
    """Where the client takes nothing else."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(f"{one.path}/rendered", headers={"Accept": "multipart/related; type=image/png"})
    ((content_type, data),) = typed_bodies(answer)
    assert content_type == "image/png"
    assert picture(data).size == (128, 128)


@pytest.mark.parametrize(
    ("viewport", "size"),
    [("64,64", (64, 64)), ("256,64", (64, 64)), ("20,10,0,0,100,50", (20, 10)), ("50,50,10,10,,", (50, 50))],
)
def test_a_viewport_scales_and_cuts(http: Client, viewport: str, size: tuple[int, int]) -> None:
    """The region, in a picture that fits into the size and keeps its aspect."""
    one = stored(http, "CT_small.dcm")
    for tail in ("/rendered", "/frames/1/rendered"):
        answer = http.get(f"{one.path}{tail}?viewport={viewport}", headers={"Accept": "image/png"})
        assert answer.status_code == 200, answer.text
        assert picture(answer.data).size == size


@pytest.mark.parametrize(
    "query",
    ["viewport=", "viewport=1", "viewport=0,5", "viewport=a,b", "viewport=1,2,3", "viewport=99999,1",
     "viewport=8,8,200,200,10,10", "viewport=-1,5", "window=40,400,linear", "quality=50", "annotation=patient",
     "iccprofile=no"],
)  # fmt: skip
def test_a_parameter_that_cannot_be_followed_is_refused(http: Client, query: str) -> None:
    """Another picture than the one that was asked for would be no answer."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(f"{one.path}/rendered?{query}")
    assert refusal(answer) == (400, "INVALID_ARGUMENT")
    assert "viewport" in answer.json["error"]["message"]


def test_the_query_can_say_what_is_accepted(http: Client) -> None:
    """An img element sends no header of one's own."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(f"{one.path}/rendered?accept=image/png", headers={"Accept": "image/avif,image/*,*/*;q=0.8"})
    assert answer.headers["Content-Type"] == "image/png"


def test_other_types_are_not_acceptable(http: Client) -> None:
    """406 in the words of the service."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(f"{one.path}/rendered", headers={"Accept": "video/mp4"})
    assert answer.status_code == 406
    message = answer.json["error"]["message"]
    assert message.startswith(
        "no supported media type found in [video/mp4], accept-header must include one of image/jpeg"
    )


def test_a_damaged_image_is_refused(http: Client) -> None:
    """Its pixels cannot be shown; nothing of the server fails."""
    one = stored(http, "JPEG2000-embedded-sequence-delimiter.dcm")
    assert http.get(f"{one.path}/rendered").status_code == 400
