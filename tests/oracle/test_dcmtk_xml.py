"""The Native DICOM Model of metadata (PS3.19 section A.1) beside that of DCMTK's ``dcm2xml``."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

import dicomkit as dk
from dicomkit.dicom.multipart import parts
from tests.oracle import dcmtk
from tests.oracle.dcmtk import needs_dcmtk
from tests.oracle.every_file import WHEEL_NAMES, Kept, keep_all

pytestmark = needs_dcmtk

XML = 'multipart/related; type="application/dicom+xml"'

UNREAD = {
    "SC_rgb_jpeg.dcm": "DCMTK gives up at implicit elements in an explicit data set",
    "chrH31.dcm": "dcm2xml leaves escape sequences in text, which no XML may hold",
    "chrH32.dcm": "as above",
    "chrI2.dcm": "as above",
    "chrX1.dcm": "dcm2xml repeats the ideographic group of a name in place of an empty phonetic one",
    "chrX2.dcm": "as above",
    "waveform_ecg.dcm": "private attributes without a creator keep their block in the engine, which DCMTK takes away",
    "J2K_pixelrep_mismatch.dcm": "DCMTK does not know private creators that stand under UN",
    "rtdose_rle.dcm": "as above, and a sequence",
    "rtdose_rle_1frame.dcm": "as above",
}
"""Files that DCMTK reads otherwise, and why."""

Attribute = tuple[str, str | None, str | None, list[Any]]


def attributes(root: ElementTree.Element, path: str = "") -> Iterator[tuple[str, Attribute]]:
    """VR, keyword, private creator and values of every attribute, by its path."""
    for element in root.findall("{*}DicomAttribute"):
        here, vr = path + element.attrib["tag"].upper(), element.attrib["vr"]
        values: list[Any] = []
        for child in element:
            kind = child.tag.rpartition("}")[2]
            if kind == "Item":
                yield from attributes(child, f"{here}[{child.attrib['number']}].")
            elif kind == "Value":
                values.append((int(child.attrib["number"]), _value(vr, (child.text or "").strip(" \0"))))
            elif kind == "PersonName":
                groups = [(group.tag.rpartition("}")[2], [part.text for part in group if part.text]) for group in child]
                values += [groups] if any(components for _, components in groups) else []
            else:
                values.append("binary")  # a reference, or the bytes
        yield here, (vr, element.get("keyword"), element.get("privateCreator"), values)


def _value(vr: str, text: str) -> Any:
    """Text, or the number that it stands for, as far as DCMTK writes its digits."""
    if vr not in ("DS", "FD", "FL", "IS"):
        return text
    try:
        return pytest.approx(float(text), rel=1e-8)
    except ValueError:
        return text


def test_metadata_as_xml_are_those_of_dcm2xml(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Attribute by attribute, at every depth, with keywords and private creators."""
    compared = 0
    with dk.connect(tmp_path_factory.mktemp("xml") / "home") as dataset:
        for name, kept in keep_all(dataset, WHEEL_NAMES).items():
            if not isinstance(kept, Kept) or kept.path.name in UNREAD:
                continue
            answer = kept.get(f"{kept.url}/metadata", XML)
            (part,) = parts(io.BytesIO(answer.content), answer.headers["Content-Type"])
            ours = dict(attributes(ElementTree.fromstring(bytes(part.buffer()))))
            theirs = dict(attributes(ElementTree.fromstring(dcmtk.run("dcm2xml", "-nat", kept.path))))
            ours = {path: found for path, found in ours.items() if not path.startswith("0002")}
            theirs = {path: found for path, found in theirs.items() if not _is_theirs(path, found[0])}
            assert ours.keys() == theirs.keys(), name
            for path, (vr, keyword, creator, values) in theirs.items():
                # Retired attributes have no keyword in DCMTK; compressed pixel data are always OB there.
                if vr != "OB":
                    assert ours[path] == (vr, keyword or ours[path][1], creator, values), (name, path)
                compared += 1
    assert compared > 8000


def _is_theirs(path: str, vr: str) -> bool:
    """File meta information, which the service answers otherwise, lengths of groups, and trailing padding."""
    return path.startswith("0002") or path == "FFFCFFFC" or (path.endswith("0000") and vr == "UL")
