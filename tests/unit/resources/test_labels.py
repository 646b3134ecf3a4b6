"""Rules of labels, by the patterns and limits of the API reference (``DicomStore.labels``)."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dicomkit.errors import InvalidArgument
from dicomkit.resources.dicom_store import DicomStore
from dicomkit.resources.labels import check_key, check_labels, check_value

# hypothesis' own category tables are the independent reading of \p{Ll}\p{Lo}\p{N}.
FIRST = st.characters(categories=["Ll", "Lo"])
LATER = st.characters(categories=["Ll", "Lo", "Nd", "Nl", "No"], include_characters="_-")
OUTSIDE = st.characters(exclude_categories=["Ll", "Lo", "Nd", "Nl", "No", "Cs"], exclude_characters="_-")


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("e", id="one character"),
        pytest.param("env", id="lowercase"),
        pytest.param("a1_-", id="digits, underscore and hyphen later"),
        pytest.param("a" * 63, id="63 characters"),
        pytest.param("straße", id="lowercase beyond ASCII"),
        pytest.param("環境", id="letters without case"),
        pytest.param("عضو", id="Arabic letters"),
        pytest.param("ªb", id="ordinal indicator, category Lo"),
        pytest.param("n½", id="vulgar fraction, category No"),
        pytest.param("nⅷ", id="small Roman numeral, category Nl"),
        pytest.param("a٣", id="Arabic-Indic digit"),
        pytest.param("環" * 42 + "é", id="128 bytes"),
        pytest.param("𠀀" * 32, id="128 bytes of four-byte characters"),
    ],
)
def test_a_key_that_fits_the_pattern_is_taken(key: str) -> None:
    """[\\p{Ll}\\p{Lo}][\\p{Ll}\\p{Lo}\\p{N}_-]{0,62}, at most 128 bytes."""
    assert check_key(key) == key


@pytest.mark.parametrize(
    ("key", "rule"),
    [
        pytest.param("", "at least one character", id="empty"),
        pytest.param("1env", "begin with such a letter", id="a digit first"),
        pytest.param("_env", "begin with such a letter", id="an underscore first"),
        pytest.param("-env", "begin with such a letter", id="a hyphen first"),
        pytest.param("Env", "lowercase", id="a capital first"),
        pytest.param("eNv", "lowercase", id="a capital later"),
        pytest.param("Džep", "lowercase", id="a titlecase letter"),
        pytest.param("aʰ", "lowercase", id="a modifier letter"),
        pytest.param("e\u0301", "lowercase", id="a combining accent"),
        pytest.param("a b", "lowercase", id="a space"),
        pytest.param("a.b", "lowercase", id="a dot"),
        pytest.param("a\n", "lowercase", id="a newline at the end"),
        pytest.param("a\x00", "lowercase", id="a null character"),
        pytest.param("<thin>", "lowercase", id="markup"),
        pytest.param("a" * 64, "at most 63 characters, it has 64", id="64 characters"),
        pytest.param("環" * 43, "at most 128 bytes in UTF-8, it has 129", id="129 bytes"),
        pytest.param("𠀀" * 33, "at most 128 bytes in UTF-8, it has 132", id="132 bytes"),
    ],
)
def test_a_key_that_breaks_a_rule_is_refused_with_the_rule(key: str, rule: str) -> None:
    """The message names the label and the rule."""
    with pytest.raises(InvalidArgument, match=rule) as caught:
        check_key(key)
    assert caught.value.message.startswith("labels[")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("value", ["", "1", "-", "_", "2024", "site-a", "環境", "a" * 63, "環" * 42 + "é", "1" * 63])
def test_a_value_may_be_empty_and_begin_with_anything_of_the_pattern(value: str) -> None:
    """[\\p{Ll}\\p{Lo}\\p{N}_-]{0,63}, at most 128 bytes."""
    assert check_value("k", value) == value


@pytest.mark.parametrize("value", ["1.3kg", "A", "a b", "a\n", " ", "É", "a" * 64, "環" * 43, "ǅ", "a/b", "🙂"])
def test_a_value_outside_the_pattern_is_refused(value: str) -> None:
    """The API page's own example 1.3kg is among them: the pattern counts."""
    with pytest.raises(InvalidArgument, match=r'labels\["mass"\]: the value'):
        check_value("mass", value)


