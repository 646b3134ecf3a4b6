"""Which column an element has: name, type, mode and place, from the DICOM dictionary alone.

============================= ======================= ==========================================================
dictionary VR                 column                  remark
============================= ======================= ==========================================================
AE AS CS LO LT SH ST UC UI    STRING                  text as it stands
UR UT **DS IS**
DA / TM / DT                  DATE / TIME / TIMESTAMP
FL FD                         FLOAT                   64 bits
SL SS UL US SV UV AT          INTEGER                 AT is ``group << 16 | element``
PN                            RECORD                  Alphabetic, Ideographic, Phonetic of five components each
SQ                            RECORD REPEATED         the same rules inside
OB OD OF OL OV OW UN          none                    so are "OB or OW" and "US or OW" (LUTData)
============================= ======================= ==========================================================

The mode is NULLABLE where the dictionary's VM is exactly 1, else REPEATED, however many values there are.
A keyword that several tags share (50xx, 60xx and the other repeating groups) is a RECORD REPEATED ``{Id, Value}``.
Private sequences, and sequences that the dictionary does not know, are columns ``Tag_GGGGEEEE``.

Source: Cloud Healthcare API, "BigQuery schema for DICOM" and the published schema of Imaging Data Commons'
``dicom_metadata`` tables; DICOM PS3.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from pydicom._dicom_dict import RepeatersDictionary

from dicomkit.bigquery.values import CONVERTERS, Converter
from dicomkit.dicom import dictionary

__all__ = [
    "COLUMNS",
    "MAX_COLUMNS",
    "MAX_NESTING",
    "MAX_ROW_BYTES",
    "OTHER_ELEMENTS",
    "Column",
    "GroupColumn",
    "Kind",
    "column_named",
]

MAX_NESTING = 15
"""Most levels of RECORD in a column (BigQuery, "Quotas and limits"); what lies deeper is a dropped tag."""

MAX_COLUMNS = 10_000
"""Most columns of a table, nested ones counted (BigQuery, "Quotas and limits")."""

MAX_ROW_BYTES = 1_000_000
"""Largest row that is streamed (Cloud Healthcare API, ``streamConfigs``: "1 MB")."""


class Kind(Enum):
    """How an element gets into a row."""

    VALUE = 1
    """A column of a plain type."""
    NAME = 2
    """PN: a record of records."""
    SEQUENCE = 3
    GROUP = 4
    """A repeating group: one record for each tag with this keyword."""
    BINARY = 5
    """No column, and not told anywhere."""
    OTHER = 6
    """No keyword: an own column for a sequence, OtherElements for everything else."""


_TYPES = {
    **dict.fromkeys(("AE", "AS", "CS", "DS", "IS", "LO", "LT", "SH", "ST", "UC", "UI", "UR", "UT"), "STRING"),
    **dict.fromkeys(("AT", "SL", "SS", "SV", "UL", "US", "UV"), "INTEGER"),
    "US or SS": "INTEGER",
    "FL": "FLOAT",
    "FD": "FLOAT",
    "DA": "DATE",
    "TM": "TIME",
    "DT": "TIMESTAMP",
}
"""Dictionary VR -> type of a plain column."""

_NO_COLUMN = frozenset({"00020000"})
"""FileMetaInformationGroupLength: a length of the encoding, the service has no column for it."""

_CACHE_SIZE = 16_384
"""Most tags, and most names, that are remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """The column of one keyword or of one ``Tag_GGGGEEEE``."""

    name: str
    kind: Kind
    type: str = "RECORD"
    repeated: bool = True
    order: str = ""
    """Sorts columns into table order."""
    convert: Converter | None = None
    """Set for :attr:`Kind.VALUE` and :attr:`Kind.NAME`."""
    levels: int = 0
    """Levels of RECORD that the column itself brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupColumn(Column):
    """The column ``{Id, Value}`` of a repeating group."""

    value: Column
    """What ``Value`` is."""

    def id_of(self, tag: str) -> str:
        """``Id`` of an element.

        The group (``6002``) where the tags differ by group. Some retired attributes repeat inside one group, as
        (0020,31xx) does; there it is the whole tag.
        """
        return tag[:4] if self.order[1:3] in ("50", "60", "7F") else tag


OTHER_ELEMENTS = "OtherElements"
"""The column, at every level of nesting, of what has no column of its own."""

_REPEATING: dict[str, tuple[str, str, str]] = {
    keyword: (mask.upper().replace("X", "0"), vr, vm)
    for mask, (vr, vm, _name, _retired, keyword) in RepeatersDictionary.items()
}

_TAG_NAME = re.compile(r"Tag_[0-9A-F]{8}")


class _Columns(dict[str, Column]):
    """Tag -> column, made when it is first asked for; bounded, since private tags come from files and have no end."""

    __slots__ = ()

    def __missing__(self, tag: str) -> Column:
        if len(self) >= _CACHE_SIZE:
            self.clear()
        column = self[tag] = _build(tag)
        return column


COLUMNS = _Columns()
"""Tag (eight upper-case hex digits) -> the column of an element."""


@lru_cache(maxsize=_CACHE_SIZE)
def column_named(name: str) -> Column:
    """The column of this name, ``KeyError`` when no element can have it.

    Fixed columns are not elements and are not found here.
    """
    if name in _REPEATING:
        column = _group(name)
    elif _TAG_NAME.fullmatch(name):
        column = _unnamed(name[4:])
    else:
        column = COLUMNS[dictionary.tag_of(name)]
    if column.kind is Kind.BINARY:
        raise KeyError(name)
    return column


def _build(tag: str) -> Column:
    keyword = dictionary.keyword_of(tag)
    if keyword is None:
        return _unnamed(tag)
    if keyword in _REPEATING:
        return _group(keyword)
    if tag in _NO_COLUMN:
        return Column(name=keyword, kind=Kind.BINARY)
    return _plain(keyword, "0" + tag, dictionary.vr_of(tag) or "UN", dictionary.vm_of(tag) or "1")


def _plain(name: str, order: str, vr: str, vm: str) -> Column:
    repeated = vm != "1"
    if vr == "SQ":
        return Column(name=name, kind=Kind.SEQUENCE, order=order, levels=1)
    if vr == "PN":
        convert = CONVERTERS["NAME"][repeated]
        return Column(name=name, kind=Kind.NAME, repeated=repeated, order=order, convert=convert, levels=2)
    kind = _TYPES.get(vr)
    if kind is None:
        return Column(name=name, kind=Kind.BINARY)
    convert = CONVERTERS[kind][repeated]
    return Column(name=name, kind=Kind.VALUE, type=kind, repeated=repeated, order=order, convert=convert)


def _group(keyword: str) -> Column:
    tag, vr, vm = _REPEATING[keyword]
    value = _plain("Value", "", vr, vm)
    if value.kind is Kind.BINARY:
        return Column(name=keyword, kind=Kind.BINARY)
    # A sequence in Value can need OtherElements, one level more.
    levels = 3 if value.kind is Kind.SEQUENCE else 1 + value.levels
    return GroupColumn(name=keyword, kind=Kind.GROUP, order="0" + tag, levels=levels, value=value)


def _unnamed(tag: str) -> Column:
    return Column(name=f"Tag_{tag}", kind=Kind.OTHER, order="1" + tag, levels=1)
