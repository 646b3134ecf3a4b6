"""STOW-RS with what no client should send: cut files, odd numbers, deep nesting, multipart bombs, other media types."""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from werkzeug.test import Client, TestResponse

from dicomkit.engine import Engine
from tests.faults.bombs import nested
from tests.unit.deid.planted import BASIC
from tests.unit.dicom.instances import element, raw_part10
from tests.unit.engine.factories import (
    DATASET,
    FILE_AS_STORED,
    JSON,
    STORE,
    WEB,
    body_of,
    client,
    dataset,
    drain,
    ended,
    instance,
    outcomes,
    reasons,
    rows,
    store,
    streamed_to,
    written,
)

TYPE = 'multipart/related; type="application/dicom"; boundary=b'
DEFLATED = "1.2.840.10008.1.2.1.99"
AT_ONCE = 500


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "home") as made:
        yield made


@pytest.fixture
def http(engine: Engine) -> Client:
    return client(engine, resource=streamed_to("bq://local.imaging.t"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one engine for all tests that do not look at what else is there."""
    with Engine(tmp_path_factory.mktemp("shared") / "home") as made:
        yield client(made)


def post(http: Client, data: bytes, content_type: str = TYPE, **headers: str) -> TestResponse:
    return http.post(f"{WEB}/studies", data=data, content_type=content_type, headers={"Accept": JSON, **headers})


# Files that are cut


def native() -> bytes:
    return instance(pixels=60).data


def encapsulated() -> bytes:
    ds = dataset()
    data = written(ds, pixels=60)
    ds = pydicom.dcmread(io.BytesIO(data.data))
    ds.PixelData = encapsulate([b"\xff\xd8\xff\xdb" + bytes(40) + b"\xff\xd9"] * 2)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def with_sequences() -> bytes:
    """Sequences with a length and without, one in the other, before the pixels."""
    ds, code, outer = dataset(), pydicom.Dataset(), pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-D3000", "SRT", "Chest"
    outer.AnatomicRegionSequence = Sequence([code, code])
    outer["AnatomicRegionSequence"].is_undefined_length = True
    ds.AnatomicRegionSequence = Sequence([code])
    ds.ReferencedImageSequence = Sequence([outer, outer])
    ds["ReferencedImageSequence"].is_undefined_length = True
    return written(ds, pixels=60).data


def deflated() -> bytes:
    return instance(pixels=60, syntax=DEFLATED).data


@pytest.mark.parametrize("make", [native, encapsulated, with_sequences, deflated])
def test_no_cut_of_an_image_is_stored(http: Client, make: Any) -> None:
    """At every byte: each piece is one failed item with a reason, and the whole file goes in behind them."""
    whole = make()
    # A deflated stream may be padded to even length (PS3.5 section A.5); that byte may be missing.
    sizes = range(1, len(whole) - (make is deflated))
    for at in range(0, len(sizes), AT_ONCE):
        pieces = [whole[:size] for size in sizes[at : at + AT_ONCE]]
        answer = store(http, *pieces)
        assert answer.status_code == 409
        assert outcomes(answer) == dict.fromkeys(range(1, len(pieces) + 1), "FAILED")
        assert all(len(reason) > 10 for reason in reasons(answer))
    assert http.get(f"{WEB}/instances").status_code == 204
    assert outcomes(store(http, whole)) == {1: "STORED"}


def test_a_document_cut_between_two_elements_is_all_that_passes(shared: Client) -> None:
    """Where no pixels are promised, a cut between elements of the data set leaves a data set (PS3.5 section 7.1)."""
    pieces = [element(0x00400000 + n, "LO", b"text") for n in (0xA040, 0xA043)]
    item = element(0x00080100, "SH", b"A1")
    pieces.append(element(0x0040A730, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(item)) + item))
    whole = raw_part10(*pieces)
    ends = {len(raw_part10(*pieces[:count])) for count in range(len(pieces))}
    passed = set()
    for size in range(1, len(whole)):
        answer = store(shared, whole[:size])
        # They have the same UIDs, so that the first of them is stored and the others are in its way.
        if outcomes(answer) == {1: "STORED"} or "already exists" in reasons(answer)[0]:
            passed.add(size)
    assert passed == ends


# The status of every mixture


GOOD, BAD = "good", "bad"
AGAIN, OTHER = "again", "other bytes"


@pytest.mark.parametrize("accept", [JSON, "application/dicom+xml"])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ([GOOD], 200),
        ([AGAIN], 200),
        ([GOOD, AGAIN], 200),
        ([BAD], 409),
        ([OTHER], 409),
        ([GOOD, BAD], 409),
        ([GOOD, OTHER], 409),
        ([AGAIN, BAD], 409),
        ([AGAIN, OTHER], 409),
        ([BAD, OTHER], 409),
        ([GOOD, AGAIN, BAD, OTHER], 409),
    ],
)
def test_status_of_each_mixture(shared: Client, sent: list[str], status: int, accept: str) -> None:
    """200 where all are in the store now, else 409; 202 is never used (conformance statement). Each is named once."""
    old = instance()
    store(shared, old)
    files = {
        GOOD: instance(),
        AGAIN: old,
        OTHER: instance(study=old.study, series=old.series, uid=old.uid, PatientID="P-2"),
        BAD: b"no DICOM " * 20,
    }
    answer = store(shared, *(files[kind] for kind in sent), accept=accept)
    assert (answer.status_code, answer.mimetype) == (status, accept)
    if accept == JSON:
        expected = {GOOD: "STORED", AGAIN: "ALREADY_STORED", BAD: "FAILED", OTHER: "FAILED"}
        assert outcomes(answer) == {number: expected[kind] for number, kind in enumerate(sent, 1)}
        assert len(reasons(answer)) == sum(kind in (BAD, OTHER) for kind in sent)
    else:
        assert answer.text.count('keyword="FailureReason"') == sum(kind in (BAD, OTHER) for kind in sent)
        assert answer.text.count('keyword="ReferencedSOPInstanceUID"') == sum(kind != BAD for kind in sent)


# Media types and encodings


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        *((kind, 400) for kind in ("application/dicom+xml", "text/xml", "application/xml", "text/html", "image/jpeg")),
        *((kind, 400) for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "x", "/")),
        ('multipart/related; type="application/dicom+xml"; boundary=b', 400),
        ('multipart/related; type="text/html"; boundary=b', 400),
    ],
)
def test_other_media_types_are_refused(shared: Client, content_type: str, status: int) -> None:
    """400 in the words of the service, where PS3.18 has 415; a document type in the body leads nowhere."""
    bomb = b'<!DOCTYPE x [<!ENTITY a SYSTEM "http://127.0.0.1:9/x"><!ENTITY b "&a;&a;">]><x>&b;</x>'
    for data in (bomb, b"--b\r\nContent-Type: application/dicom+xml\r\n\r\n" + bomb + b"\r\n--b--\r\n"):
        answer = post(shared, data, content_type)
        assert answer.status_code == status
        assert answer.json["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip", "x"])
def test_compressed_bodies_are_not_unpacked(shared: Client, encoding: str) -> None:
    """415, whatever they would have become; an instance that is compressed in its part is no instance."""
    one = instance()
    body = b"".join(body_of(one))
    answer = post(shared, gzip.compress(body + bytes(50 << 20), 1), **{"Content-Encoding": encoding})
    assert answer.status_code == 415
    assert outcomes(store(shared, gzip.compress(one.data))) == {1: "FAILED"}


def test_no_parser_of_xml_is_ever_loaded(tmp_path: Path) -> None:
    """Neither by starting nor by any request with XML in it: what is not there expands nothing."""
    script = f"""
        import sys
        from werkzeug.test import Client
        from dicomkit.engine import Engine
        from tests.unit.engine.factories import WEB, client, instance, store
        with Engine({str(tmp_path / "home")!r}) as engine:
            http, one = client(engine), instance()
            store(http, one, accept="application/dicom+xml")
            accept = {{"Accept": 'multipart/related; type="application/dicom+xml"'}}
            assert http.get(one.path + "/metadata", headers=accept).status_code == 200
            for kind in ("application/dicom+xml", 'multipart/related; type="application/dicom+xml"; boundary=b'):
                assert http.post(WEB + "/studies", data=b"<!DOCTYPE x>", content_type=kind).status_code == 400
        print([name for name in sys.modules if name in ("pyexpat", "lxml", "xml.sax.expatreader", "defusedxml")])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


# Multipart


PART = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
MULTIPART_BOMBS = {
    "a hundred thousand parts": PART + b"x\r\n" + (b"--b\r\n\r\nx\r\n" * 100_000),
    "a header of a megabyte": b"--b\r\nA: " + b"x" * (1 << 20) + b"\r\n\r\nx\r\n--b--",
    "ten thousand headers": b"--b\r\n" + b"A: b\r\n" * 10_000 + b"\r\nx\r\n--b--",
    "a million nearly boundaries": PART + b"\r\n-" * 1_000_000,
    "four megabytes of line ends": PART + b"\r\n" * 2_000_000,
    "a preamble without an end": b"x" * (4 << 20),
    "no line ends": b"--b" * 1_000_000,
    "folded headers": b"--b\r\nA: b" + b"\r\n b" * 100_000 + b"\r\n\r\nx\r\n--b--",
    "multipart in multipart": PART * 20_000,
}


@pytest.mark.parametrize("name", MULTIPART_BOMBS)
def test_multipart_bombs_are_refused_cheaply(http: Client, engine: Engine, name: str) -> None:
    """4xx, in CPU time in proportion to their length, with nothing left in the temporary folder."""
    begin = time.thread_time()
    answer = post(http, MULTIPART_BOMBS[name])
    assert 400 <= answer.status_code < 500
    assert time.thread_time() - begin < 1
    assert not list(engine.home.tmp.iterdir())


@pytest.mark.parametrize(
    "boundary", ["", '""', "b" * 71, '"b', '"b\\"', "b; boundary=c", "\u00e9", '"b\r\nX: y"', "'b'"]
)
def test_odd_boundaries_are_refused_or_honoured(shared: Client, boundary: str) -> None:
    """400; or, for one that is a boundary all the same, as one that the body does not hold."""
    body = b"".join(body_of(instance()))
    environ = {"CONTENT_TYPE": f"multipart/related; type=application/dicom; boundary={boundary}"}
    answer = shared.post(f"{WEB}/studies", data=body, environ_overrides=environ)
    assert answer.status_code == 400


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [b"--b\r\n", b"--b--", b"\r\n", b"\r\n\r\n", b"--b", PART, b"Content-Type: ", b"A: b", b"\n"]
            ),
            st.binary(max_size=20),
        ),
        max_size=12,
    ).map(b"".join),
    st.sampled_from([TYPE, TYPE.replace("dicom", "dicom+json"), "application/dicom", "multipart/related; boundary=b"]),
)
def test_any_body_is_an_answer(shared: Client, body: bytes, content_type: str) -> None:
    """Of the pieces that bodies are made of, in any order."""
    assert post(shared, body, content_type).status_code in (200, 400, 409)


