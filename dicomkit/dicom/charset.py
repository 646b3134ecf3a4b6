"""Character sets of DICOM text, by allow-list.

Sources: DICOM PS3.3 section C.12.1.1.2 (Specific Character Set, its defined terms) and PS3.5 section 6.1
(ISO 2022 code extensions). Only defined terms, and the few misspellings that real files carry, lead to a
codec: a term is never handed to Python as the name of one, since Python would take ``unicode_escape`` too.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DEFAULT", "Charset", "UnknownCharacterSet", "charset_for"]

Charset = str | tuple[str, ...]
"""One Python codec for text without code extensions, several where ISO 2022 escapes may occur."""

DEFAULT: Charset = "iso8859_1"
"""For the default repertoire. It is ASCII; bytes above 127 are read as Latin-1, as pydicom does."""

_ISO_IR = {
    "": "iso8859_1",
    "6": "iso8859_1",
    "100": "iso8859_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "144": "iso8859_5",
    "127": "iso8859_6",
    "126": "iso8859_7",
    "138": "iso8859_8",
    "148": "iso8859_9",
    "203": "iso8859_15",
    "13": "shift_jis",
    "166": "iso_ir_166",
}
_SINGLE: dict[str, str] = {f"ISO_IR {n}" if n else "": codec for n, codec in _ISO_IR.items()}
_SINGLE |= {"ISO_IR 192": "utf_8", "GB18030": "gb18030", "GBK": "gbk", "ISO_IR 6": "iso8859_1"}
_EXTENDED: dict[str, str] = {f"ISO 2022 IR {n}": codec for n, codec in _ISO_IR.items() if n}
_EXTENDED |= {
    "ISO 2022 IR 87": "iso2022_jp",
    "ISO 2022 IR 159": "iso2022_jp_2",
    "ISO 2022 IR 149": "euc_kr",
    "ISO 2022 IR 58": "gb2312",
}
_ESCAPES: dict[bytes, str] = {
    b"(B": "iso8859_1",  # ASCII
    b"(J": "shift_jis",  # its Latin half, which is that of JIS X 0201
    b")I": "shift_jis",  # its katakana
    b"-A": "iso8859_1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-L": "iso8859_5",
    b"-G": "iso8859_6",
    b"-F": "iso8859_7",
    b"-H": "iso8859_8",
    b"-M": "iso8859_9",
    b"-b": "iso8859_15",
    b"-T": "iso_ir_166",
    b"$B": "iso2022_jp",
    b"$(D": "iso2022_jp_2",
    b"$)C": "euc_kr",
    b"$)A": "gb2312",
}
"""What follows an ESC, and the codec that reads from there on (PS3.3 tables C.12-3 and C.12-4)."""
_READS_ESCAPES = frozenset({"iso2022_jp", "iso2022_jp_2"})
_ALONE = frozenset({"utf_8", "gb18030", "gbk"})

# PS3.5 section 6.1.2.5.3: these characters switch back to the first character set.
TEXT_DELIMITERS = frozenset({0x0D, 0x0A, 0x09, 0x0C})
VALUE_DELIMITERS = TEXT_DELIMITERS | {0x5C}
NAME_DELIMITERS = frozenset({0x5E, 0x3D})


class UnknownCharacterSet(ValueError):
    """A value of Specific Character Set that is no defined term; ``position`` counts from 1."""

    def __init__(self, position: int) -> None:
        super().__init__(f"value {position} of SpecificCharacterSet is no defined term")
        self.position = position


def _codec(term: object, position: int) -> tuple[str, bool]:
    if term is None:
        term = ""
    if not isinstance(term, str):  # (0008,0005) under a VR that is no text, which a damaged file can have
        raise UnknownCharacterSet(position)
    # "ISO-IR 100", "ISO_IR_100", "ISO IR 100" and "ISO2022 IR 87" all occur in real files.
    folded = term.upper().replace("_", " ").replace("-", " ").split()
    if folded[:1] == ["ISO2022"]:
        folded = ["ISO", "2022", *folded[1:]]
    if folded[:2] == ["ISO", "IR"] and len(folded) == 3:
        spelled = f"ISO_IR {folded[2]}"
    elif folded[:3] == ["ISO", "2022", "IR"] and len(folded) == 4:
        spelled = f"ISO 2022 IR {folded[3]}"
    else:
        spelled = "".join(folded)
    if spelled in _SINGLE:
        return _SINGLE[spelled], False
    if spelled in _EXTENDED:
        return _EXTENDED[spelled], True
    raise UnknownCharacterSet(position)


def charset_for(terms: Sequence[object]) -> Charset:
    """The codec, or codecs, for the values of (0008,0005).

    Raises
    ------
    UnknownCharacterSet
        A value is no defined term of PS3.3 section C.12.1.1.2.
    """
    codecs = [_codec(term, i) for i, term in enumerate(terms, start=1)]
    if not codecs:
        return DEFAULT
    if len(codecs) == 1 and not codecs[0][1]:
        return codecs[0][0]
    if codecs[0][0] in _ALONE:
        # UTF-8, GB18030 and GBK allow no code extensions; what follows them is ignored.
        return codecs[0][0]
    return tuple(codec for codec, _ in codecs)


def decode(raw: bytes, charset: Charset, delimiters: frozenset[int] = TEXT_DELIMITERS) -> str:
    """Text of *raw*; bytes that the character set does not have become U+FFFD."""
    if isinstance(charset, str):
        return raw.decode(charset, "replace")
    if b"\x1b" not in raw:
        return raw.decode(charset[0], "replace")
    first, *rest = raw.split(b"\x1b")
    return first.decode(charset[0], "replace") + "".join(_escaped(piece, charset, delimiters) for piece in rest)


def _escaped(piece: bytes, charset: tuple[str, ...], delimiters: frozenset[int]) -> str:
    """Text after an ESC (PS3.5 section 6.1.2.5)."""
    size = 3 if piece[:2] in (b"$(", b"$)") else 2
    codec = _ESCAPES.get(piece[:size], "")
    if codec not in charset and codec != DEFAULT:
        # No escape sequence, or one that (0008,0005) does not announce.
        return (b"\x1b" + piece).decode(charset[0], "replace")
    if codec in _READS_ESCAPES:
        return (b"\x1b" + piece).decode(codec, "replace")
    text = piece[size:]
    end = next((at for at, byte in enumerate(text) if byte in delimiters), len(text))
    return text[:end].decode(codec, "replace") + text[end:].decode(charset[0], "replace")
