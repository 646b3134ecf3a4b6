"""The bounded reader: one Part 10 file -> metadata in the DICOM JSON model, and where the bulk values are.

pydicom opens a file that was cut anywhere inside its pixel data without a word, recurses until it dies, and
inflates a bomb; a store must not. This reader walks the file once, checks every declared length against the
bytes that are there, and stops at limits. It never raises anything but ``DicomFormatError``, which names the
offset and the attribute and never a value.

Sources: DICOM PS3.10 section 7 (file format), PS3.5 (encoding), PS3.18 Annex F (JSON model), PS3.3 section
C.12.1.1.2 (character sets), read in the edition 2025b.
"""

from __future__ import annotations

import mmap
import tempfile
import zlib
from dataclasses import dataclass
from typing import IO, Any

from pydicom._uid_dict import UID_dictionary

from dicomkit.dicom.json_model import BulkValue, DataSet
from dicomkit.dicom.limits import Limits
from dicomkit.dicom.vr import BIG, LITTLE, LONG_HEADER, VRS, Encoding
from dicomkit.dicom.walk import Walk
from dicomkit.errors import DicomFormatError
from dicomkit.names import is_uid

__all__ = ["BulkValue", "Limits", "Part10", "read_part10"]

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

Buffer = bytes | bytearray | memoryview | mmap.mmap

_LIMITS = Limits()
_INFLATE_IN_MEMORY = 4 << 20
_DIRECTORY_RECORDS = "00041220"
_PIXELS = ("7FE00010", "7FE00008", "7FE00009", "00287FE0")


@dataclass(slots=True)
class Part10:
    """One instance, without its bulk values.

    ``elements`` and ``meta`` are the DICOM JSON model: ``{"00080060": {"vr": "CS", "Value": ["CT"]}}``, keys
    ascending. IS and DS hold the text of the file until :meth:`use_numbers` is called, since BigQuery's table
    wants the text and DICOM JSON the number. A bulk value is ``{"vr": "OW", "BulkDataURI": "7FE00010"}`` with
    a path relative to the instance's ``bulkdata/``.
    """

    transfer_syntax_uid: str
    meta: DataSet
    elements: DataSet
    bulk: list[BulkValue]
    dropped: list[str]
    """Tags of sequences above 1 MiB, which stand in ``elements`` without items."""
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    deflated: bool
    """Offsets of ``bulk`` are in the inflated dataset, not in the file."""
    _walk: Walk

    @property
    def buffer(self) -> bytes | mmap.mmap:
        """What the offsets of ``bulk`` count in: the file, or its inflated dataset."""
        return self._walk.buffer

    def use_numbers(self) -> None:
        """Replace the text of IS and DS in ``elements`` by numbers; text that is no number stays."""
        self._walk.use_numbers()


