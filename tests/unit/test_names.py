"""Names that come from outside: which are names, and that nothing else passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydicom.uid import RE_VALID_UID, UID

from dicomkit.errors import InvalidArgument
from dicomkit.names import DatasetName, DicomStoreName, check_id, is_uid

DATASET = "projects/p/locations/l/datasets/d"
STORE = f"{DATASET}/dicomStores/s"

HOSTILE = [
    "",
    ".",
    "..",
    "../../x",
    "..\\x",
    "a/b",
    "a\n",
    "\na",
    "a\r",
    "a\x00",
    "a b",
    " a",
    "a\u2028",
    "a\u200b",
    "a\u202e",
    "a%2e",
    "a?b",
    "a#b",
    "a;b",
    "a'b",
    'a"b',
    "a`b",
    "<a>",
    "a\u0301",
    "\ud800",
    "a" * 257,
]
"""What is no id, whatever the kind."""


@pytest.mark.parametrize("value", ["a", "A", "1", "_", "-", "...", "a.b", "größe", "環境", "٣", "½", "a" * 256])
def test_an_id_is_letters_digits_and_three_signs(value: str) -> None:
    """[\\p{L}\\p{N}_\\-\\.]{1,256}."""
    assert check_id(value, "dataset id") == value


@pytest.mark.parametrize("value", [*HOSTILE, "a:b", None, 5, ["a"], b"a"])
def test_what_is_no_id_is_refused_on_one_line(value: Any) -> None:
    """Traversal, separators, control and formatting characters, other types; the message is escaped and cut."""
    with pytest.raises(InvalidArgument, match="^dataset id must be 1 to 256 letters") as caught:
        check_id(value, "dataset id")
    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


@given(st.text(st.characters(categories=["L", "N"], include_characters="_-."), min_size=1, max_size=256))
def test_every_id_of_the_pattern_gives_a_name_that_reads_back(value: str) -> None:
    """str() and parse() are each other's inverse."""
    assume(value not in (".", ".."))
    name = DatasetName("p", "l", value).store(value)
    assert DicomStoreName.parse(str(name)) == name
    assert DatasetName.parse(str(name.dataset)) == name.dataset


@given(st.text(max_size=40))
def test_a_name_that_is_read_has_no_way_out(value: str) -> None:
    """Whatever parses has exactly the parts it says, none of which is a dot segment."""
    try:
        name = DicomStoreName.parse(f"projects/{value}/locations/{value}/datasets/{value}/dicomStores/{value}")
    except InvalidArgument:
        return
    parts = str(name).split("/")
    assert len(parts) == 8
    assert not {"", ".", ".."} & set(parts)
    assert str(name).isprintable()


@pytest.mark.parametrize("project", ["p", "123456", "example.com:project-id", "local"])
def test_a_project_is_an_id_a_number_or_domain_scoped(project: str) -> None:
    """The path pattern of the API is only [^/]+."""
    assert DatasetName.parse(f"projects/{project}/locations/l/datasets/d").project == project


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["project", "location", "dataset"])
def test_no_part_of_a_dataset_name_is_hostile(field: str, value: str) -> None:
    """A client would cut dot segments out of the URL, and mean another resource."""
    parts = {"project": "p", "location": "l", "dataset": "d"} | {field: value}
    with pytest.raises(InvalidArgument):
        DatasetName(**parts)
    with pytest.raises(InvalidArgument):
        DatasetName.parse("projects/{project}/locations/{location}/datasets/{dataset}".format(**parts))


@pytest.mark.parametrize("value", HOSTILE)
def test_no_store_id_is_hostile(value: str) -> None:
    """Made or read."""
    with pytest.raises(InvalidArgument):
        DatasetName.parse(DATASET).store(value)
    with pytest.raises(InvalidArgument):
        DicomStoreName.parse(f"{DATASET}/dicomStores/{value}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d",
        "/" + DATASET,
        DATASET + "/",
        STORE,
        DATASET.upper(),
        DATASET.replace("locations", "location"),
        None,
        5,
        [],
        {},
    ],
)
def test_another_text_is_no_dataset_name(text: Any) -> None:
    """The message shows the form."""
    with pytest.raises(InvalidArgument, match=r"projects/\{project\}/locations/\{location\}/datasets/\{dataset\}"):
        DatasetName.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "s", DATASET, STORE.replace("dicomStores", "fhirStores"), "dicomStores/s", "/dicomStores/s", None, 5, []],
)
def test_another_text_is_no_store_name(text: Any) -> None:
    """Whole names only."""
    with pytest.raises(InvalidArgument):
        DicomStoreName.parse(text)


def test_a_store_name_has_its_dataset_and_parent() -> None:
    """As the API writes them."""
    name = DicomStoreName.parse(STORE)
    assert (str(name.dataset), name.dataset.parent, name.store) == (DATASET, "projects/p/locations/l", "s")


@pytest.mark.parametrize("uid", ["1", "0", "1.2.840.10008.1.1", "2.25." + "9" * 39, "1.0.3", "1." + "2" * 62])
def test_a_uid_is_digits_and_dots(uid: str) -> None:
    """PS3.5 section 9.1, at most 64 characters."""
    assert is_uid(uid)
    assert is_uid(uid, strict=True)


@pytest.mark.parametrize("uid", ["1.02.3", "00", "1.2.00"])
def test_leading_zeros_pass_unless_strict(uid: str) -> None:
    """PS3.5 forbids them and real files carry them."""
    assert is_uid(uid)
    assert not is_uid(uid, strict=True)


@pytest.mark.parametrize(
    "uid",
    [
        *HOSTILE,
        "1." + "2" * 63,
        "1.2\n",
        "1.2\x00",
        "1.2 ",
        "1..2",
        ".1",
        "1.",
        "1.2/3",
        "1.2.٣",
        "1.2.３",
        "1.2.²",
        "1.-2",
        "+1",
        "1e5",
        "1_0",
        None,
        5,
        1.2,
        b"1.2",
        ["1"],
    ],
)
def test_what_is_no_uid_is_no_uid(uid: Any) -> None:
    """65 characters, newline, traversal, digits of other scripts, empty components, other types."""
    assert not is_uid(uid)
    assert not is_uid(uid, strict=True)


@given(st.from_regex(RE_VALID_UID, fullmatch=True) | st.text(st.sampled_from("0123456789.٣a"), max_size=66))
def test_strict_agrees_with_pydicom(uid: str) -> None:
    """pydicom's UID.is_valid is the oracle, but for white space, which pydicom strips first."""
    assume(uid == uid.strip())
    assert is_uid(uid, strict=True) == UID(uid, validation_mode=0).is_valid


@given(st.text(st.sampled_from("0123456789."), max_size=64))
def test_the_lenient_rule_is_no_empty_component(uid: str) -> None:
    """Anything of digits whose components all hold one."""
    assert is_uid(uid) == all(uid.split("."))
