"""Frames without a file around them (healthcare-api 4.3; PS3.18 section 10.4.1.1.6)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import Instance, client, dataset, instance, store, written
from tests.unit.engine.wheel_files import bodies, refusal, stored, typed_bodies

OCTETS = "application/octet-stream"
EXPLICIT = "1.2.840.10008.1.2.1"
BASELINE, EXTENDED, LOSSLESS = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 70))
JPEG_LS, JPEG_2000, JPEG_2000_LOSSY = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 90, 91))
RLE = "1.2.840.10008.1.2.5"

# pydicom's, of odd values in real files
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("frames")) as made:
        yield made


@pytest.fixture(scope="module")
def http(engine: Engine) -> Client:
    return client(engine)


def of_type(media: str, syntax: str | None = None) -> dict[str, str]:
    """The header that asks for parts of a type."""
    text = f'multipart/related; type="{media}"'
    return {"Accept": f"{text}; transfer-syntax={syntax}" if syntax else text}


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_jp2klossless.dcm",
        "SC_rgb_rle_2frame.dcm",
        "rtdose.dcm",
        "rtdose_expb.dcm",
        "rtdose_rle.dcm",
        "image_dfl.dcm",
        "examples_palette.dcm",
    ],
)
def test_frames_are_uncompressed_by_default(http: Client, name: str) -> None:
    """All of them, each a part, little endian: what pydicom decodes."""
    one = stored(http, name)
    count = int(one.dataset.get("NumberOfFrames") or 1)
    want = one.dataset.pixel_array.reshape(count, -1)
    path = f"{one.path}/frames/{','.join(str(n + 1) for n in range(count))}"
    for headers in ({}, {"Accept": "*/*"}, of_type("*/*"), of_type(OCTETS), of_type(OCTETS, EXPLICIT)):
        answer = http.get(path, headers=headers)
        assert answer.headers["Content-Type"].startswith(f'multipart/related; type="{OCTETS}"; boundary=')
        got = typed_bodies(answer)
        assert {content_type for content_type, _ in got} == {f"{OCTETS}; transfer-syntax={EXPLICIT}"}
        for (_, data), frame in zip(got, want, strict=True):
            pixels = np.frombuffer(data, dtype=want.dtype.newbyteorder("<"))
            np.testing.assert_array_equal(pixels, frame)


def test_frames_come_in_the_order_of_the_list(http: Client) -> None:
    """Any of them, in any order, and not the whole file."""
    one = stored(http, "rtdose.dcm")
    want = one.dataset.pixel_array.astype("<u4")
    got = bodies(http.get(f"{one.path}/frames/15,1,7"))
    assert got == [want[n].tobytes() for n in (14, 0, 6)]
    assert bodies(http.get(f"{one.path}/frames/2%2C3")) == [want[n].tobytes() for n in (1, 2)]


@pytest.mark.parametrize(
    ("name", "syntax"),
    [("SC_rgb_rle_2frame.dcm", RLE), ("MR_small_jp2klossless.dcm", JPEG_2000), ("examples_ybr_color.dcm", BASELINE)],
)
def test_frames_as_stored_are_the_codestreams_of_the_file(http: Client, name: str, syntax: str) -> None:
    """transfer-syntax=*: nothing is decoded, and the part says what it is."""
    one = stored(http, name)
    count = int(one.dataset.get("NumberOfFrames") or 1)
    want = list(generate_frames(one.dataset.PixelData, number_of_frames=count))
    path = f"{one.path}/frames/{','.join(str(n + 1) for n in range(count))}"
    got = typed_bodies(http.get(path, headers=of_type(OCTETS, "*")))
    assert [data for _, data in got] == want
    assert {content_type for content_type, _ in got} == {f"{OCTETS}; transfer-syntax={syntax}"}


@pytest.mark.parametrize(
    ("name", "media", "syntax"),
    [
        ("SC_rgb_rle_2frame.dcm", "image/dicom-rle", RLE),
        ("MR_small_jp2klossless.dcm", "image/jp2", JPEG_2000),
        ("693_J2KI.dcm", "image/jp2", JPEG_2000_LOSSY),
        ("MR_small_jpeg_ls_lossless.dcm", "image/jls", JPEG_LS),
        ("JPGExtended.dcm", "image/jpeg", EXTENDED),
        ("SC_rgb_jpeg_gdcm.dcm", "image/jpeg", LOSSLESS),
    ],
)
def test_an_image_type_takes_what_is_stored_so(http: Client, name: str, media: str, syntax: str) -> None:
    """A type without a transfer syntax, with a star, and with its own: the bytes of the file."""
    one = stored(http, name)
    count = int(one.dataset.get("NumberOfFrames") or 1)
    want = next(iter(generate_frames(one.dataset.PixelData, number_of_frames=count)))
    for asked in (None, "*", str(one.dataset.file_meta.TransferSyntaxUID)):
        ((content_type, data),) = typed_bodies(http.get(f"{one.path}/frames/1", headers=of_type(media, asked)))
        assert data == want
        assert content_type == f"{media}; transfer-syntax={one.dataset.file_meta.TransferSyntaxUID}"
    assert one.dataset.file_meta.TransferSyntaxUID in (syntax, "1.2.840.10008.1.2.4.57")


@pytest.mark.parametrize(
    ("media", "asked", "syntax"),
    [
        ("image/jp2", None, JPEG_2000),
        ("image/jp2", JPEG_2000, JPEG_2000),
        ("image/jls", None, JPEG_LS),
        ("image/jpeg", None, LOSSLESS),
        ("image/dicom-rle", None, RLE),
        ("image/jphc", None, "1.2.840.10008.1.2.4.201"),
    ],
)
def test_an_image_type_is_encoded_where_it_is_not_stored_so(
    http: Client, media: str, asked: str | None, syntax: str
) -> None:
    """With the transfer syntax that PS3.18 names first, without loss: it decodes to the pixels of the file."""
    one = stored(http, "CT_small.dcm")
    ((content_type, data),) = typed_bodies(http.get(f"{one.path}/frames/1", headers=of_type(media, asked)))
    assert content_type == f"{media}; transfer-syntax={syntax}"
    np.testing.assert_array_equal(decoded(one.dataset, data, syntax), one.dataset.pixel_array)


def decoded(like: Dataset, data: bytes, syntax: str) -> np.ndarray:
    """What pydicom decodes from a codestream, with the attributes of *like*."""
    made = like.group_dataset(0x0028)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.PixelData = encapsulate([data])
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return made.pixel_array


def test_a_frame_of_eight_bits_is_a_picture_of_jpeg(http: Client) -> None:
    """Baseline JPEG of a colour image: any program decodes it."""
    one = stored(http, "examples_rgb_color.dcm")
    ((_, data),) = typed_bodies(http.get(f"{one.path}/frames/1", headers=of_type("image/jpeg", BASELINE)))
    picture = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(picture - one.dataset.pixel_array).mean() < 12


@pytest.mark.parametrize(
    "name", ["examples_rgb_color.dcm", "examples_overlay.dcm", "SC_rgb_rle_2frame.dcm", "image_dfl.dcm"]
)
def test_a_png_holds_the_samples_of_the_frame(http: Client, name: str) -> None:
    """No window, no loss: what an image program reads is what pydicom decodes, in 8 and in 16 bits."""
    one = stored(http, name)
    count = int(one.dataset.get("NumberOfFrames") or 1)
    want = one.dataset.pixel_array.reshape(
        count, *one.dataset.pixel_array.shape[-3 if one.dataset.SamplesPerPixel > 1 else -2 :]
    )
    path = f"{one.path}/frames/{','.join(str(n + 1) for n in range(count))}"
    got = typed_bodies(http.get(path, headers=of_type("image/png")))
    for (content_type, data), frame in zip(got, want, strict=True):
        assert content_type == "image/png"
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), frame)
    assert http.get(f"{one.path}/frames/1", headers={"Accept": "image/png"}).data == got[0][1]


@pytest.mark.parametrize("name", ["rtdose.dcm", "examples_palette.dcm", "liver_1frame.dcm", "CT_small.dcm"])
def test_what_png_has_no_form_for_is_refused(http: Client, name: str) -> None:
    """32 bits, a palette, one bit, signed values."""
    one = stored(http, name)
    assert refusal(http.get(f"{one.path}/frames/1", headers=of_type("image/png"))) == (406, "INVALID_ARGUMENT")


def test_one_frame_may_be_one_body(http: Client) -> None:
    """A single-part type for one frame; for two there is none."""
    one = stored(http, "SC_rgb_rle_2frame.dcm")
    want = list(generate_frames(one.dataset.PixelData, number_of_frames=2))
    answer = http.get(f"{one.path}/frames/2", headers={"Accept": "image/dicom-rle"})
    assert (answer.headers["Content-Type"], answer.data) == (f"image/dicom-rle; transfer-syntax={RLE}", want[1])
    answer = http.get(f"{one.path}/frames/2", headers={"Accept": f"{OCTETS}; transfer-syntax=*"})
    assert answer.data == want[1]
    answer = http.get(f"{one.path}/frames/1,2", headers={"Accept": "image/dicom-rle"})
    assert answer.status_code == 406
    assert 'multipart/related; type="application/octet-stream"' in answer.json["error"]["message"]


def test_the_most_wanted_type_that_can_be_had(http: Client) -> None:
    """As viewers ask: a list of codecs with weights. 16 bits make no baseline JPEG, so the next is taken."""
    one = stored(http, "CT_small.dcm")
    accept = (
        f'multipart/related; type="image/jpeg"; transfer-syntax={BASELINE}, '
        f'multipart/related; type="image/jls"; q=0.9, multipart/related; type="{OCTETS}"; transfer-syntax=*; q=0.1'
    )
    ((content_type, _),) = typed_bodies(http.get(f"{one.path}/frames/1", headers={"Accept": accept}))
    assert content_type == f"image/jls; transfer-syntax={JPEG_LS}"
    accept = f'multipart/related; type="image/jpeg"; transfer-syntax={BASELINE}'
    answer = http.get(f"{one.path}/frames/1", headers={"Accept": accept})
    assert refusal(answer) == (406, "INVALID_ARGUMENT")


@pytest.mark.parametrize("frames", ["0", "-1", "1,,2", "1,", ",1", "a", "1;2", "1.5", "+1", " 1", "1,1", "1" * 20, "١"])
def test_a_frame_list_that_is_none_is_refused(http: Client, frames: str) -> None:
    """400 with the rule."""
    one = stored(http, "CT_small.dcm")
    for tail in ("", "/rendered"):
        assert refusal(http.get(f"{one.path}/frames/{frames}{tail}")) == (400, "INVALID_ARGUMENT")


def test_a_frame_that_is_not_there_is_not_found(http: Client) -> None:
    """404, also when others of the list are there; and for an instance that is not there."""
    one = stored(http, "rtdose.dcm")
    for frames in ("16", "1,2,999999999"):
        for tail in ("", "/rendered"):
            answer = http.get(f"{one.path}/frames/{frames}{tail}")
            assert refusal(answer) == (404, "NOT_FOUND")
            assert "has 15" in answer.json["error"]["message"]
    assert refusal(http.get(f"{one.series}/instances/1.2.3/frames/1")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("name", ["rtplan.dcm", "reportsi.dcm", "waveform_ecg.dcm"])
def test_what_is_no_image_has_no_frames(http: Client, name: str) -> None:
    """400 FAILED_PRECONDITION, as the service answers."""
    one = stored(http, name)
    for tail in ("/frames/1", "/frames/1/rendered", "/rendered"):
        assert refusal(http.get(one.path + tail)) == (400, "FAILED_PRECONDITION")


def test_other_types_are_not_acceptable(http: Client) -> None:
    """406 in the words of the service."""
    one = stored(http, "CT_small.dcm")
    for accept in ("text/html", "multipart/related; type=video/mp4", "application/dicom"):
        answer = http.get(f"{one.path}/frames/1", headers={"Accept": accept})
        assert answer.status_code == 406
        assert f"no supported media type found in [{accept}]" in answer.json["error"]["message"]


def test_many_frames_are_never_all_in_memory(http: Client) -> None:
    """They are cut a few at a time, from a file that is not read as a whole."""
    ds = dataset()
    ds.NumberOfFrames = 24
    small = written(ds, pixels=200)
    ds.Rows, ds.Columns, ds.PixelData = 1024, 1024, bytes(24 << 20)
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    one = Instance(buffer.getvalue(), small.study, small.series, small.uid)
    store(http, one)
    answer = http.get(f"{one.path}/frames/{','.join(map(str, range(1, 25)))}", buffered=False)
    sizes = [len(chunk) for chunk in answer.response]
    assert sizes.count(1 << 20) == 24
    answer.close()


def test_damage_on_disk_gives_no_frame(http: Client, engine: Engine) -> None:
    """The hash of the file is checked before a frame of it is sent."""
    one = instance(pixels=6 << 20)
    before = set(engine.home.blobs.iterdir())
    store(http, one)
    (file,) = set(engine.home.blobs.iterdir()) - before
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(bytes(data))
    for tail in ("/frames/1", "/rendered", "/bulkdata/7FE00010", ""):
        answer = http.get(one.path + tail)
        assert refusal(answer) == (500, "DATA_LOSS")