# Numbers that JSON does not have


def _numbers(*elements: bytes, nested_too: bool = False) -> bytes:
    body = b"".join(elements)
    if nested_too:
        body = element(0x0040A730, "SQ", b"\xfe\xff\x00\xe0" + struct.pack("<I", len(body)) + body)
    return raw_part10(body)


@pytest.mark.parametrize("nested_too", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        *(element(0x00189073, "FD", struct.pack("<d", number)) for number in (math.nan, math.inf, -math.inf)),
        *(element(0x00186030, "FL", struct.pack("<f", number)) for number in (math.nan, math.inf)),
        element(0x00189089, "FD", struct.pack("<3d", 1.0, math.nan, 2.0)),
        *(
            element(0x00180050, "DS", text)
            for text in (b"nan ", b"NaN ", b"inf ", b"-Infinity ", b"1e400 ", b"1\\1e999 ")
        ),
    ],
)
def test_a_number_that_is_not_finite_is_a_reason(shared: Client, value: bytes, nested_too: bool) -> None:
    """The model has none, and a silent null would be a loss: the instance is refused, with the tag (docs/adr/0003)."""
    answer = store(shared, _numbers(value, nested_too=nested_too))
    assert outcomes(answer) == {1: "FAILED"}
    assert "not finite" in reasons(answer)[0]


