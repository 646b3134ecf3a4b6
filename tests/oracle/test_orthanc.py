"""Orthanc beside the engine: the same files stored in both, searched, described and retrieved from both.

Where they differ stands in the tables, with who is right by the standard; ``docs/interoperability.md`` is for users.
"""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

import dicomkit as dk
from bench.orthanc import MISSING, Orthanc, running
from dicomkit.dicom.dictionary import keyword_of
from dicomkit.dicom.multipart import parts
from dicomkit.dicom.multipart_writer import Writer
from tests.oracle.every_file import WHEEL_NAMES, Kept, keep_all
from tests.oracle.json_agreement import Agreement

JSON = "application/dicom+json"
FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
OCTETS = 'multipart/related; type="application/octet-stream"'

REFUSED_BY_ORTHANC = {
    "SC_rgb_jpeg.dcm": "has implicit elements in an explicit data set; DCMTK, with which Orthanc reads, gives up",
}
"""Files of the wheel that only the engine stores, and what Orthanc does."""

SEARCH_DIFFERENCES = {
    ("SpecificCharacterSet", "theirs"): "Orthanc names ISO_IR 100 in every result, also where the file names none",
    ("SpecificCharacterSet", "differs"): "as above; JSON is UTF-8 in both, and the engine gives the value of the file",
    ("PatientName", "differs"): "Orthanc loses letters that Latin-1 does not have (DefaultEncoding); PS3.18 F.2: UTF-8",
    (
        "RetrieveURL",
        "theirs",
    ): "PS3.18 table 10.6.3-3 has it; Google, and so the engine, leaves it out",
    ("SeriesNumber", "theirs"): "PS3.18 table 10.6.3-4 has it; Google, and so the engine, with includefield only",
    ("RequestAttributesSequence", "ours"): "PS3.18 table 10.6.3-4 has it; Orthanc leaves out sequences",
    ("NumberOfFrames", "differs"): "badVR.dcm: text that is no number stays (PS3.18 F.2.3); Orthanc drops it",
}
"""Attributes of results that differ, whose they are, and why."""

METADATA_RULES = {
    "pixels": "Orthanc leaves out compressed pixel data; PS3.18 10.4.1.1.2 wants all attributes, bulk data as a URI",
    "tiny numbers": "Orthanc gives 0 for numbers that are nearly so",
    "cut": "Orthanc cuts long text",
    "no number": "text that is no number stays (PS3.18 F.2.3); Orthanc drops it",
    "empty groups": "Orthanc writes an empty component group, which PS3.18 F.2.2 leaves out",
    "first set": "an empty value among several is null (PS3.18 F.2.5); Orthanc drops it, which moves the others",
    "escape sequences": "Orthanc does not follow the change to JIS X 0208 within a name (PS3.5 6.1.2.5)",
    "yen": "the backslash of JIS X 0201 looks like a yen sign; it separates values all the same (PS3.5 6.1.2.3)",
    "padding": "PS3.5 6.2: spaces around CS are not significant, in a list either",
    "trailing padding": "PS3.10 7.2: no part of the instance",
}
"""Why metadata differ."""

FRAMES_REFUSED = {
    "1.2.840.10008.1.2.4.90": "Debian's Orthanc decodes no JPEG 2000 here, and answers 500",
    "1.2.840.10008.1.2.4.91": "as above",
    "1.2.840.10008.1.2.2": "a frame as it is stored, big endian, is an internal error of Orthanc",
    "1.2.840.10008.1.2.1.99": "a frame as it is stored, deflated, is an internal error of Orthanc",
}
"""Transfer syntaxes of which Orthanc gives some frames not at all."""

UNDECODED = ("badVR.dcm", "JPEG2000-embedded-sequence-delimiter.dcm")
"""Files of which neither gives frames: no number of frames, and a codestream that was cut."""


@dataclass(frozen=True)
class Pair:
    """Both servers with the same files."""

    orthanc: Orthanc
    files: list[Kept]
    refused: set[str]
    """Names of files that only the engine has."""

    @property
    def both(self) -> list[Kept]:
        """Files that both have."""
        return [kept for kept in self.files if kept.path.name not in self.refused]

    def answers(self, path: str, accept: str = JSON) -> tuple[requests.Response, requests.Response]:
        """Of the engine and of Orthanc."""
        store = self.files[0].store
        headers = {"Accept": accept}
        ours = store._rest.session.get(f"{store.dicomweb_url}/{path}", headers=headers)
        return ours, self.orthanc.session.get(f"{self.orthanc.web}/{path}", headers=headers)


def path_of(kept: Kept) -> str:
    """Of an instance, below the root of a DICOMweb service."""
    return "studies/{}/series/{}/instances/{}".format(*kept.uids)


