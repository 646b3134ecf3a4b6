"""Searches for arbitrary text, against matching as PS3.4 section C.2.2.2 has it, in plain Python."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import WEB, client, dataset, store, written

EXAMPLES = 2_000 if "DICOMKIT_TEST_LONG" in os.environ else 250

ODD = (
    *(
        "",
        "a",
        "A",
        "á",
        "O'Brien",
        'x"y',
        "100%",
        "a_b",
        "[a]",
        "[",
        "]",
        "a-b",
        "--",
        ";",
        "' OR '1'='1",
        "NULL",
        "0",
    ),
    *(
        "{}",
        "$1",
        "a,b",
        "a=b",
        "&",
        "#",
        "%41",
        "%2A",
        "+",
        "/",
        "..",
        "😀",
        "ß",
        "SS",
        "ǆ",
        "İ",
        "\u0301",
        "é",
        "e\u0301",
    ),
    *(
        "ab",
        "abc",
        "aab",
        "Doe^Jane",
        "doe^jane",
        "Doe",
        "DROP TABLE studies",
        "x" * 64,
        "\u200b",
        "1",
        "01",
        "1.0",
        "?x",
    ),
)
"""Values that somebody could take for something else."""

STORED = [value for value in ODD if not set(value) & set("*?\\")]


class Place:
    """A store, and what pydicom reads of its instances."""

    def __init__(self, http: Client) -> None:
        self.http = http
        self.stored: list[pydicom.Dataset] = []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A store with an instance for each odd value, in one attribute of each kind."""
    with Engine(tmp_path_factory.mktemp("search") / "home") as engine:
        place = Place(client(engine))
        for number, value in enumerate(STORED):
            ds = dataset(
                PatientID=value,
                PatientName=value.replace("=", ""),
                StudyDescription=value,
                AccessionNumber=value[:16],
                InstanceNumber=number,
                SpecificCharacterSet="ISO_IR 192",
            )
            one = written(ds)
            assert store(place.http, one).status_code == 200
            place.stored.append(pydicom.dcmread(io.BytesIO(one.data)))
        yield place


def fold(text: str) -> str:
    """A name without case and marks, which is how wildcards of names are matched here (PS3.4 C.2.2.2.1.1 allows it)."""
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.category(c) != "Mn"))


def matches(pattern: str, value: str, *, is_name: bool) -> bool:
    """Whether a value matches: ``*`` any text, ``?`` one character, all else itself; no value matches no pattern."""
    if pattern.strip("*") == "":
        return True  # universal matching
    is_wild = bool(set(pattern) & set("*?"))
    if is_name:
        # Trailing delimiters mean nothing (PS3.5 section 6.2.1).
        value = value.rstrip("^ ")
    if value == "":
        return False
    if is_name:
        pattern, value = (fold(pattern), fold(value)) if is_wild else (pattern.rstrip("=^ "), value)
    pieces = (
        [".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern] if is_wild else [re.escape(pattern)]
    )
    return re.fullmatch("".join(pieces), value, re.DOTALL) is not None


# Short texts of few letters meet the stored ones; anything else must simply find nothing.
PATTERNS = st.one_of(
    st.sampled_from(ODD),
    st.lists(
        st.sampled_from(["*", "?", "a", "b", "A", "á", "^", "Doe", "x", "[", "]", "'", "%", "_", "-", "."]), max_size=6
    ).map("".join),
    st.builds(lambda value, star: star + value[1:] if value else star, st.sampled_from(STORED), st.sampled_from("*?")),
    st.text(max_size=30),
)


@settings(max_examples=EXAMPLES)
@given(PATTERNS, st.sampled_from(["PatientID", "PatientName", "StudyDescription", "AccessionNumber", "00100020"]))
def test_any_text_finds_what_plain_python_finds(place: Place, pattern: str, keyword: str) -> None:
    """The same instances, or a refusal in words of our own: never an error of the server, and no word of SQL."""
    raw = quote(pattern.encode("utf-8", "surrogatepass"), safe="")
    answer = place.http.get(f"{WEB}/instances?{keyword}={raw}&limit=1000")
    if answer.status_code == 400:
        message = answer.json["error"]["message"]
        assert not re.search(r"sqlite|syntax error|near |no such|SELECT|GLOB|malformed|codec", message), message
        # Text that no attribute can hold is all that is refused.
        assert any(unicodedata.category(c) in ("Cc", "Cs") for c in pattern), message
        return
    assert answer.status_code in (200, 204)
    found = {item["00080018"]["Value"][0] for item in answer.json} if answer.status_code == 200 else set()
    name = "PatientID" if keyword == "00100020" else keyword
    wanted = {
        ds.SOPInstanceUID
        for ds in place.stored
        if matches(pattern.strip(" "), str(ds.get(name, "")).strip(" "), is_name=name == "PatientName")
    }
    assert found == wanted


@settings(max_examples=EXAMPLES // 4)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_parameter_is_a_search_or_a_refusal(place: Place, name: str, value: str) -> None:
    """Also names of parameters that are none, and fields to be included."""
    texts = [quote(text.encode("utf-8", "surrogatepass"), safe="") for text in (name, value)]
    for query in (
        f"{texts[0]}={texts[1]}",
        f"includefield={texts[0]}",
        f"limit={texts[0]}",
        f"PatientName={texts[1]}&fuzzymatching={texts[0]}",
    ):
        for level in ("studies", "series", "instances"):
            answer = place.http.get(f"{WEB}/{level}?{query}")
            assert answer.status_code in (200, 204, 400)
            assert "sqlite" not in answer.text.lower()