def test_numbers_at_the_edge_are_kept(http: Client, engine: Engine) -> None:
    """Metadata that any strict parser of JSON reads, and a row of the table: the greatest of each kind, as they are."""
    data = _numbers(
        element(0x00200013, "IS", b"2147483647"),
        element(0x00200012, "IS", b"99999999999999999999999999"),
        element(0x00200011, "IS", b"123456789012345678"),
        element(0x00180050, "DS", b"1.7976931348623157e308"),
        element(0x00181310, "DS", b"1e-400"),
        element(0x00189073, "FD", struct.pack("<d", 1.7976931348623157e308)),
        element(0x00720082, "SV", struct.pack("<q", -(2**63))),
        element(0x00720083, "UV", struct.pack("<Q", 2**64 - 1)),
        element(0x00431001, "FD", struct.pack("<1000d", *[math.nan] * 1000)),
    )
    assert outcomes(store(http, data)) == {1: "STORED"}
    text = http.get(f"{WEB}/studies/1.2.3/metadata").text

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    (found,) = json.loads(text, parse_constant=refuse)
    assert found["00200013"]["Value"] == [2147483647]
    assert found["00200012"]["Value"] == ["99999999999999999999999999"]
    assert found["00200011"]["Value"] == [123456789012345678]
    assert found["00180050"]["Value"] == found["00189073"]["Value"] == [1.7976931348623157e308]
    assert found["00181310"]["Value"] == [0.0]
    assert found["00720082"]["Value"] == [-(2**63)]
    assert found["00720083"]["Value"] == [2**64 - 1]
    assert "BulkDataURI" in found["00431001"]
    (status,) = drain(http).values()
    assert (status["waiting"], status["failed"]) == (0, 0)
    assert rows(engine, "SELECT SliceThickness, AcquisitionDuration FROM imaging.t")[0][0] is not None


