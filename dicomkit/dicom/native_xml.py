"""The Native DICOM Model: a data set as XML.

Source: DICOM PS3.19 section A.1 (Native DICOM Model) and PS3.18 section F.3 (how XML and JSON correspond), edition
2025b. The element names stand in no namespace, as in the answers of the Cloud Healthcare API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

from dicomkit.dicom.dictionary import keyword_of
from dicomkit.dicom.json_model import DataSet, Element

__all__ = ["native_xml"]

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xml:space="preserve">'
_TAIL = "</NativeDicomModel>\n"

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_PRIVATE = "13579BDF"

# A carriage return that is no reference becomes a line feed when it is read (XML 1.0 section 2.11).
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What no XML 1.0 document can hold, not even as a reference (section 2.2)."""


def native_xml(elements: DataSet, *, bulk_base: str = "") -> bytes:
    """The document of one data set.

    Parameters
    ----------
    elements
        The DICOM JSON model, file meta information included where it is wanted.
    bulk_base
        Put before each ``BulkDataURI``.

    Notes
    -----
    Control characters that XML cannot hold, as form feed, come as U+FFFD, the replacement character.
    """
    return "".join((_HEAD, *_dataset(elements, bulk_base), _TAIL)).encode()


def _dataset(elements: DataSet, base: str) -> Iterator[str]:
    for tag, element in elements.items():
        yield f"<DicomAttribute {_attributes(tag, element, elements)}"
        inner = "".join(_content(element, base))
        yield f">{inner}</DicomAttribute>" if inner else "/>"


def _attributes(tag: str, element: Element, elements: DataSet) -> str:
    text = f'tag="{tag}" vr="{element["vr"]}"'
    if tag[3] not in _PRIVATE:
        keyword = keyword_of(tag)
        return f'{text} keyword="{keyword}"' if keyword else text
    creator = elements.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value") if tag[4:6] != "00" else None
    if not (creator and isinstance(creator[0], str)):
        return text
    # With its creator an element is named without the block that it happens to be in.
    return f'tag="{tag[:4]}00{tag[6:]}" vr="{element["vr"]}" privateCreator={quoteattr(_valid(creator[0]))}'


def _content(element: Element, base: str) -> Iterator[str]:
    if "BulkDataURI" in element:
        yield f"<BulkData uri={quoteattr(_valid(base + element['BulkDataURI']))}/>"
    elif "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    else:
        values: Sequence[Any] = element.get("Value", ())
        vr = element["vr"]
        for number, value in enumerate(values, 1):
            if vr == "SQ":
                yield f'<Item number="{number}">{"".join(_dataset(value or {}, base))}</Item>'
            elif vr == "PN":
                yield f'<PersonName number="{number}">{"".join(_name(value or {}))}</PersonName>'
            elif value is None or value == "":
                yield f'<Value number="{number}"/>'
            else:
                yield f'<Value number="{number}">{_text(value)}</Value>'


def _name(value: Mapping[str, str]) -> Iterator[str]:
    for group in _GROUPS:
        if text := value.get(group):
            # What follows a fifth caret is no component; it stays where it stands.
            parts = text.split("^", len(_COMPONENTS) - 1)
            inner = "".join(f"<{n}>{_text(t)}</{n}>" for n, t in zip(_COMPONENTS, parts, strict=False) if t)
            yield f"<{group}>{inner}</{group}>"


def _text(value: object) -> str:
    if isinstance(value, str):
        return _valid(value).translate(_ESCAPES)
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def _valid(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