def read_part10(buffer: Buffer, limits: Limits = _LIMITS, *, require_uids: bool = True) -> Part10:
    """Read one complete file.

    Parameters
    ----------
    buffer
        The file's bytes, in memory or mapped. Preamble and file meta information may be missing.
    limits
        How much the reader is willing to look at.
    require_uids
        Whether Study, Series and SOP Instance UID and SOP Class UID must be there and valid, and the pixel
        data of an image as well. ``False`` is for looking into files that a store would refuse.

    Raises
    ------
    DicomFormatError
        Whatever is wrong with the file.
    """
    if isinstance(buffer, (bytearray, memoryview)):
        buffer = bytes(buffer)
    size = len(buffer)
    start = _after_preamble(buffer)
    meta_walk = Walk(buffer, limits)
    pos = start
    if buffer[pos : pos + 2] == b"\x02\x00":
        implicit = buffer[pos + 4 : pos + 6] not in VRS
        end = _meta_end(buffer, pos, implicit)
        meta_walk.run(pos, end, implicit=implicit)
        meta_walk.use_numbers()
        pos = end
    meta = meta_walk.elements
    syntax = _text(meta, "00020010") or ""
    walk = Walk(buffer, limits)
    deflated = syntax == DEFLATED
    if deflated:
        walk.buffer, pos, size = _inflate(buffer, pos, limits), 0, 0
        size = len(walk.buffer)
    implicit, encoding = _encoding(walk.buffer, pos, syntax)
    walk.run(pos, size, implicit=implicit, encoding=encoding)
    elements = walk.elements
    if encoding is BIG and not syntax:
        syntax = EXPLICIT_BIG
    for value in meta_walk.bulk:
        # The version of the file meta information, which the service does not show either, and private information:
        # the bulk data of an instance are those of its dataset.
        meta.pop(value.path.partition("/")[0], None)
    meta = _ascending(meta)
    if elements.pop("FFFCFFFC", None):  # trailing padding of the dataset (PS3.10 section 7.2)
        walk.bulk.pop()
    elements = walk.elements = _ascending(elements)
    part = Part10(
        syntax or (IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE),
        meta,
        elements,
        walk.bulk,
        walk.dropped,
        _text(elements, "0020000D") or "",
        _text(elements, "0020000E") or "",
        _text(elements, "00080018") or "",
        _text(elements, "00080016") or "",
        deflated,
        walk,
    )
    if require_uids:
        _check_identity(part)
    return part


def _ascending(elements: DataSet) -> DataSet:
    tags = sorted(elements)
    return elements if tags == list(elements) else {tag: elements[tag] for tag in tags}


def _text(elements: DataSet, tag: str) -> str | None:
    value: list[Any] | None = elements.get(tag, {}).get("Value")
    return value[0] if value and len(value) == 1 and isinstance(value[0], str) else None


def _after_preamble(buffer: bytes | mmap.mmap) -> int:
    if buffer[128:132] == b"DICM":
        return 132
    if buffer[:4] == b"DICM":
        return 4
    # No preamble (PS3.10 section 7.1 demands one): the file must at least begin like a dataset.
    head = buffer[:8]
    if len(head) == 8:
        group = int.from_bytes(head[:2], "little")
        if group in (0x0002, 0x0004, 0x0008) or (head[0] == 0 and head[1] == 8 and head[4:6] in VRS):
            return 0
    raise DicomFormatError("this is no DICOM file: neither a preamble nor the beginning of a dataset", offset=0)


def _meta_end(buffer: bytes | mmap.mmap, pos: int, implicit: bool) -> int:
    """Where group 0002 ends. Its group length is wrong in too many files to be trusted."""
    size = len(buffer)
    while pos + 8 <= size:
        key, length = LITTLE.short.unpack_from(buffer, pos)
        if key[:2] != b"\x02\x00":
            break
        vr = VRS.get(key[4:])
        if implicit or vr is None:
            length = 8 + int.from_bytes(buffer[pos + 4 : pos + 8], "little")
        elif vr[0] in LONG_HEADER:
            length = 12 + int.from_bytes(buffer[pos + 8 : pos + 12], "little")
        else:
            length += 8
        if length > size - pos:
            raise DicomFormatError(
                "the file meta information is cut off",
                offset=pos,
                tag=f"0002{buffer[pos + 3]:02X}{buffer[pos + 2]:02X}",
            )
        pos += length
    return pos


def _encoding(buffer: bytes | mmap.mmap, pos: int, syntax: str) -> tuple[bool, Encoding]:
    """Implicit VR or not, and the byte order: as the transfer syntax says, unless the first element disproves it."""
    head = buffer[pos : pos + 6]
    looks_explicit = head[4:6] in VRS
    if not head:
        return syntax == IMPLICIT_LITTLE, LITTLE
    if syntax == EXPLICIT_BIG:
        return not looks_explicit, BIG
    if not syntax and looks_explicit and head[0] == 0 and head[1] != 0:
        return False, BIG
    return not looks_explicit, LITTLE