def bodies(answer: requests.Response) -> list[bytes]:
    """The parts of a multipart answer."""
    assert answer.status_code == 200, answer.text
    return [bytes(part.buffer()) for part in parts(io.BytesIO(answer.content), answer.headers["Content-Type"])]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both with the files of the wheel, of each triple of UIDs the first."""
    folder = tmp_path_factory.mktemp("orthanc")
    with running(folder) as orthanc, dk.connect(folder / "home") as dataset:
        if orthanc is None:
            (pytest.fail if "CI" in os.environ else pytest.skip)(MISSING)
        found = [kept for kept in keep_all(dataset, WHEEL_NAMES).values() if isinstance(kept, Kept)]
        files = [kept for kept in found if kept.store.id == found[0].store.id]
        refused = {kept.path.name for kept in files if not _is_taken(orthanc, kept)}
        yield Pair(orthanc, files, refused)


def _is_taken(orthanc: Orthanc, kept: Kept) -> bool:
    body = Writer([("application/dicom", kept.data)])
    headers = {"Content-Type": body.content_type, "Accept": JSON}
    answer = orthanc.session.post(f"{orthanc.web}/studies", data=b"".join(body), headers=headers)
    return answer.status_code == 200 and bool(answer.json()["00081199"].get("Value"))


def test_both_store_the_same_files(pair: Pair) -> None:
    """But for those that stand in the table."""
    assert pair.refused == REFUSED_BY_ORTHANC.keys()
    assert len(pair.both) > 70


LEVELS = {
    "studies": ("0020000D",),
    "series": ("0020000D", "0020000E"),
    "instances": ("0020000D", "0020000E", "00080018"),
}


def rows(answer: requests.Response, level: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """Results by their UIDs."""
    assert answer.status_code in (200, 204), answer.text
    found = answer.json() if answer.content else []
    return {tuple(row[tag]["Value"][0] for tag in LEVELS[level]): row for row in found}


def test_searches_give_the_same_rows_and_attributes(pair: Pair) -> None:
    """Every attribute of every result of each level, but for those that stand in the table."""
    differences = set()
    for level, tags in LEVELS.items():
        ours, theirs = (rows(answer, level) for answer in pair.answers(f"{level}?limit=1000"))
        missing = {kept.uids[: len(tags)] for kept in pair.files} - {kept.uids[: len(tags)] for kept in pair.both}
        assert ours.keys() - missing == theirs.keys()
        equal = 0
        for key, row in theirs.items():
            for tag in row.keys() | ours[key].keys():
                a, b = ours[key].get(tag), row.get(tag)
                if a == b:
                    equal += 1
                else:
                    differences.add((keyword_of(tag), "ours" if b is None else "theirs" if a is None else "differs"))
        assert equal > 9 * len(theirs)
    assert differences == SEARCH_DIFFERENCES.keys()


QUERIES = {
    "by an ID": ("studies", {"PatientID": "1CT1"}),
    "by a day": ("studies", {"StudyDate": "20040119"}),
    "by a range of days": ("studies", {"StudyDate": "20040101-20041231"}),
    "by days from one on": ("series", {"StudyDate": "20100101-"}),
    "by a prefix": ("studies", {"PatientName": "CompressedSamples*"}),
    "by an infix": ("instances", {"PatientName": "*Samples*"}),
    "by one letter": ("studies", {"PatientID": "?CT1"}),
    "by modality": ("series", {"Modality": "MR"}),
    "by modality below": ("studies", {"ModalitiesInStudy": "CT"}),
    "by tag": ("studies", {"00100020": "77654033"}),
    "by a study's attribute": ("instances", {"PatientID": "98890234"}),
    "by a number": ("instances", {"InstanceNumber": "1"}),
    "by class": ("instances", {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}),
    "by description": ("series", {"SeriesDescription": "Routine*"}),
    "by two keys": ("series", {"PatientID": "98890234", "Modality": "MR"}),
    "nobody": ("studies", {"PatientID": "nobody"}),
}


@pytest.mark.parametrize("name", QUERIES)
def test_match_keys_find_the_same(pair: Pair, name: str) -> None:
    """Each level, dates and ranges, wildcards, attributes of parents and counts of children."""
    level, keys = QUERIES[name]
    query = "&".join(f"{key}={value}" for key, value in keys.items())
    ours, theirs = (rows(answer, level).keys() for answer in pair.answers(f"{level}?limit=1000&{query}"))
    missing = {kept.uids[: len(LEVELS[level])] for kept in pair.files if kept.path.name in pair.refused}
    assert ours - missing == theirs
    assert theirs or name == "nobody"


MATCHING_DIFFERENCES = {
    "letters of the other case": (
        {"Modality": "mr"},
        "PS3.4 C.2.2.2.1: case-sensitive but for names; Orthanc is not, unless CaseSensitivePN",
        False,
    ),
    "fuzzy names": (
        {"PatientName": "Samples compressed", "fuzzymatching": "true"},
        "Orthanc has no fuzzy matching and takes the name literally, which PS3.18 8.3.4.2 allows",
        True,
    ),
}
"""Match keys that find rows in one only: why, and whether in the engine."""


@pytest.mark.parametrize("name", MATCHING_DIFFERENCES)
def test_match_keys_that_only_one_takes(pair: Pair, name: str) -> None:
    """Those that stand in the table."""
    keys, _, is_ours = MATCHING_DIFFERENCES[name]
    query = "&".join(f"{key}={value}" for key, value in keys.items())
    ours, theirs = (rows(answer, "series") for answer in pair.answers(f"series?{query}"))
    assert (bool(ours), bool(theirs)) == (is_ours, not is_ours)


def test_lists_of_uids_find_the_same(pair: Pair) -> None:
    """Separated by commas (PS3.18 section 8.3.4.1); the engine takes backslashes, too."""
    uids = sorted({kept.uids[0] for kept in pair.both})[:3]
    query = ",".join(uids)
    ours, theirs = (rows(answer, "studies") for answer in pair.answers(f"studies?StudyInstanceUID={query}"))
    assert ours.keys() == theirs.keys() == {(uid,) for uid in uids}


def test_what_lies_below_is_the_same(pair: Pair) -> None:
    """Series of a study, instances of a study and of a series."""
    for kept in pair.both[::7]:
        study, series, _ = kept.uids
        for path in (
            f"studies/{study}/series",
            f"studies/{study}/instances",
            f"studies/{study}/series/{series}/instances",
        ):
            level = path.rpartition("/")[2]
            ours, theirs = (rows(answer, level) for answer in pair.answers(path))
            assert ours.keys() == theirs.keys() != set()


def explain(tag: str, ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """The rule of ``METADATA_RULES`` for an element."""
    if tag == "7FE00010" and not theirs:
        return "pixels"
    a, b = ours.get("Value", []), theirs.get("Value", [])
    if ours.get("vr") == "FL" and all(x == y or abs(x) < 1e-20 for x, y in zip(a, b, strict=True)):
        return "tiny numbers"
    if ours.get("vr") == "UT" and a[0].startswith(b[0]):
        return "cut"
    if ours.get("vr") == "IS" and not b:
        return "no number"
    if tag == "00080005" and [x for x in a if x] == b:
        return "first set"
    if len(a) > 1 and ((ours["vr"] == "CS" and ["¥".join(a)] == b) or (ours["vr"] == "DS" and not b)):
        return "yen"
    if ours.get("vr") == "PN":
        if a == [{group: text for group, text in name.items() if text} for name in b]:
            return "empty groups"
        if b[0]["Ideographic"].encode() == re.sub(rb"\x1b..", b"", a[0]["Ideographic"].encode("iso2022_jp")):
            return "escape sequences"
    return None


def test_metadata_are_the_same(pair: Pair) -> None:
    """Element by element, at every depth, and the bytes behind the URIs of both."""
    session, count, rules = pair.orthanc.session, 0, set()
    for kept in pair.both:
        ours, theirs = (answer.json()[0] for answer in pair.answers(f"{path_of(kept)}/metadata"))
        ours = {tag: element for tag, element in ours.items() if not tag.startswith("0002")}
        agreement = Agreement(kept.bulk, big_endian=kept.is_big_endian, explain=explain)
        agreement.compare(ours, _with_bulk(session, theirs))
        count += agreement.count
        rules |= agreement.found - ({"byte order"} if kept.is_big_endian else set())
    assert rules == METADATA_RULES.keys()
    assert count > 5000


def _with_bulk(session: requests.Session, elements: dict[str, Any]) -> dict[str, Any]:
    """The elements with the bytes in the place of Orthanc's BulkDataURI."""
    made = {}
    for tag, element in elements.items():
        if "BulkDataURI" in element:
            (body,) = bodies(session.get(element["BulkDataURI"], headers={"Accept": OCTETS}))
            element = {"vr": element["vr"], "InlineBinary": base64.b64encode(body).decode()}
        elif element["vr"] == "SQ":
            element = element | {"Value": [_with_bulk(session, item) for item in element.get("Value", ())]}
        made[tag] = element
    return made


