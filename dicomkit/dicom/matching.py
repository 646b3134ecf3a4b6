"""What a match key of a search asks for: one text per attribute read into a condition that can be evaluated.

Source: DICOM PS3.4 section C.2.2.2 (single value, list of UID, universal, wild card and range matching), edition
2024e; Cloud Healthcare API conformance statement, search transaction, for ``mode="google"``.

A condition compares texts. Each says in its docstring what SQL does the same with bound parameters, and
:func:`matches` applies one to an attribute of the DICOM JSON model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dicomkit.dicom.attribute_path import AttributePath
from dicomkit.dicom.temporal import TEMPORAL_VRS, comparable, range_bounds
from dicomkit.dicom.wildcards import escape_glob, glob_match, to_glob
from dicomkit.errors import InvalidArgument
from dicomkit.names import is_uid

__all__ = [
    "MAX_UIDS",
    "MAX_VALUE",
    "MAX_WORDS",
    "Anything",
    "Between",
    "Condition",
    "Exact",
    "Fuzzy",
    "Mode",
    "Number",
    "OneOf",
    "Wildcard",
    "condition",
    "fold_name",
    "matches",
    "name_text",
    "stored_texts",
]

Mode = Literal["friendly", "google"]
"""How a server answers: with what PS3.18 allows, or with what Google documents and nothing more."""

MAX_VALUE = 1_024
"""Most characters of a match value that is no list of UIDs."""

MAX_UIDS = 1_000
"""Most UIDs of one list; SQLite takes at least this many parameters in any build."""

MAX_WORDS = 32
"""Most words of a fuzzy name."""

_DIACRITICS = re.compile("[\u0300-\u036f]")
"""Combining marks of Latin, Greek and Cyrillic; those of other scripts make other letters and stay."""

_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_UNMATCHABLE = frozenset({"SQ", "OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NO_WILDCARDS = frozenset({"AS", "AT"})
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Anything:
    """Universal matching: every result, the attribute present or not. SQL: no condition."""

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        return True


@dataclass(frozen=True, slots=True)
class Exact:
    """Single value matching, case-sensitive. SQL: ``col = ?``."""

    value: str

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        return text == self.value


@dataclass(frozen=True, slots=True)
class OneOf:
    """List of UID matching. SQL: ``col IN (?, ...)``."""

    values: tuple[str, ...]

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        return text in self.values


@dataclass(frozen=True, slots=True)
class Between:
    """Range matching of DA, TM and DT, both ends inclusive; open ends are filled in.

    SQL: ``col BETWEEN ? AND ?`` on the stored text, for DT on ``temporal.comparable("DT", stored)``.
    """

    vr: str
    low: str
    high: str

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        return self.low <= comparable(self.vr, text) <= self.high


@dataclass(frozen=True, slots=True)
class Number:
    """Single value matching of numbers, whatever their spelling: ``1`` finds ``01`` and ``1.0``.

    SQL: ``col = ?`` on a numeric column.
    """

    value: int | float

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        return _number(text) == self.value


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Wild card matching. SQL: ``col GLOB ?``, on the folded name (:func:`fold_name`) where *folded*."""

    glob: str
    folded: bool = False

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        return glob_match(self.glob, fold_name(text) if self.folded else text)


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """Any word of the query begins any word of the name. SQL: ``col GLOB ? OR ...`` on the folded name."""

    globs: tuple[str, ...]

    def test(self, text: str) -> bool:
        """Whether a stored value matches."""
        name = fold_name(text)
        return any(glob_match(glob, name) for glob in self.globs)


Condition = Anything | Exact | OneOf | Between | Number | Wildcard | Fuzzy
"""One way to match one attribute."""


def condition(path: AttributePath, value: str, *, mode: Mode = "friendly", fuzzymatching: bool = False) -> Condition:
    """Read the value of a match key.

    Parameters
    ----------
    path
        The attribute.
    value
        Its value in the request. Blanks around it do not count.
    mode
        ``"google"`` knows single values, ranges of StudyDate and fuzzy PatientName; wildcards and lists are taken
        literally there.
    fuzzymatching
        The request's ``fuzzymatching``; it is about PatientName only.

    Raises
    ------
    InvalidArgument
        The value is none that the attribute takes. The message says what it takes, and not the value.
    """
    name, vr, tag = path.label, path.vr, path.tag
    value = value.strip(" ")
    _check_text(name, vr, value)
    if not value:
        return Anything()
    if tag == "00100010" and fuzzymatching and (globs := _fuzzy_globs(value, literal=mode == "google")):
        return Fuzzy(globs)
    if mode == "google":
        if tag == "00080020":
            return _between(name, "DA", value)
        return Exact(name_text(value) if vr == "PN" else value)
    if vr in _UNMATCHABLE:
        raise InvalidArgument(
            f"{name} is {'a sequence' if vr == 'SQ' else 'binary data'} and cannot be matched; "
            "ask for it as includefield, or match another attribute"
        )
    if not value.strip("*"):
        return Anything()
    if vr == "UI":
        return _uids(name, value)
    if vr in TEMPORAL_VRS:
        return _between(name, vr, value)
    if vr in _NUMBERS:
        number = _number(value)
        if number is None:
            raise InvalidArgument(f"{name} is a number ({vr}); its match value must be one number, e.g. {name}=1")
        return Number(number)
    if vr not in _NO_WILDCARDS and ("*" in value or "?" in value):
        # PS3.4 C.2.2.2.4: case-sensitive, except for names.
        return Wildcard(to_glob(fold_name(value)), folded=True) if vr == "PN" else Wildcard(to_glob(value))
    if vr == "PN":
        return Exact(name_text(value))
    return Exact(value.upper() if vr == "AT" else value)


