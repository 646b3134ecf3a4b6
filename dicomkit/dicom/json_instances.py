"""Instances that are sent as DICOM JSON and bulk data: written as Part 10 files, which the reader then checks.

Sources: DICOM PS3.18 section 10.5.2 (store request payload) and Annex F (DICOM JSON model), edition 2025b; "DICOM
conformance statement" of the Cloud Healthcare API, store transaction (page of 2026-04-14), for what must be there.
"""

from __future__ import annotations

import base64
import binascii
import io
import os
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import pydicom
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from dicomkit.dicom.json_elements import Elements, attributes, element_of
from dicomkit.dicom.media_type import parse_media_type
from dicomkit.dicom.spool import Part
from dicomkit.errors import DicomFormatError, InvalidArgument
from dicomkit.names import is_uid

__all__ = ["FailedPart", "instances_of"]

IN_MEMORY = 4 << 20
"""A file with more bulk data than this is written to disk."""

UTF8 = "ISO_IR 192"
_CHUNK = 1 << 20
_PIXEL_DATA = "7FE00010"
_TRANSFER_SYNTAX = "00020010"
_REQUIRED = {
    _TRANSFER_SYNTAX: "TransferSyntaxUID",
    "00080016": "SOPClassUID",
    "00080018": "SOPInstanceUID",
    "0020000D": "StudyInstanceUID",
    "0020000E": "SeriesInstanceUID",
}
_UNCOMPRESSED = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})
_BULK_VRS = frozenset({"OB", "OW", "UN"})
_COMPRESSED_TYPES = {
    "image/jpeg": ("1.2.840.10008.1.2.4.50", ".51", ".57", ".70"),
    "image/dicom-rle": ("1.2.840.10008.1.2.5",),
    "image/jls": ("1.2.840.10008.1.2.4.80", ".81"),
    "image/jp2": ("1.2.840.10008.1.2.4.90", ".91"),
    "image/jpx": ("1.2.840.10008.1.2.4.92", ".93"),
}
"""Media type of a bulk part -> transfer syntaxes that it may have; those after the first are its siblings."""


class FailedPart(Part):
    """An instance that cannot be made of what was sent; whoever reads it is told why."""

    __slots__ = ("_error",)

    def __init__(self, error: DicomFormatError) -> None:
        super().__init__({}, 0, b"", None)
        self._error = error

    def buffer(self) -> bytes:
        """Raise what is wrong."""
        raise self._error


def instances_of(parts: Iterator[Part], tmp_dir: Path) -> Iterator[Part]:
    """The instances of a ``multipart/related; type="application/dicom+json"`` body, as Part 10 files.

    Parameters
    ----------
    parts
        The body parts: one of JSON, an array of instances, then the bulk data that it refers to.
    tmp_dir
        Where large files are made.

    Yields
    ------
    Part
        A file, or a :class:`FailedPart`.

    Raises
    ------
    InvalidArgument
        The first part is no JSON array, or the bulk data parts cannot be told apart.
    """
    with ExitStack() as stack:
        first = next(parts, None)
        if first is None:
            raise InvalidArgument("the body has no part; send the metadata as application/dicom+json first")
        stack.callback(first.close)
        media, params = _media_type(first)
        if media not in ("application/dicom+json", "application/json"):
            raise InvalidArgument("the first part must be application/dicom+json")
        metadata = _metadata(first)
        bulk: dict[str, Part] = {}
        for part in parts:
            stack.callback(part.close)
            location = part.headers.get("content-location", "")
            if not location or location in bulk:
                raise InvalidArgument("each bulk data part needs a Content-Location of its own")
            bulk[location] = part
        named = Counter(uri for uri in _uris(metadata) if uri in bulk)
        if len(named) < len(bulk):
            raise InvalidArgument(f"{len(bulk) - len(named)} bulk data parts belong to no BulkDataURI; leave them out")
        for elements in metadata:
            yield _instance(elements, params.get("transfer-syntax"), bulk, named, tmp_dir)


def _uris(value: Any) -> Iterator[str]:
    """Every ``BulkDataURI`` in the metadata."""
    left = [value]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            uri = value.get("BulkDataURI")
            if isinstance(uri, str):
                yield uri
            left += value.values()
        elif isinstance(value, list):
            left += value