@given(first=FIRST, later=st.text(LATER, max_size=62))
def test_every_text_of_the_pattern_is_a_key(first: str, later: str) -> None:
    """Any letter without case or in lower case, then any such letter, number, '_' or '-'."""
    assume(len((first + later).encode()) <= 128)
    assert check_labels({first + later: later}) == {first + later: later}


@given(before=st.text(LATER, max_size=10), character=OUTSIDE, after=st.text(LATER, max_size=10))
def test_one_character_outside_the_pattern_spoils_key_and_value(before: str, character: str, after: str) -> None:
    """Wherever it stands."""
    with pytest.raises(InvalidArgument):
        check_key("a" + before + character + after)
    with pytest.raises(InvalidArgument):
        check_value("a", before + character + after)


@given(st.text(max_size=80))
def test_the_remedy_is_itself_allowed(key: str) -> None:
    """What the message says to write passes when it is written."""
    try:
        check_key(key)
    except InvalidArgument as error:
        _, found, remedy = error.message.rpartition('; write "')
        if found:
            check_key(remedy.removesuffix('"'))


@pytest.mark.parametrize(
    ("wrong", "right"), [("Env", "env"), ("site a", "site-a"), ("1st", "n1st"), ("e\u0301t", "ét")]
)
def test_the_message_says_what_to_write(wrong: str, right: str) -> None:
    """Lower case, composed, hyphens for what does not belong."""
    with pytest.raises(InvalidArgument, match=f'write "{right}"'):
        check_key(wrong)


@pytest.mark.parametrize(
    ("key", "remedy"),
    [("1" * 63, f'write "n{"1" * 62}"'), ("11" + "環" * 42, "choose a shorter one in lower case, as env")],
)
def test_the_remedy_keeps_the_limits(key: str, remedy: str) -> None:
    """A letter put in front must not make the key too long."""
    with pytest.raises(InvalidArgument, match=remedy):
        check_key(key)


def test_64_labels_are_taken_and_65_are_not() -> None:
    """No more than 64 labels can be associated with a store."""
    labels = {f"k{n}": "" for n in range(64)}
    assert check_labels(labels) == labels
    with pytest.raises(InvalidArgument, match="at most 64 labels, 65 were given"):
        check_labels(labels | {"one-more": ""})


@pytest.mark.parametrize(
    "labels", [[], "env", 5, True, {"env": 1}, {"env": None}, {"env": ["a"]}, {"env": {}}, {1: "a"}]
)
def test_labels_that_are_no_map_of_strings_are_refused(labels: object) -> None:
    """JSON of another type is an InvalidArgument about labels, not a TypeError."""
    with pytest.raises(InvalidArgument, match="^labels"):
        check_labels(labels)


def test_half_a_surrogate_pair_is_refused() -> None:
    """json.loads lets it through; it has no UTF-8 form."""
    with pytest.raises(InvalidArgument, match="^labels"):
        check_labels({"a": "\ud800"})
    with pytest.raises(InvalidArgument, match="^labels"):
        check_labels({"\ud800": "a"})


def test_the_store_checks_its_labels() -> None:
    """The rule holds wherever a store is made."""
    with pytest.raises(InvalidArgument, match=r'labels\["Env"\]'):
        DicomStore(labels={"Env": "a"})
    with pytest.raises(InvalidArgument, match=r'labels\["Env"\]'):
        DicomStore().replace(labels={"Env": "a"})


def test_a_store_does_not_share_labels_with_the_caller() -> None:
    """Changing the dict afterwards does not reach behind the checks."""
    labels = {"env": "a"}
    store = DicomStore(labels=labels)
    labels["Bad Key"] = "x"
    store.to_api()["labels"]["Bad Key"] = "x"
    assert store.labels == {"env": "a"}
