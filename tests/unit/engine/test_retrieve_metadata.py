"""Metadata as XML, beside JSON (healthcare-api 4.3; PS3.19 section A.1)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from werkzeug.test import Client, TestResponse

from dicomkit.dicom.multipart import parts
from dicomkit.engine import Engine
from tests.unit.engine.factories import WEB, client, instance, store

XML = 'multipart/related; type="application/dicom+xml"'


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Client]:
    with Engine(tmp_path) as engine:
        yield client(engine)


def documents(answer: TestResponse) -> list[Element]:
    """The parts of the answer, parsed."""
    assert answer.status_code == 200, answer.text
    found = []
    for part in parts(io.BytesIO(answer.data), answer.headers["Content-Type"]):
        assert part.content_type == "application/dicom+xml"
        found.append(ElementTree.fromstring(bytes(part.buffer())))
    return found


def value(root: Element, tag: str) -> str | None:
    """The first value of an attribute."""
    return root.findtext(f"DicomAttribute[@tag='{tag}']/Value")


@pytest.mark.parametrize("accept", [XML, "multipart/related; type=application/dicom+xml", "multipart/related"])
def test_each_instance_is_a_part(http: Client, accept: str) -> None:
    """Of a study, a series and an instance, in the order of storing, file meta information included."""
    one = instance()
    rest = [instance(study=one.study, series=s, InstanceNumber=n) for s in (one.series, "1.2.3") for n in (2, 3)]
    store(http, one, *rest)
    study = f"{WEB}/studies/{one.study}"
    for path, count in ((study, 5), (f"{study}/series/{one.series}", 3), (one.path, 1)):
        answer = http.get(f"{path}/metadata", headers={"Accept": accept})
        assert answer.mimetype == "multipart/related"
        found = documents(answer)
        assert len(found) == count
        assert value(found[0], "00080018") == one.uid
        assert value(found[0], "00020010") == "1.2.840.10008.1.2.1"


def test_bulk_data_are_where_the_json_says(http: Client) -> None:
    """The same URI in both forms."""
    one = instance()
    store(http, one)
    (root,) = documents(http.get(f"{one.path}/metadata", headers={"Accept": XML}))
    (item,) = http.get(f"{one.path}/metadata").json
    uri = root.find("DicomAttribute[@tag='7FE00010']/BulkData").get("uri")  # type: ignore[union-attr]
    assert uri == item["7FE00010"]["BulkDataURI"] == f"http://localhost{one.path}/bulkdata/7FE00010"


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:8123", "http://127.0.0.1:8123"),
        # dicomweb-client leaves the port out.
        ("127.0.0.1", "http://127.0.0.1:8123"),
        ("localhost", "http://localhost:8123"),
        ("[::1]", "http://[::1]:8123"),
        # A proxy has a port of its own.
        ("pacs.example", "http://pacs.example"),
    ],
)
def test_bulk_data_are_where_the_client_reaches_them(http: Client, host: str, origin: str) -> None:
    """The URIs begin as the client's own do."""
    one = instance()
    store(http, one)
    (item,) = http.get(f"{one.path}/metadata", base_url="http://127.0.0.1:8123", headers={"Host": host}).json
    assert item["7FE00010"]["BulkDataURI"] == f"{origin}{one.path}/bulkdata/7FE00010"


def test_json_is_the_default(http: Client) -> None:
    """Without Accept, with a wildcard, and where it is wanted more."""
    one = instance()
    store(http, one)
    for accept in (None, "*/*", f"{XML}; q=0.5, application/dicom+json"):
        answer = http.get(f"{one.path}/metadata", headers={"Accept": accept} if accept else {})
        assert answer.mimetype == "application/dicom+json"
    answer = http.get(f"{one.path}/metadata", headers={"Accept": "application/dicom+xml"})
    assert answer.status_code == 406
    assert XML in answer.json["error"]["message"]


def test_the_query_parameter_chooses_in_friendly_mode_only(tmp_path: Path) -> None:
    """The Cloud Healthcare API does not have it."""
    one = instance()
    for mode, media in (("friendly", "multipart/related"), ("google", "application/dicom+json")):
        with Engine(tmp_path / mode, mode=mode) as engine:  # type: ignore[arg-type]
            http = client(engine)
            store(http, one)
            answer = http.get(f"{one.path}/metadata?accept=multipart/related;type=application/dicom%2Bxml")
            assert answer.mimetype == media


def test_text_with_control_characters_makes_a_document_all_the_same(http: Client) -> None:
    """What XML has no form for is replaced; line ends stay."""
    one = instance(PatientComments="one\r\ntwo\x0cthree <&>")
    store(http, one)
    (root,) = documents(http.get(f"{one.path}/metadata", headers={"Accept": XML}))
    assert value(root, "00104000") == "one\r\ntwo\ufffdthree <&>"