def _media_type(part: Part) -> tuple[str, dict[str, str]]:
    try:
        return parse_media_type(part.content_type)
    except DicomFormatError as exc:
        raise InvalidArgument(f"a part's {exc.message}") from exc


def _metadata(part: Part) -> list[Any]:
    try:
        metadata = orjson.loads(bytes(part.buffer()) if part.size else b"")
    except orjson.JSONDecodeError as exc:
        raise InvalidArgument("the metadata part is no JSON in UTF-8") from exc
    found = [metadata] if isinstance(metadata, dict) else metadata
    if not isinstance(found, list) or not found:
        raise InvalidArgument("the metadata part must be a JSON array of instances")
    return found


def _instance(
    elements: Any, syntax_of_part: str | None, bulk: Mapping[str, Part], named: Mapping[str, int], tmp_dir: Path
) -> Part:
    try:
        return _written(_Source(elements, syntax_of_part, bulk, named), tmp_dir)
    except DicomFormatError as exc:
        return FailedPart(exc)
    except (TypeError, ValueError, OverflowError, AttributeError, NotImplementedError, struct.error) as exc:
        # The texts of pydicom's errors hold values.
        return FailedPart(DicomFormatError(f"the instance cannot be written as DICOM ({type(exc).__name__})"))


class _Source:
    """One instance of the metadata, checked, and the bulk data that it refers to."""

    def __init__(
        self, elements: Any, syntax_of_part: str | None, bulk: Mapping[str, Part], named: Mapping[str, int]
    ) -> None:
        if not isinstance(elements, dict):
            raise DicomFormatError("an instance must be a JSON object of attributes")
        self.elements: Elements = elements
        self._bulk = bulk
        self._named = named
        self._has_syntax = syntax_of_part is not None
        for tag, name in _REQUIRED.items():
            if not is_uid(_only(elements, tag)):
                raise DicomFormatError(f"{name} must be there as one UID", tag=tag)
        if _only(elements, "00080005") != UTF8:
            raise DicomFormatError(f"SpecificCharacterSet must be {UTF8}, because JSON is UTF-8", tag="00080005")
        self.syntax = UID(_only(elements, _TRANSFER_SYNTAX))
        if self.syntax in (ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
            raise DicomFormatError("instances in JSON cannot be big endian or deflated", tag=_TRANSFER_SYNTAX)

    def inline(self, tag: str, element: Elements) -> bytes:
        """The bytes of an ``InlineBinary``."""
        if tag == _PIXEL_DATA:
            raise DicomFormatError("PixelData must be a part of its own, named by BulkDataURI", tag=tag)
        if not self._has_syntax:
            raise DicomFormatError(
                "with InlineBinary the metadata part's Content-Type needs its transfer-syntax", tag=tag
            )
        try:
            return base64.b64decode(element["InlineBinary"], validate=True)
        except (binascii.Error, TypeError, ValueError) as exc:
            raise DicomFormatError("InlineBinary is no base64", tag=tag) from exc

    def bulk(self, tag: str, element: Elements) -> bytes:
        """The bytes that a ``BulkDataURI`` names."""
        return bytes(self.part(tag, element).buffer())

    def part(self, tag: str, element: Elements) -> Part:
        """The part that a ``BulkDataURI`` names."""
        if element.get("vr") not in _BULK_VRS:
            raise DicomFormatError(f"BulkDataURI is for {', '.join(sorted(_BULK_VRS))} only", tag=tag)
        uri = element["BulkDataURI"]
        part = self._bulk.get(uri) if isinstance(uri, str) else None
        if part is None:
            raise DicomFormatError("no part has the Content-Location that BulkDataURI names", tag=tag)
        if self._named[uri] > 1:
            raise DicomFormatError("a part is named by more than one BulkDataURI", tag=tag)
        self._check_type(tag, part)
        return part

    def _check_type(self, tag: str, part: Part) -> None:
        media, params = parse_media_type(part.content_type or "application/octet-stream")
        syntax = params.get("transfer-syntax")
        if media in ("application/octet-stream", "application/dicom"):
            if tag == _PIXEL_DATA and self.syntax not in _UNCOMPRESSED and syntax != self.syntax:
                raise DicomFormatError(
                    "the transfer-syntax of PixelData's part must be the instance's TransferSyntaxUID", tag=tag
                )
            return
        first, *others = _COMPRESSED_TYPES.get(media, ("",))
        allowed = {first, *(first.rpartition(".")[0] + other for other in others)}
        if tag != _PIXEL_DATA or self.syntax not in allowed or syntax not in (None, self.syntax):
            raise DicomFormatError(f"a part of type {media} cannot be the data of this attribute", tag=tag)


def _only(elements: Elements, tag: str) -> str:
    """The one text of an attribute; empty when it has none, or several."""
    element = elements.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values[0] if isinstance(values, list) and len(values) == 1 and isinstance(values[0], str) else ""


def _written(source: _Source, tmp_dir: Path) -> Part:
    with ExitStack() as stack:
        ds, size = _data_set(source, tmp_dir, stack)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(_only(source.elements, "00080016"))
        meta.MediaStorageSOPInstanceUID = UID(_only(source.elements, "00080018"))
        meta.TransferSyntaxUID = source.syntax
        ds.file_meta = meta

        def write(stream: BinaryIO) -> None:
            pydicom.dcmwrite(stream, ds, enforce_file_format=True)

        if size <= IN_MEMORY:
            memory = io.BytesIO()
            write(memory)
            data = memory.getvalue()
            return Part({}, len(data), data, None)
        return _in_file(write, tmp_dir)


def _in_file(write: Callable[[BinaryIO], None], tmp_dir: Path) -> Part:
    handle, name = tempfile.mkstemp(prefix="part-", dir=tmp_dir)  # mode 0600
    path = Path(name)
    try:
        with os.fdopen(handle, "w+b") as stream:
            write(stream)
        return Part({}, path.stat().st_size, None, path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _data_set(source: _Source, tmp_dir: Path, stack: ExitStack) -> tuple[pydicom.Dataset, int]:
    """The instance as pydicom writes it, and the bytes of its bulk data."""
    ds = pydicom.Dataset()
    size = 0
    for tag, element in attributes(source.elements):
        if tag[:4] == "0002":
            continue  # file meta information is made of the instance
        if tag == _PIXEL_DATA and "BulkDataURI" in element:
            part = source.part(tag, element)
            size += part.size
            pixels = _stream(part, stack)
            if source.syntax not in _UNCOMPRESSED:
                pixels = _encapsulated(source.elements, pixels, part.size, tmp_dir, stack)
            added = DataElement(int(tag, 16), element["vr"], pixels, validation_mode=config.IGNORE)
            added.is_undefined_length = source.syntax not in _UNCOMPRESSED
            ds.add(added)
        else:
            ds.add(element_of(source, tag, element))
    return ds, size


def _stream(part: Part, stack: ExitStack) -> Any:
    """The content of a part for pydicom to copy: a file where it is in one."""
    if part.file is None:
        return io.BytesIO(part.buffer())
    return stack.enter_context(part.file.open("rb"))


def _encapsulated(elements: Elements, pixels: BinaryIO, size: int, tmp_dir: Path, stack: ExitStack) -> Any:
    """Compressed pixel data as one fragment of one frame (PS3.5 section A.4)."""
    frames = elements.get("00280008")
    if isinstance(frames, dict) and frames.get("Value") not in (None, [], [1], ["1"]):
        raise DicomFormatError(
            "compressed pixel data of several frames cannot be told apart in one part; store a DICOM file",
            tag="00280008",
        )
    out = stack.enter_context(tempfile.TemporaryFile(dir=tmp_dir) if size > IN_MEMORY else io.BytesIO())
    # pydicom writes the item at the end.
    out.write(struct.pack("<HHL", 0xFFFE, 0xE000, 0) + struct.pack("<HHL", 0xFFFE, 0xE000, size + size % 2))
    while chunk := pixels.read(_CHUNK):
        out.write(chunk)
    out.write(bytes(size % 2))
    out.seek(0)
    return out
