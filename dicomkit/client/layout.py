"""The names of downloaded files: a pattern of attributes, and paths that stay where they belong whatever the values.

An attribute's value becomes a part of a name, never a part of a path: what no file system takes, or gives a meaning, is
replaced by ``_``.
"""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from dicomkit.dicom.attributes import UIDS
from dicomkit.dicom.dictionary import parse_attribute, tag_of, vr_of
from dicomkit.dicom.matching import stored_texts
from dicomkit.errors import InvalidArgument

__all__ = ["DEFAULT_LAYOUT", "Layout"]

DEFAULT_LAYOUT = "{StudyInstanceUID}/{SeriesInstanceUID}/{SOPInstanceUID}.dcm"

MISSING = "unknown"
"""Stands for an attribute that an instance has no value of."""

VALUE_CHARS = 64
"""Most characters of a value in a name."""

NAME_BYTES = 240
"""Most bytes of a component; file systems take 255, and a file that is being written has a longer name."""

_UIDS = frozenset(tag_of(uid) for uid in UIDS)
_NO_NAMES = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_KEPT = frozenset("-_.,+=^@~ ")
_DEVICES = frozenset(
    {"CON", "PRN", "AUX", "NUL", *(f"{name}{digit}" for name in ("COM", "LPT") for digit in range(1, 10))}
)


@dataclass(frozen=True, slots=True)
class Layout:
    """A pattern that was read: for each component its pieces, text and tags by turns."""

    components: tuple[tuple[tuple[str, str | None], ...], ...]

    @classmethod
    def parse(cls, text: str) -> Layout:
        """Read ``"{PatientID}/{StudyDate}/{SOPInstanceUID}.dcm"``.

        Raises
        ------
        InvalidArgument
            A name in braces is no attribute, or the path is absolute, leaves its folder, or has no name at its end.
        """
        components = []
        for part in text.split("/"):
            pieces = _pieces(part)
            literal = "".join(piece for piece, _ in pieces)
            has_value = any(tag for _, tag in pieces)
            if not has_value and literal.strip(". ") == "":
                raise InvalidArgument("layout is a path below the folder, without empty parts, . and ..")
            if any(c in '\\:*?"<>|' or unicodedata.category(c) in ("Cc", "Cs") for c in literal):
                raise InvalidArgument(f"{part!r:.80} in layout has a character that no file name should have")
            components.append(pieces)
        return cls(tuple(components))

    @property
    def fields(self) -> tuple[str, ...]:
        """Tags of the attributes in it, beyond the three UIDs."""
        tags = {tag: None for pieces in self.components for _, tag in pieces if tag is not None}
        return tuple(tag for tag in tags if tag not in _UIDS)

    def path(self, row: Mapping[str, Any]) -> PurePosixPath:
        """The path of an instance.

        Parameters
        ----------
        row
            Its attributes in the DICOM JSON model.
        """
        return PurePosixPath(*(_component(pieces, row) for pieces in self.components))


def _pieces(part: str) -> tuple[tuple[str, str | None], ...]:
    try:
        parsed = [*string.Formatter().parse(part)]
    except ValueError as error:
        raise InvalidArgument(f"{part!r:.80} in layout has a brace too many or too few") from error
    pieces = []
    for literal, name, form, conversion in parsed:
        if form or conversion:
            raise InvalidArgument(f"{{{name}}} in layout takes a keyword and nothing behind it")
        tag = None if name is None else parse_attribute(name)
        if tag is not None and (vr_of(tag) or "UN").split(" or ")[0] in _NO_NAMES:
            raise InvalidArgument(f"{name} in layout is a sequence or binary data, and names nothing")
        pieces.append((literal, tag))
    return tuple(pieces)


def _component(pieces: tuple[tuple[str, str | None], ...], row: Mapping[str, Any]) -> str:
    name = "".join(literal + ("" if tag is None else _value(row.get(tag))) for literal, tag in pieces)
    if len(name.encode()) > NAME_BYTES:
        stem, dot, suffix = name.rpartition(".")
        end = f"{dot}{suffix}" if stem and len(suffix) < 8 else ""
        head = name.removesuffix(end).encode()[: NAME_BYTES - len(end.encode())]
        name = f"{head.decode(errors='ignore')}{end}"
    name = name.strip().rstrip(". ") or MISSING  # Windows drops them
    if name[0] in ".~":
        name = f"_{name[1:]}"
    if name.partition(".")[0].rstrip().upper() in _DEVICES:
        name = f"_{name}"
    return name


def _value(attribute: Any) -> str:
    is_model = isinstance(attribute, Mapping) and isinstance(attribute.get("Value"), list)
    texts = stored_texts(attribute) if is_model else []
    text = unicodedata.normalize("NFC", texts[0]) if texts else ""
    if is_model and attribute.get("vr") == "PN":
        text = text.partition("=")[0]  # the alphabetic group
    safe = "".join(c if c.isalnum() or c in _KEPT else "_" for c in text.strip())
    return safe[:VALUE_CHARS].strip() or MISSING
