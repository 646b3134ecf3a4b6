r"""Labels of a DICOM store: key-value pairs that users sort stores by.

Source: Cloud Healthcare API, ``DicomStore.labels``. Keys match ``[\p{Ll}\p{Lo}][\p{Ll}\p{Lo}\p{N}_-]{0,62}``, values
``[\p{Ll}\p{Lo}\p{N}_-]{0,63}``; each has at most 128 bytes of UTF-8, and a store at most 64 labels. The discovery
document prints the key pattern without its brackets; the REST reference page has it whole. The example on that page,
``"mass": "1.3kg"``, breaks the pattern for values; the pattern counts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from dicomkit.resources._json import invalid, json_object, located, quoted, text

__all__ = ["MAX_BYTES", "MAX_CHARACTERS", "MAX_LABELS", "check_key", "check_labels", "check_value"]

MAX_LABELS = 64
"""Most labels of a store."""

MAX_CHARACTERS = 63
"""Most characters (code points) of a key or a value."""

MAX_BYTES = 128
"""Most bytes of a key's or a value's UTF-8 form."""


def check_labels(labels: object) -> dict[str, str]:
    """Return a copy of *labels* if they keep every rule, else raise ``InvalidArgument``."""
    with located("labels"):
        checked = json_object(labels)
        if len(checked) > MAX_LABELS:
            raise invalid(f"must be at most {MAX_LABELS} labels, {len(checked)} were given; remove some")
    for key, value in checked.items():
        check_key(key)
        check_value(key, value)
    return checked


def check_key(key: str) -> str:
    """Return *key* if it may be the key of a label, else raise ``InvalidArgument``."""
    with located(f"labels[{quoted(key)}]"):
        if not key:
            raise invalid("the key must have at least one character; name the label, as in env")
        return _check(key, "key", _is_key)


def check_value(key: str, value: object) -> str:
    """Return *value* if it may be the value of the label *key*, else raise ``InvalidArgument``."""
    with located(f"labels[{quoted(key)}]"):
        return _check(text(value), "value", _is_value)


def _check(label: str, what: str, fits: Callable[[str], bool]) -> str:
    size = len(label.encode())
    if len(label) > MAX_CHARACTERS:
        raise invalid(f"the {what} must have at most {MAX_CHARACTERS} characters, it has {len(label)}; shorten it")
    if size > MAX_BYTES:
        raise invalid(f"the {what} must have at most {MAX_BYTES} bytes in UTF-8, it has {size}; shorten it")
    if not fits(label):
        start = " and begin with such a letter" if what == "key" else ""
        raise invalid(
            f"the {what} must be made of lowercase letters, letters without case, digits, '_' and '-'{start}"
            f"; {_remedy(label, fits)}"
        )
    return label


def _is_key(label: str) -> bool:
    return _is_letter(label[0]) and _is_value(label)


def _is_value(label: str) -> bool:
    return all(c in "_-" or _is_letter(c) or unicodedata.category(c)[0] == "N" for c in label)


def _is_letter(character: str) -> bool:
    return unicodedata.category(character) in ("Ll", "Lo")


def _remedy(label: str, fits: Callable[[str], bool]) -> str:
    """What to write in place of *label*: composed, in lower case, other characters as hyphens."""
    composed = unicodedata.normalize("NFC", label).lower()
    near = "".join(c if _is_value(c) else "-" for c in composed)
    for candidate in (near, near.lstrip("-_"), f"n{near}"[:MAX_CHARACTERS]):
        if candidate and len(candidate.encode()) <= MAX_BYTES and fits(candidate):
            return f"write {quoted(candidate)}"
    return "choose a shorter one in lower case, as env"
