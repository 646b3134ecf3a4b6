"""Character sets: each defined term reads its own text, and no other term is a codec."""

from __future__ import annotations

import codecs
import encodings.aliases
import json
import re

import pytest

from dicomkit.dicom.charset import UnknownCharacterSet, charset_for
from dicomkit.dicom.reader import read_part10
from dicomkit.errors import DicomFormatError
from tests.unit.dicom.instances import element, raw_part10

# Term of PS3.3 tables C.12-2 to C.12-5, escape sequence, Python's codec, a text of the script.
EXTENSIONS = {
    "ISO 2022 IR 100": (b"\x1b-A", "iso8859_1", "Jérôme"),
    "ISO 2022 IR 101": (b"\x1b-B", "iso8859_2", "Wałęsa"),
    "ISO 2022 IR 109": (b"\x1b-C", "iso8859_3", "Ĝiĥo"),
    "ISO 2022 IR 110": (b"\x1b-D", "iso8859_4", "Ķēniņš"),
    "ISO 2022 IR 144": (b"\x1b-L", "iso8859_5", "Люкceмбypг"),
    "ISO 2022 IR 127": (b"\x1b-G", "iso8859_6", "قباني"),
    "ISO 2022 IR 126": (b"\x1b-F", "iso8859_7", "Διονυσιος"),
    "ISO 2022 IR 138": (b"\x1b-H", "iso8859_8", "שרון"),
    "ISO 2022 IR 148": (b"\x1b-M", "iso8859_9", "Çavuşoğlu"),
    "ISO 2022 IR 203": (b"\x1b-b", "iso8859_15", "Œuvre"),
    "ISO 2022 IR 166": (b"\x1b-T", "tis_620", "นามสกุล"),
    "ISO 2022 IR 13": (b"\x1b)I", "shift_jis", "ﾔﾏﾀﾞ"),
    "ISO 2022 IR 149": (b"\x1b$)C", "euc_kr", "김희중"),
    "ISO 2022 IR 58": (b"\x1b$)A", "gb2312", "王小东"),
}


def _even(value: bytes) -> bytes:
    return value + b" " * (len(value) % 2)


def _read(terms: bytes, tag: int, vr: str, value: bytes) -> object:
    raw = raw_part10(element(0x00080005, "CS", _even(terms)), element(tag, vr, _even(value)))
    return read_part10(raw).elements[f"{tag:08X}"].get("Value")


@pytest.mark.parametrize("term", EXTENSIONS)
def test_each_code_extension_reads_its_script(term: str) -> None:
    """In a name after its delimiters, in a text, and in the second of several values; what follows is ASCII again."""
    escape, codec, text = EXTENSIONS[term]
    raw = escape + text.encode(codec)
    terms = b"\\" + term.encode()
    assert _read(terms, 0x00100010, "PN", b"Doe^Jane=" + raw + b"^" + raw) == [
        {"Alphabetic": "Doe^Jane", "Ideographic": f"{text}^{text}"}
    ]
    assert _read(terms, 0x00081030, "LO", b"abc " + raw) == [f"abc {text}"]
    assert _read(terms, 0x00080090 + 0x200010, "LO", b"a\\" + raw + b"\\b") == ["a", text, "b"]
    assert _read(terms, 0x00204000, "LT", raw + b"\r\n123\r\n" + raw) == [f"{text}\r\n123\r\n{text}"]


def test_japanese_switches_between_its_sets() -> None:
    """PS3.5 Annex H: JIS X 0201 first, kanji by escapes."""
    name = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
    assert _read(b"ISO 2022 IR 13\\ISO 2022 IR 87", 0x00100010, "PN", name) == [
        {"Alphabetic": "ﾔﾏﾀﾞ^ﾀﾛｳ", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}
    ]


@pytest.mark.parametrize(
    ("terms", "raw", "text"),
    [
        (b"\\ISO 2022 IR 144", b"\x1b-F\xc4", "\x1b-FÄ"),
        (b"\\ISO 2022 IR 144", b"\x1b", "\x1b"),
        (b"\\ISO 2022 IR 87", b"\x1b$B;3\xff", "山\ufffd"),
        (b"\\ISO 2022 IR 149", b"\x1b$)C\xb1", "\ufffd"),
        (b"ISO_IR 192", b"\xc3\x28", "\ufffd("),
        (b"ISO_IR 192", b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    ],
)
def test_text_that_its_character_set_does_not_have_is_kept(terms: bytes, raw: bytes, text: str) -> None:
    """What cannot be read becomes U+FFFD, without a warning and without an error; an unknown escape stays."""
    assert _read(terms, 0x00081030, "LO", raw) == [text]


DEFINED = {
    *("", "GB18030", "GBK"),
    *(f"ISO_IR {n}" for n in (6, 100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166, 192)),
    *(f"ISO 2022 IR {n}" for n in (6, 100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166, 87, 159, 149, 58)),
}
"""The defined terms of PS3.3 section C.12.1.1.2, edition 2025b."""


CODECS = {
    *("utf_8", "gb18030", "gbk", "shift_jis", "iso_ir_166", *(f"iso8859_{n}" for n in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15))),
}
"""What reads text without code extensions."""


def test_each_defined_term_is_known() -> None:
    """Alone, and behind the default repertoire."""
    for term in DEFINED:
        assert charset_for([term])
        assert charset_for(["", term])


def test_no_name_of_a_codec_is_a_term() -> None:
    """Python knows a hundred codecs by several hundred names, of which some unpack, run or unescape what they read.

    A file with one of them is refused, not read in the default repertoire: its text, names among it, would be garbled
    for good without anybody's knowing, while a file that is refused with this reason can be put right and sent again.
    """
    names = {*encodings.aliases.aliases, *encodings.aliases.aliases.values()}
    names |= {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7", "undefined", "mbcs", "oem"}
    assert len(names) > 300
    taken = set()
    for name in sorted(names):
        for term in (name, name.upper(), name.replace("_", "-")):
            try:
                assert charset_for([term]) in CODECS
            except UnknownCharacterSet:
                continue
            taken.add(name)
    # These are spellings of terms; real files have "ISO-IR 100" and the like.
    assert all(re.fullmatch(r"iso_ir_(\d+)|gb18030(_2000)?|gbk", name) for name in taken), taken
    assert codecs.lookup("unicode_escape")


@pytest.mark.parametrize(
    "term", [b"unicode_escape", b"utf_7", b"idna", b"rot_13", b"zlib_codec", b"\x01", b"ISO_IR 999", b"..", b"\xff"]
)
def test_a_term_that_is_none_is_named_and_never_used(term: bytes) -> None:
    """The reason says which value, and does not repeat it; no escape of Python's is undone on the way."""
    raw = raw_part10(element(0x00080005, "CS", _even(term)), element(0x00081030, "LO", b"\\u0041 "))
    with pytest.raises(DicomFormatError, match="value 1 of SpecificCharacterSet is no defined term") as caught:
        read_part10(raw)
    assert term.decode("latin-1") not in str(caught.value)
    assert caught.value.tag == "00080005"


def test_text_of_any_character_set_is_json() -> None:
    """Every byte in every defined term: what is read can be written as JSON and read back."""
    every = bytes(byte for byte in range(1, 256) if byte != 0x5C)
    for term in sorted(DEFINED):
        for value in (every, b"\x1b$B" + every, b"\x1b$)C" + every, b"\x1b$)A" + every, b"\x1b-L" + every):
            found = _read(term.encode(), 0x00204000, "LT", value)
            assert json.loads(json.dumps(found, allow_nan=False)) == found
