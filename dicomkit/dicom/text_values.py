"""Values that are text in the file: split, stripped, decoded, and made numbers where the VR says so.

Sources: DICOM PS3.5 section 6.2 (what padding is significant), PS3.18 section F.2 (JSON of each VR).
"""

from __future__ import annotations

from typing import Any

from dicomkit.dicom.charset import (
    NAME_DELIMITERS,
    TEXT_DELIMITERS,
    VALUE_DELIMITERS,
    Charset,
    UnknownCharacterSet,
    charset_for,
    decode,
)
from dicomkit.dicom.json_model import Element
from dicomkit.errors import DicomFormatError

__all__ = ["NOT_FINITE", "PADDING", "charset_of", "foreign_text", "names_element", "number_of", "split_values"]

# Text that PS3.5 section 6.2 pads with spaces on both sides may be stripped on both; UI and real files pad with NUL.
PADDING = " \x00"

NOT_FINITE = "a number is not finite, and JSON has no such number"


def charset_of(element: Element, start: int) -> Charset:
    """The character set that (0008,0005) announces."""
    try:
        return charset_for(element.get("Value", ()))
    except UnknownCharacterSet as e:
        raise DicomFormatError(str(e), offset=start, tag="00080005") from None


def split_values(text: str, most: int, start: int, tag: str) -> list[Any]:
    """The values of multi-valued text; an empty one is ``None`` (PS3.18 section F.2.5)."""
    if text.count("\\") >= most:
        raise DicomFormatError(f"more than {most} values", offset=start, tag=tag)
    return [t.strip(PADDING) or None for t in text.split("\\")]


def foreign_text(raw: bytes, vr: str, kind: int, charset: Charset, most: int, start: int, tag: str) -> Element:
    """Text that is not plain ASCII, in the dataset's character set."""
    if kind == 4 and charset.__class__ is tuple:
        # An escape sequence ends at the delimiters of PN, so that each group is decoded on its own.
        names: list[Any] = [
            _groups([decode(group, charset, NAME_DELIMITERS) for group in one.split(b"=")])
            for one in raw.split(b"\\", most)
        ]
        return {"vr": vr, "Value": names} if names != [None] else {"vr": vr}
    text = decode(raw, charset, VALUE_DELIMITERS if kind == 3 else TEXT_DELIMITERS)
    text = text.rstrip(PADDING) if kind >= 4 else text.strip(PADDING)
    if not text:
        return {"vr": vr}
    if kind == 4:
        return names_element(text, most, start, tag)
    if kind == 3 and "\\" in text:
        return {"vr": vr, "Value": split_values(text, most, start, tag)}
    return {"vr": vr, "Value": [text]}


def names_element(text: str, most: int, start: int, tag: str) -> Element:
    """PN as PS3.18 section F.2.2 has it: up to three component groups, ``None`` for an empty value."""
    if "=" not in text and "\\" not in text:
        return {"vr": "PN", "Value": [{"Alphabetic": text}]}
    if text.count("\\") >= most:
        raise DicomFormatError(f"more than {most} values", offset=start, tag=tag)
    value = [_groups(one.split("=")) for one in text.split("\\")]
    return {"vr": "PN", "Value": value} if value != [None] else {"vr": "PN"}


def _groups(groups: list[str]) -> dict[str, str] | None:
    named = {}
    for key, group in zip(("Alphabetic", "Ideographic", "Phonetic"), groups, strict=False):
        text = group.rstrip(PADDING)
        if text:
            named[key] = text
    return named or None


def number_of(vr: str, text: str | None, start: int, tag: str) -> Any:
    """The number that IS or DS text stands for; text that is no number stays text (PS3.18 section F.2.3)."""
    if text is None:
        return None
    try:
        if vr == "DS":
            number = float(text)
            if number - number != 0.0:
                raise DicomFormatError(NOT_FINITE, offset=start, tag=tag)
        elif len(text) < 19:
            return int(text) if "_" not in text else text
        else:
            return text
    except ValueError as e:
        if isinstance(e, DicomFormatError):
            raise
        return _odd_integer(text) if vr == "IS" else text
    # Python takes "1_000" for a number, PS3.5 section 6.2 does not.
    return number if "_" not in text else text


def _odd_integer(text: str) -> int | str:
    """IS written as ``1.0``, which real files have."""
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if number - number == 0.0 and number.is_integer() and "_" not in text else text
