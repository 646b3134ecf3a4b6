"""Instances in another transfer syntax than that of the store (healthcare-api 4.3)."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.conftest import WHEEL
from tests.unit.engine.factories import AS_STORED, FILE_AS_STORED, WEB, Instance, client, instance, store
from tests.unit.engine.wheel_files import bodies, refusal, stored, typed_bodies

FILE = "application/dicom"
EXPLICIT = str(ExplicitVRLittleEndian)
MPEG = "1.2.840.10008.1.2.4.102"
"""A transfer syntax that is stored, and neither read nor written."""

# pydicom's, of the byte order and of odd values in real files
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("transcoded")) as made:
        yield made


@pytest.fixture(scope="module")
def http(engine: Engine) -> Client:
    return client(engine)


def read(data: bytes) -> pydicom.Dataset:
    """What pydicom reads in a file."""
    return pydicom.dcmread(io.BytesIO(data))


def relabelled(one: Instance, syntax: str) -> Instance:
    """The file with another transfer syntax in its header, and something in a fragment for pixels."""
    dataset = read(one.data)
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    dataset.PixelData = pydicom.encaps.encapsulate([b"\0\0\1\xb3 not a video"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(buffer, enforce_file_format=True)
    return Instance(buffer.getvalue(), one.study, one.series, one.uid)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "image_dfl.dcm",
        "rtdose_rle.dcm",
        "SC_rgb_rle_2frame.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "liver_expb_1frame.dcm",
        "rtplan.dcm",
    ],
)
@pytest.mark.parametrize("accept", [None, FILE, 'multipart/related; type="application/dicom"'])
def test_without_a_transfer_syntax_the_answer_is_explicit_little_endian(
    http: Client, name: str, accept: str | None
) -> None:
    """As documented: what is compressed is decompressed, and the pixels are those that pydicom decodes."""
    one = stored(http, name)
    answer = http.get(one.path, headers={"Accept": accept} if accept else {})
    ((content_type, data),) = (
        [(answer.content_type, answer.data)] if accept == FILE else typed_bodies(answer)  # type: ignore[list-item]
    )
    assert content_type == f"{FILE}; transfer-syntax={EXPLICIT}"
    assert answer.headers["Content-Disposition"] == "attachment"
    got = read(data)
    assert got.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert got.SOPInstanceUID == one.dataset.SOPInstanceUID
    assert got.get("PatientName") == one.dataset.get("PatientName")
    if "PixelData" in one.dataset:
        np.testing.assert_array_equal(got.pixel_array, one.dataset.pixel_array)


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1, HTJ2KLossless]
)
def test_lossless_syntaxes_hold_the_same_pixels(http: Client, syntax: str) -> None:
    """Each that is asked for, from a file in each of two others."""
    for name in ("CT_small.dcm", "MR_small_jp2klossless.dcm"):
        one = stored(http, name)
        answer = http.get(one.path, headers={"Accept": f"{FILE}; transfer-syntax={syntax}"})
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == f"{FILE}; transfer-syntax={syntax}"
        got = read(answer.data)
        assert got.file_meta.TransferSyntaxUID == syntax
        np.testing.assert_array_equal(got.pixel_array, one.dataset.pixel_array)


def test_a_lossy_syntax_says_what_it_did(http: Client) -> None:
    """JPEG baseline of an 8 bit image: another image by a little, and marked as such."""
    one = stored(http, "examples_rgb_color.dcm")
    accept = f"{FILE}; transfer-syntax=1.2.840.10008.1.2.4.50"
    got = read(http.get(one.path, headers={"Accept": accept}).data)
    assert got.LossyImageCompression == "01"
    error = got.pixel_array.astype(int) - one.dataset.pixel_array.astype(int)
    assert 0 < np.abs(error).mean() < 12


def test_what_is_stored_so_is_sent_as_it_is(http: Client) -> None:
    """A file in the syntax that is asked for is not written anew."""
    for name in ("MR_small_RLE.dcm", "CT_small.dcm"):
        one = stored(http, name)
        syntax = one.dataset.file_meta.TransferSyntaxUID
        assert http.get(one.path, headers={"Accept": f"{FILE}; transfer-syntax={syntax}"}).data == one.data
        assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data


@pytest.mark.parametrize("name", ["MR_small_implicit.dcm", "MR_small_RLE.dcm", "CT_small.dcm"])
@pytest.mark.parametrize("cut", [128, 132], ids=["no preamble", "no prefix"])
def test_what_has_no_preamble_gets_one_where_its_syntax_is_asked_for(http: Client, name: str, cut: int) -> None:
    """Readers want it (PS3.10 section 7.1); the data set stays, byte by byte, and ``*`` is what was stored."""
    dataset = read((WHEEL / name).read_bytes())
    uid = f"{dataset.SOPInstanceUID[:-4]}{len(name) + 10}{cut % 100}"  # of its own, and as long
    whole = (WHEEL / name).read_bytes().replace(dataset.SOPInstanceUID.encode(), uid.encode())
    data = whole[cut:]
    assert http.post(f"{WEB}/studies", data=data, content_type=FILE).status_code == 200
    path = f"{WEB}/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/instances/{uid}"
    syntax = dataset.file_meta.TransferSyntaxUID
    got = http.get(path, headers={"Accept": f"{FILE}; transfer-syntax={syntax}"}).data
    assert got[:132] == bytes(128) + b"DICM"
    assert read(got).file_meta.TransferSyntaxUID == syntax
    assert got.endswith(whole[132 + 12 + dataset.file_meta.FileMetaInformationGroupLength :])
    assert len(got) < len(whole) + 200
    assert http.get(path, headers={"Accept": FILE_AS_STORED}).data == data


def test_a_series_comes_in_one_syntax(http: Client) -> None:
    """What is in it already as it is, the others transcoded, in the order of storing."""
    first = instance(pixels=400)
    files = [
        first,
        instance(study=first.study, series=first.series, syntax=ImplicitVRLittleEndian, pixels=400),
        instance(study=first.study, series=first.series, syntax=ExplicitVRBigEndian, pixels=400),
        instance(study=first.study, series=first.series, pixels=400),
    ]
    store(http, *files)
    got = bodies(http.get(first.path.partition("/instances/")[0]))
    assert (got[0], got[3]) == (files[0].data, files[3].data)
    assert [read(data).SOPInstanceUID for data in got] == [file.uid for file in files]
    assert {read(data).file_meta.TransferSyntaxUID for data in got} == {ExplicitVRLittleEndian}


@pytest.mark.parametrize(
    ("accept", "syntax"),
    [
        # A JPEG of 16 bits a pixel cannot be made, the next in the list can.
        (f"{FILE}; transfer-syntax=1.2.840.10008.1.2.4.50, {FILE}; transfer-syntax={RLELossless}; q=0.5", RLELossless),
        (f"{FILE}; transfer-syntax={MPEG}, {FILE}; transfer-syntax=*; q=0.5", ExplicitVRLittleEndian),
        (f"{FILE}; transfer-syntax={RLELossless}; q=0.2, {FILE}; transfer-syntax={JPEGLSLossless}", JPEGLSLossless),
    ],
)
def test_the_most_wanted_syntax_that_can_be_had(http: Client, accept: str, syntax: str) -> None:
    """In the order of the weights, past what the image does not allow."""
    one = stored(http, "CT_small.dcm")
    answer = http.get(one.path, headers={"Accept": accept})
    assert read(answer.data).file_meta.TransferSyntaxUID == syntax


def test_what_cannot_be_transcoded_is_refused_and_never_wrong(http: Client) -> None:
    """A video, a 16 bit JPEG, a syntax that nobody knows: 406, and the message says what to ask for."""
    video = relabelled(instance(), MPEG)
    assert store(http, video).status_code == 200
    for accept in (None, FILE, f"{FILE}; transfer-syntax={RLELossless}"):
        answer = http.get(video.path, headers={"Accept": accept} if accept else {})
        assert refusal(answer) == (406, "INVALID_ARGUMENT")
        assert "transfer-syntax=*" in answer.json["error"]["message"]
    for accept in (FILE_AS_STORED, f"{FILE}; transfer-syntax={MPEG}"):
        assert http.get(video.path, headers={"Accept": accept}).data == video.data
    one = stored(http, "CT_small.dcm")
    for syntax in ("1.2.840.10008.1.2.4.50", MPEG, ExplicitVRBigEndian, "1.2.3"):
        answer = http.get(one.path, headers={"Accept": f"{FILE}; transfer-syntax={syntax}"})
        assert refusal(answer) == (406, "INVALID_ARGUMENT"), syntax


def test_a_first_instance_that_fails_is_an_error(http: Client) -> None:
    """A whole answer or an HTTP error, as long as nothing has been sent."""
    one = relabelled(instance(), MPEG)
    store(http, one, instance(study=one.study, series=one.series))
    series = one.path.partition("/instances/")[0]
    assert refusal(http.get(series)) == (406, "INVALID_ARGUMENT")
    assert len(bodies(http.get(series, headers={"Accept": AS_STORED}))) == 2


def test_a_later_instance_that_fails_breaks_the_answer(http: Client) -> None:
    """What was promised and cannot be kept must not look complete."""
    one = instance()
    store(http, one, relabelled(instance(study=one.study, series=one.series), MPEG))
    answer = http.get(one.path.partition("/instances/")[0], buffered=False)
    assert answer.status_code == 200
    assert "Content-Length" not in answer.headers
    with pytest.raises(Exception, match="does not decode"):
        b"".join(answer.response)


def test_damaged_pixels_are_an_error_of_the_request(http: Client) -> None:
    """A codestream that no codec reads: 400, and the file itself can be had."""
    one = stored(http, "JPEG2000-embedded-sequence-delimiter.dcm")
    assert http.get(one.path).status_code == 400
    assert http.get(one.path, headers={"Accept": FILE_AS_STORED}).data == one.data


def test_a_large_instance_is_read_by_the_worker(http: Client) -> None:
    """One that has a file of its own, beside one in a segment that is shared."""
    for pixels in (9 << 20, 2 << 20):
        one = instance(pixels=pixels, syntax=ImplicitVRLittleEndian)
        store(http, one)
        got = read(http.get(one.path, headers={"Accept": FILE}).data)
        assert got.PixelData[:pixels] == bytes(pixels)
        assert got.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
