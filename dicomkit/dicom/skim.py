"""The end of a sequence that is too long for the metadata: found by its headers, with nothing kept."""

from __future__ import annotations

from mmap import mmap

from dicomkit.dicom.headers import DELIMITERS, ITEM, ITEM_END, TAG_NAMES, UNDEFINED
from dicomkit.dicom.limits import Limits
from dicomkit.dicom.vr import LONG_HEADER, VRS, Encoding
from dicomkit.errors import DicomFormatError

__all__ = ["skim"]


def skim(buf: bytes | mmap, pos: int, stop: int, implicit: bool, encoding: Encoding, tag: str, limits: Limits) -> int:
    """Find the end of a sequence that is too long to be kept, and check the lengths on the way.

    ``pos`` is between two items of that sequence.
    """
    names = TAG_NAMES[encoding.order]
    short, bare = encoding.short.unpack_from, encoding.implicit.unpack_from
    long_length = encoding.length.unpack_from
    # One entry a level, whether it is in implicit VR; odd depth: between items, even: inside an item.
    levels = [implicit]
    for _ in range(limits.skimmed):
        implicit = levels[-1]
        raw_tag, length = bare(buf, pos)
        name = names[raw_tag]
        inside = len(levels) % 2 == 0
        if name in DELIMITERS:
            pos += 8
            if name == ITEM:
                if inside:
                    raise DicomFormatError("an item inside an item", offset=pos, tag=tag)
                if length == UNDEFINED:
                    levels.append(implicit)
                else:
                    pos += length
            elif (name == ITEM_END) != inside:
                raise DicomFormatError("delimiters do not match", offset=pos, tag=tag)
            else:
                levels.pop()
                if not levels:
                    return pos
        else:
            if not inside:
                raise DicomFormatError("a sequence holds something that is no item", offset=pos, tag=tag)
            vr = "SQ"
            if implicit:
                pos += 8
            else:
                key, length = short(buf, pos)
                raw_vr = key[4:]
                if raw_vr not in VRS:
                    raise DicomFormatError("no VR where one must be", offset=pos, tag=name)
                vr = VRS[raw_vr][0]
                if vr in LONG_HEADER:
                    (length,) = long_length(buf, pos + 8)
                    pos += 12
                else:
                    pos += 8
            if length == UNDEFINED:
                if vr not in ("SQ", "UN", "OB", "OW"):
                    raise DicomFormatError(f"undefined length with VR {vr}", offset=pos, tag=name)
                # Fragments of encapsulated pixel data are items as well, and end as a sequence does.
                levels.append(implicit or vr == "UN")
                if len(levels) > 2 * limits.depth:
                    raise DicomFormatError(f"sequences nested more than {limits.depth} deep", offset=pos, tag=tag)
            else:
                pos += length
        if pos > stop:
            raise DicomFormatError("a sequence is cut off", offset=pos, tag=tag)
    raise DicomFormatError(f"more than {limits.skimmed} elements in a long sequence", offset=pos, tag=tag)