# Depth


def _deep_json(depth: int) -> bytes:
    ds = dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    head = ds.to_json_dict() | {
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00020010": {"vr": "UI", "Value": [str(ExplicitVRLittleEndian)]},
    }
    inside = '{"0040A730":{"vr":"SQ","Value":[' * depth + "{}" + "]}}" * depth
    text = json.dumps(head)[:-1] + "," + inside[1:]
    return b"--b\r\nContent-Type: application/dicom+json\r\n\r\n[" + text.encode() + b"]\r\n--b--\r\n"


@pytest.mark.parametrize("depth", [64, 65, 199, 247, 1_000, 100_000])
def test_sequences_in_json_have_the_same_depth(shared: Client, depth: int) -> None:
    """64 are stored; more are a reason, or no JSON that anybody parses; never a recursion without end."""
    answer = post(shared, _deep_json(depth), TYPE.replace("application/dicom", "application/dicom+json"))
    if depth <= 64:
        assert outcomes(answer) == {1: "STORED"}
    else:
        assert answer.status_code in (400, 409)
        assert answer.status_code == 400 or "64 deep" in reasons(answer)[0]


@pytest.mark.parametrize("is_open", [True, False])
def test_what_is_64_deep_passes_through_everything(http: Client, engine: Engine, is_open: bool) -> None:
    """Metadata in both forms, search, transcoding, the table, and de-identification."""
    data = nested(64, is_open=is_open)
    assert outcomes(store(http, data)) == {1: "STORED"}
    path = f"{WEB}/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5"
    assert http.get(path, headers={"Accept": FILE_AS_STORED}).data == data
    assert http.get(f"{path}/metadata").text.count("00400275") == 64
    xml = http.get(f"{path}/metadata", headers={"Accept": 'multipart/related; type="application/dicom+xml"'})
    assert xml.text.count("00400275") == 64
    assert len(http.get(f"{WEB}/instances?includefield=all").json) == 1
    accept = {"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2"}
    assert http.get(path, headers=accept).status_code == 200
    (status,) = drain(http).values()
    assert (status["waiting"], status["failed"]) == (0, 0)
    assert rows(engine, "SELECT COUNT(*) FROM imaging.t") == [("1",)]
    assert http.post(f"{DATASET}/dicomStores?dicomStoreId=out").status_code == 200
    body = {"destinationStore": f"{DATASET[4:]}/dicomStores/out", "config": BASIC}
    operation = ended(http, http.post(f"{STORE}:deidentify", json=body))
    assert operation["metadata"]["counter"] == {"success": "1"}
