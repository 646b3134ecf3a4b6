"""Media types as they stand in ``Content-Type``: type, subtype and parameters.

Source: RFC 9110 section 8.3.1 and RFC 2045 section 5.1 (a parameter is a token or a quoted string).
"""

from __future__ import annotations

import re

from dicomkit.errors import DicomFormatError

__all__ = ["format_media_type", "parse_media_type"]

_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+*-]+/[A-Za-z0-9!#$&^_.+*-]+")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# A bare value ends at a semicolon only: real clients send boundaries and types with '/', '=' or ':' unquoted.
_PARAMETER = re.compile(r";[ \t]*(?:([^\s;=\"]+)[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\"]*)))?[ \t]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    """Type in lower case, and parameters by lower-case name.

    Raises
    ------
    DicomFormatError
        *text* is no media type.
    """
    head = text.partition(";")[0]
    media = head.strip(" \t")
    if not _TYPE.fullmatch(media) or _CONTROL.search(text):
        raise DicomFormatError("the content type is not of the form type/subtype; parameter=value")
    params: dict[str, str] = {}
    at = len(head)
    while at < len(text):
        hit = _PARAMETER.match(text, at)
        if hit is None:
            raise DicomFormatError("a parameter of the content type is not of the form name=value")
        name, quoted, bare = hit.groups()
        if name:
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare.strip(" \t")
            params.setdefault(name.lower(), value)
        at = hit.end()
    return media.lower(), params


def format_media_type(media: str, params: dict[str, str]) -> str:
    """A media type with its parameters; values that are no token are quoted.

    ``type`` is always quoted: servers have answered 406 to the bare form of ``application/dicom``.
    """
    text = media
    for name, value in params.items():
        if _CONTROL.search(value):
            raise ValueError(f"the media type parameter {name} holds control characters")
        if name == "type" or not _TOKEN.fullmatch(value):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            value = f'"{escaped}"'
        text += f"; {name}={value}"
    return text
