"""Texts that make a careless expression run for minutes: whatever reads a request reads them in no time.

The measure is CPU time of this thread, so that a busy machine makes no difference.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from dicomkit.dicom.media_type import parse_media_type
from dicomkit.dicom.query import Query
from dicomkit.dicom.wildcards import glob_match, to_glob
from dicomkit.engine.accept import parse_accept
from dicomkit.engine.services.bulk_data import bulk_path
from dicomkit.engine.services.renderings import frame_numbers
from dicomkit.errors import DicomFormatError, InvalidArgument
from dicomkit.names import is_uid
from dicomkit.pixels.viewport import Viewport
from dicomkit.resources.gcs import glob_regex, parse_gcs_uri
from dicomkit.resources.label_filter import LabelFilter
from dicomkit.server.gate import Early, Gate, Hosts, check_origin

MOST_S = 0.05
SIZE = 16 << 10
"""About the longest target of a request; a header may be longer, and costs as much more."""

GATE = Gate(lambda token: None, hosts=Hosts("127.0.0.1"))


def search(*pairs: tuple[str, str]) -> Callable[[], object]:
    return lambda: Query.parse("studies", list(pairs), mode="friendly")


def filled(text: str, begin: str = "", end: str = "") -> str:
    """*text* again and again between *begin* and *end*."""
    return begin + text * (SIZE // len(text)) + end


CASES: dict[str, Callable[[], object]] = {
    "path of an upload": lambda: GATE.admit("POST", filled("/dicomWeb/studies/", "/v1/"), "", {"HOST": "127.0.0.1"}),
    "host of dots": lambda: filled("a.") in Hosts("127.0.0.1"),
    "host of colons": lambda: filled(":", "[") in Hosts("127.0.0.1"),
    "origin": lambda: check_origin(filled("a.", "http://", "/")),
    "media type of semicolons": lambda: parse_media_type(filled(";", "a/b")),
    "media type of blanks": lambda: parse_media_type(filled("; \t", "a/b", "=")),
    "media type of backslashes": lambda: parse_media_type(filled("\\", 'a/b;x="')),
    "media type of one name": lambda: parse_media_type(filled("a")),
    "accept of commas": lambda: parse_accept(filled(",")),
    "accept of quotes": lambda: parse_accept(filled('a/b,"')),
    "accept of backslashes": lambda: parse_accept(filled("\\", '"')),
    "accept of many": lambda: parse_accept(filled("a/b;q=0.5,")),
    "labels of words": lambda: LabelFilter.parse(filled("a OR labels.a=", "labels.a=")),
    "labels of parentheses": lambda: LabelFilter.parse(filled("(")),
    "labels of backslashes": lambda: LabelFilter.parse(filled("\\", 'labels.a="')),
    "labels of negations": lambda: LabelFilter.parse(filled("NOT ", "", "labels.a=1")),
    "UID of digits": lambda: is_uid(filled("1", "", "x")),
    "UID of dots": lambda: is_uid(filled("1.")),
    "path of bulk data": lambda: bulk_path(filled("00400275/0/")),
    "frames": lambda: frame_numbers(filled("1,", "", "x")),
    "viewport": lambda: Viewport.parse(filled("1,")),
    "uri of stars": lambda: parse_gcs_uri(filled("*a", "gs://b/"), wildcards=True),
    "uri of stars that nothing matches": lambda: glob_regex("*a" * 12 + "*b").fullmatch("a" * 1_000),
    "uri of folders that nothing matches": lambda: glob_regex("**/a" * 12 + "**b").fullmatch("/a" * 500),
    "name of stars": search(("PatientName", "*a" * 500)),
    "name of words": search(("PatientName", "a " * 500), ("fuzzymatching", "true")),
    "name of marks": search(("PatientName", "a\u0301" * 500)),
    "star pattern that nothing matches": lambda: glob_match(to_glob("*a" * 200 + "*b"), "a" * 1_000),
    "query pattern that nothing matches": lambda: glob_match(to_glob("*?a" * 200 + "*b"), "a" * 1_000),
    "range of hyphens": search(("StudyDate", filled("-"))),
    "range of digits": search(("AcquisitionDateTime", filled("1"))),
    "number of digits": search(("InstanceNumber", filled("1"))),
    "number of exponents": search(("SliceThickness", filled("1e"))),
    "list of UIDs": search(("StudyInstanceUID", filled("1.2,"))),
    "path of attributes": search((filled("OtherPatientIDsSequence.", "", "PatientID"), "x")),
    "many fields": search(("includefield", filled("PatientID,"))),
    "many keys": search(*[("PatientID", "x")] * 2_000),
}


@pytest.mark.parametrize("name", CASES)
def test_hostile_text_is_read_in_no_time(name: str) -> None:
    """Taken or refused; the best of three runs counts, for the first one compiles and imports."""
    times = []
    for _ in range(3):
        begin = time.thread_time()
        try:
            CASES[name]()
        except (InvalidArgument, DicomFormatError, Early):
            pass
        times.append(time.thread_time() - begin)
    assert min(times) < MOST_S