def test_instances_are_the_same(pair: Pair) -> None:
    """As they are stored, bit by bit; a series of several, too."""
    for kept in pair.both:
        ours, theirs = map(bodies, pair.answers(path_of(kept), FILES))
        assert ours == theirs == [kept.data]
    series = next(kept for kept in pair.both if "MR700" in str(kept.path))
    path = path_of(series).partition("/instances/")[0]
    ours, theirs = map(bodies, pair.answers(path, FILES))
    assert sorted(ours) == sorted(theirs)
    assert len(ours) > 5


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "*"])
def test_frames_are_the_same(pair: Pair, syntax: str) -> None:
    """Uncompressed and as they are stored, byte by byte; lossy JPEG and its colours, too."""
    compared, refused = 0, set()
    for kept in pair.both:
        dataset = kept.dataset()
        if "PixelData" not in dataset or kept.path.name in UNDECODED:
            continue
        answers = pair.answers(f"{path_of(kept)}/frames/1", f"{OCTETS}; transfer-syntax={syntax}")
        if answers[1].status_code == 500:
            refused.add(str(dataset.file_meta.TransferSyntaxUID))
            continue
        ours, theirs = map(bodies, answers)
        assert ours == theirs, kept.path.name
        compared += 1
    assert refused <= FRAMES_REFUSED.keys()
    assert compared > 60
