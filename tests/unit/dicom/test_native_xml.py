"""The Native DICOM Model, read back by a standard XML parser (PS3.19 section A.1)."""

from __future__ import annotations

import base64
import warnings
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pydicom
import pytest
from pydicom.datadict import keyword_for_tag

from dicomkit.dicom.native_xml import native_xml
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError
from tests.conftest import WHEEL


def parsed(elements: dict, **options: str) -> Element:
    """The root of the document."""
    return ElementTree.fromstring(native_xml(elements, **options))


def only(root: Element) -> Element:
    """The one attribute of a document."""
    (attribute,) = root
    return attribute


def name_text(name: Element) -> str:
    """A person name as it stands in a file."""
    groups = []
    for group in ("Alphabetic", "Ideographic", "Phonetic"):
        parts = [name.findtext(f"{group}/{part}", "") for part in
                 ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")]  # fmt: skip
        groups.append("^".join(parts).rstrip("^"))
    return "=".join(groups).rstrip("=")


def number(value: object) -> object:
    """A number without the form in which it is written; text that is none as it is."""
    try:
        return float(str(value)) if value not in (None, "") else None
    except ValueError:
        return value


def compare(attributes: Element, dataset: pydicom.Dataset) -> int:
    """Compare what both hold, and return how many elements that were."""
    count = 0
    for element in dataset:
        if element.tag.is_private or element.tag.element == 0 or element.tag == 0xFFFCFFFC:
            continue
        found = attributes.find(f"DicomAttribute[@tag='{int(element.tag):08X}']")
        assert found is not None, element.tag
        assert found.get("keyword", "") == keyword_for_tag(element.tag)
        if found.find("BulkData") is not None or found.get("vr") != element.VR:
            continue
        values = [] if element.is_empty else [element.value] if element.VM == 1 else list(element.value)
        if element.VR == "SQ":
            items = found.findall("Item")
            if not items:  # longer than what metadata hold
                continue
            assert [item.get("number") for item in items] == [str(n + 1) for n in range(len(element.value))]
            count += sum(compare(item, below) for item, below in zip(items, element.value, strict=True))
        elif element.VR == "PN":
            assert [name_text(n) for n in found.findall("PersonName")] == [str(v).rstrip("^=") for v in values]
        elif element.VR in ("OB", "OW", "UN", "OF", "OD", "OL", "OV"):
            assert base64.b64decode(found.findtext("InlineBinary", "")) == (element.value or b"")
        elif element.VR in ("DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "UV", "SV"):
            assert [number(v.text) for v in found.findall("Value")] == [number(v) for v in values]
        elif element.VR == "AT":
            assert [v.text for v in found.findall("Value")] == [f"{int(v):08X}" for v in values]
        elif element.VR in ("LT", "ST", "UT"):
            assert (found.findtext("Value") or "") == str(element.value or "").rstrip(" \0")
        else:
            assert [(v.text or "").strip() for v in found.findall("Value")] == [str(v).strip(" \0") for v in values]
        count += 1
    return count


@pytest.mark.filterwarnings("ignore")
def test_values_are_those_that_pydicom_reads() -> None:
    """Every readable file of the wheel, element by element and at every depth."""
    files = compared = 0
    for path in sorted(WHEEL.glob("*.dcm")):
        try:
            part = read_part10(path.read_bytes(), require_uids=False)
        except DicomFormatError:
            continue
        part.use_numbers()
        with warnings.catch_warnings(action="ignore"):
            compared += compare(parsed({**part.meta, **part.elements}), pydicom.dcmread(path, force=True))
        files += 1
    assert files > 60
    assert compared > 3000


def test_markup_and_line_ends_survive() -> None:
    """What is markup in XML is text in DICOM, and a carriage return does not become a line feed."""
    text = "a < b && \"c\" > 'd'\r\nnext ]]> <!-- \t end"
    assert only(parsed({"00324000": {"vr": "LT", "Value": [text]}})).findtext("Value") == text


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    """A form feed or an escape makes no document that no parser reads."""
    values = ["a\x0cb", "\x1b[1m", "\ufffe\ud800", "\x00"]
    root = parsed({"00104000": {"vr": "LO", "Value": values}})
    assert [v.text for v in only(root)] == ["a\ufffdb", "\ufffd[1m", "\ufffd\ufffd", "\ufffd"]


def test_names_come_by_component_and_in_every_script() -> None:
    """Alphabetic, ideographic and phonetic groups; a caret too many stays with the suffix."""
    name = {"Alphabetic": "Yamada^Tarou^^Dr^PhD^x", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    person = only(parsed({"00100010": {"vr": "PN", "Value": [name, {}]}}))
    assert [child.get("number") for child in person] == ["1", "2"]
    assert name_text(person[0]) == "Yamada^Tarou^^Dr^PhD^x=山田^太郎=やまだ^たろう"
    assert len(person[1]) == 0


def test_private_elements_name_their_creator() -> None:
    """With its creator a private element is named without its block; one without creator keeps its tag."""
    root = parsed(
        {
            "00090010": {"vr": "LO", "Value": ['ACME "1" & co']},
            "00091001": {"vr": "LO", "Value": ["x"]},
            "00091102": {"vr": "LO", "Value": ["y"]},
        }
    )
    assert [(a.get("tag"), a.get("privateCreator"), a.get("keyword")) for a in root] == [
        ("00090010", None, None),
        ("00090001", 'ACME "1" & co', None),
        ("00091102", None, None),
    ]


def test_bulk_is_referred_to_and_empty_is_empty() -> None:
    """BulkData has the URI, escaped; an element without value has no content, an empty value keeps its number."""
    root = parsed(
        {
            "00080008": {"vr": "CS", "Value": ["A", None, "B"]},
            "00080020": {"vr": "DA"},
            "7FE00010": {"vr": "OW", "BulkDataURI": "7FE00010"},
        },
        bulk_base="http://h/?a&b/",
    )
    image_type, date, pixels = root
    assert [(v.get("number"), v.text) for v in image_type] == [("1", "A"), ("2", None), ("3", "B")]
    assert len(date) == 0
    assert pixels.find("BulkData").get("uri") == "http://h/?a&b/7FE00010"  # type: ignore[union-attr]