def _inflate(buffer: bytes | mmap.mmap, pos: int, limits: Limits) -> bytes | mmap.mmap:
    """The dataset of Deflated Explicit VR Little Endian (PS3.5 section A.5), on disk when it is large."""
    engine = zlib.decompressobj(-15)
    try:
        small = engine.decompress(buffer[pos : pos + _INFLATE_IN_MEMORY], _INFLATE_IN_MEMORY)
        if engine.eof:
            return small
        if len(buffer) - pos <= _INFLATE_IN_MEMORY and len(small) < _INFLATE_IN_MEMORY:
            raise DicomFormatError("the deflated dataset is cut off", offset=len(buffer))
        with tempfile.TemporaryFile() as out:
            size = _inflate_to(out, buffer, pos, limits)
            return mmap.mmap(out.fileno(), size, access=mmap.ACCESS_READ)
    except zlib.error:
        raise DicomFormatError("the deflated dataset is damaged", offset=pos) from None


def _inflate_to(out: IO[bytes], buffer: bytes | mmap.mmap, pos: int, limits: Limits) -> int:
    engine = zlib.decompressobj(-15)
    size, start = 0, pos
    while not engine.eof and pos < len(buffer):
        piece = buffer[pos : pos + 65_536]
        pos += len(piece)
        while piece and not engine.eof:
            chunk = engine.decompress(piece, 1 << 20)
            piece = engine.unconsumed_tail
            out.write(chunk)
            size += len(chunk)
            if size > limits.inflated_bytes or size > max(16 << 20, (pos - start) * limits.inflated_ratio):
                raise DicomFormatError(
                    f"the deflated dataset is larger than {limits.inflated_bytes >> 20} MiB or "
                    f"more than {limits.inflated_ratio} times its deflated size",
                    offset=pos,
                )
    if not engine.eof:
        raise DicomFormatError("the deflated dataset is cut off", offset=pos)
    out.flush()
    return size


_IMAGE_CLASSES: frozenset[str] = frozenset(
    uid
    for uid, (name, kind, *_rest) in UID_dictionary.items()
    if kind == "SOP Class" and name.endswith("Image Storage")
)


def _check_identity(part: Part10) -> None:
    if part.study_instance_uid == "" and _DIRECTORY_RECORDS in part.elements:
        raise DicomFormatError(
            "this is a DICOMDIR: an index of files, with no instance of its own", tag=_DIRECTORY_RECORDS
        )
    if not (
        is_uid(part.study_instance_uid)
        and is_uid(part.series_instance_uid)
        and is_uid(part.sop_instance_uid)
        and is_uid(part.sop_class_uid)
    ):
        for what, tag, uid in (
            ("StudyInstanceUID", "0020000D", part.study_instance_uid),
            ("SeriesInstanceUID", "0020000E", part.series_instance_uid),
            ("SOPInstanceUID", "00080018", part.sop_instance_uid),
            ("SOPClassUID", "00080016", part.sop_class_uid),
        ):
            if not uid:
                raise DicomFormatError(f"{what} is missing", tag=tag)
            if not is_uid(uid):
                raise DicomFormatError(f"{what} is no UID: it must be 1 to 64 digits and dots", tag=tag)
    if not is_uid(part.transfer_syntax_uid):
        # It becomes a part of media types, and so of headers.
        raise DicomFormatError("TransferSyntaxUID is no UID: it must be 1 to 64 digits and dots", tag="00020010")
    if (
        "7FE00010" not in part.elements
        and part.sop_class_uid in _IMAGE_CLASSES
        and not any(tag in part.elements for tag in _PIXELS)
    ):
        # Every image has them (PS3.3 section C.7.6.3), and a file that was cut between two elements shows
        # nothing else.
        raise DicomFormatError(
            "an image without its pixel data: the file was cut before them, or is a header only", tag="7FE00010"
        )
