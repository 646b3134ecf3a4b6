"""Where an attribute is: by itself, in the items of sequences, or in a block that a private creator has reserved.

Source: DICOM PS3.18 section 8.3.4.1 (``{attributeID}.{attributeID}`` names an attribute in a sequence), edition
2024e; PS3.5 section 7.8.1 for private blocks. How a private creator is named is dicomkit's own; the standard has
nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dicomkit.dicom.dictionary import is_private, keyword_of, parse_attribute, private_vr, vr_of
from dicomkit.errors import InvalidArgument

__all__ = ["MAX_STEPS", "AttributePath", "Step"]

MAX_STEPS = 16
"""Most attributes of a path; BigQuery's tables have no more levels either."""

Elements = Mapping[str, Mapping[str, Any]]

_STEP = re.compile(r"(?P<group>[0-9A-Fa-f]{4})[xX]{2}(?P<element>[0-9A-Fa-f]{2})\[(?P<creator>[^\]]{1,64})\]|[^.\[\]]+")


@dataclass(frozen=True, slots=True)
class Step:
    """One attribute of a path.

    Attributes
    ----------
    tag
        Eight hex digits; with a creator, ``00`` stands for the block, which each data set gives another number.
    creator
        Private creator of the block.
    """

    tag: str
    creator: str | None = None

    def __str__(self) -> str:
        return self.tag if self.creator is None else f"{self.tag[:4]}xx{self.tag[6:]}[{self.creator}]"

    @property
    def label(self) -> str:
        """What a person calls it: the keyword, where that leads back to this very tag."""
        keyword = keyword_of(self.tag) if self.creator is None else None
        return keyword if keyword and parse_attribute(keyword) == self.tag else str(self)

    def find(self, elements: Elements) -> Iterator[Mapping[str, Any]]:
        """The attribute in one data set, if it is there; several where a creator has several blocks."""
        if self.creator is None:
            if self.tag in elements:
                yield elements[self.tag]
            return
        group = self.tag[:4]
        for tag, element in elements.items():
            # (gggg,0010-00FF) name the creators of the blocks 10-FF.
            if tag.startswith(f"{group}00") and tag[6:] >= "10" and element.get("Value") == [self.creator]:
                found = elements.get(f"{group}{tag[6:]}{self.tag[6:]}")
                if found is not None:
                    yield found


@dataclass(frozen=True, slots=True)
class AttributePath:
    """One attribute, the sequences that it is in before it."""

    steps: tuple[Step, ...]

    @classmethod
    def parse(cls, text: str) -> AttributePath:
        """Read ``Keyword``, ``00080060``, ``Sequence.Keyword``, ``0019xx20[CREATOR]``, or several of them with dots.

        Raises
        ------
        InvalidArgument
            A part is no attribute (the nearest is suggested), or one before the last is no sequence.
        """
        return _parse(text)

    def __str__(self) -> str:
        return ".".join(map(str, self.steps))

    @property
    def label(self) -> str:
        """What a person calls it."""
        return ".".join(step.label for step in self.steps)

    @property
    def tag(self) -> str | None:
        """Its tag, where it is in no sequence and of no creator's block."""
        first = self.steps[0]
        return first.tag if len(self.steps) == 1 and first.creator is None else None

    @property
    def vr(self) -> str:
        """VR in the dictionary, the first where it has a choice; empty for what only its data set knows."""
        last = self.steps[-1]
        if last.creator is not None:
            return private_vr(last.creator, last.tag) or ""
        return (vr_of(last.tag) or "").split(" or ")[0]

    def find(self, elements: Elements) -> Iterator[Mapping[str, Any]]:
        """The attribute wherever it is in a data set of the DICOM JSON model: once for each item that has it."""
        return _find(self.steps, elements)


def _find(steps: tuple[Step, ...], elements: Elements) -> Iterator[Mapping[str, Any]]:
    for element in steps[0].find(elements):
        if len(steps) == 1:
            yield element
        elif element.get("vr") == "SQ":
            for item in element.get("Value", ()):
                yield from _find(steps[1:], item)


@lru_cache(maxsize=1024)
def _parse(text: str) -> AttributePath:
    steps = []
    at = 0
    while True:
        found = _STEP.match(text, at)
        if found is None:
            raise InvalidArgument(
                f"{text!r:.80} is no attribute; give a keyword, eight hex digits, Sequence.Attribute, "
                "or 0019xx20[CREATOR] for a private one"
            )
        steps.append(_step(found))
        at = found.end()
        if at == len(text):
            break
        if text[at] != "." or len(steps) == MAX_STEPS:
            raise InvalidArgument(f"{text!r:.80} is no attribute; join at most {MAX_STEPS} attributes with dots")
        at += 1
    for step in steps[:-1]:
        vr = AttributePath((step,)).vr
        if vr != "SQ" and not (vr == "" and is_private(step.tag)):
            raise InvalidArgument(f"{step.label} is no sequence, so that {text!r:.80} names nothing; leave it out")
    return AttributePath(tuple(steps))


def _step(found: re.Match[str]) -> Step:
    creator = found["creator"]
    if creator is None:
        return Step(parse_attribute(found[0]))
    tag = f"{found['group']}00{found['element']}".upper()
    if not is_private(tag):
        raise InvalidArgument(f"group {tag[:4]} is not private, and has no creators; write the attribute's tag alone")
    return Step(tag, creator.strip(" "))