def _check_text(name: str, vr: str, value: str) -> None:
    if len(value) > (MAX_UIDS * 65 if vr == "UI" else MAX_VALUE):
        raise InvalidArgument(f"the match value of {name} is longer than {MAX_VALUE} characters; shorten it")
    if not (value.isascii() and value.isprintable()) and any(unicodedata.category(c) in ("Cc", "Cs") for c in value):
        raise InvalidArgument(f"the match value of {name} holds control characters; leave them out")


def _between(name: str, vr: str, value: str) -> Condition:
    bounds = range_bounds(vr, value)
    if bounds is None:
        form = {"DA": "YYYYMMDD", "TM": "HHMMSS", "DT": "YYYYMMDDHHMMSS"}[vr]
        raise InvalidArgument(
            f"{name} takes {form} or a range {form}-{form}, {form}- or -{form}, "
            "of values that exist, the earlier one first"
        )
    return Exact(bounds[0]) if vr == "DA" and bounds[0] == bounds[1] else Between(vr, *bounds)


def _uids(name: str, value: str) -> Condition:
    uids = tuple(dict.fromkeys(uid.strip(" ") for uid in re.split(r"[,\\]", value)))
    if len(uids) > MAX_UIDS:
        raise InvalidArgument(f"{name} lists more than {MAX_UIDS} UIDs; search in portions")
    if not all(is_uid(uid) for uid in uids):
        raise InvalidArgument(
            f"{name} takes one UID or a list of UIDs separated by commas, each 1-64 digits and dots; "
            "wildcards do not apply to UIDs"
        )
    return Exact(uids[0]) if len(uids) == 1 else OneOf(uids)


def _number(text: str) -> int | float | None:
    text = text.strip(" ")
    if len(text) > 64 or _NUMBER.fullmatch(text) is None:
        return None
    try:
        number = int(text)
    except ValueError:
        return float(text)
    # SQLite binds no larger integers; both sides of a comparison are rounded alike.
    return number if -(2**63) <= number < 2**63 else float(number)


def fold_name(name: str) -> str:
    """A person name as wildcards and fuzzy search compare it: no case, no diacritics.

    The delimiters ``^``, ``=`` and blank stay, so that a word begins at the start or after one of them.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    return unicodedata.normalize("NFC", _DIACRITICS.sub("", plain))


def _fuzzy_globs(value: str, *, literal: bool) -> tuple[str, ...]:
    words = [word for word in dict.fromkeys(re.split(r"[ ^=]+", fold_name(value))) if word]
    if len(words) > MAX_WORDS:
        raise InvalidArgument(f"a fuzzy name takes at most {MAX_WORDS} words; leave some out")
    globs: list[str] = []
    for word in words:
        begin = escape_glob(word) + "*" if literal else to_glob(word + "*")
        # A bracket that does not begin with ^ is a choice of characters in GLOB.
        globs += [begin, "*[ =^]" + begin]
    return tuple(globs)


def name_text(name: str | Mapping[str, str]) -> str:
    """A person name in the form that names are compared in exactly.

    Parameters
    ----------
    name
        A PN value of the DICOM JSON model, or the text ``Alphabetic=Ideographic=Phonetic``.

    Returns
    -------
    str
        Groups joined by ``=``; trailing ``^``, blanks and empty groups mean nothing (PS3.5 section 6.2.1) and are
        gone.
    """
    if isinstance(name, str):
        groups: Sequence[str] = name.split("=")
    else:
        groups = [name.get(group) or "" for group in ("Alphabetic", "Ideographic", "Phonetic")]
    return "=".join(group.strip(" ").rstrip("^ ") for group in groups).rstrip("=")


def stored_texts(attribute: Mapping[str, Any]) -> list[str]:
    """The texts that a condition is tested on, one or more per value of an attribute in the DICOM JSON model.

    A name gives itself and each of its component groups, for any of them may be asked for.
    """
    texts: list[str] = []
    for value in attribute.get("Value", ()):
        if isinstance(value, Mapping):
            if attribute.get("vr") == "PN":
                whole = name_text(value)
                texts += dict.fromkeys([whole, *(group for group in whole.split("=") if group)])
        elif value is not None:
            texts.append(str(value))
    return texts


def matches(wanted: Condition, attribute: Mapping[str, Any] | None) -> bool:
    """Whether an attribute of the DICOM JSON model, or its absence, meets a condition.

    Any of several values is enough. An absent or empty attribute meets only universal matching. Where only the data
    set knew that the attribute is a number, numbers are compared.
    """
    if isinstance(wanted, Anything):
        return True
    if isinstance(wanted, Exact) and attribute is not None and attribute.get("vr") in _NUMBERS:
        number = _number(wanted.value)
        wanted = wanted if number is None else Number(number)
    return attribute is not None and any(wanted.test(text) for text in stored_texts(attribute))
