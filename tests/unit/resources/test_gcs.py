"""gs:// URIs and wildcards, by the Healthcare API's document and Cloud Storage's naming rules."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomkit.errors import InvalidArgument
from dicomkit.resources.gcs import MAX_OBJECT_BYTES, GcsUri, glob_regex, parse_gcs_uri
from dicomkit.resources.transfer import ImportDicomDataRequest

BAD_URIS = [
    # other schemes, and none
    "",
    "gs://",
    "gs:/bucket/x",
    "GS://bucket/x",
    " gs://bucket/x",
    "bucket/x",
    "/etc/passwd",
    "file:///etc/passwd",
    "http://169.254.169.254/computeMetadata/v1/",
    "https://storage.googleapis.com/bucket/x",
    "s3://bucket/x",
    "gs://file:///etc/passwd",
    # buckets
    "gs:///x",
    "gs://b/x",
    "gs://Bucket/x",
    "gs://-bucket/x",
    "gs://bucket./x",
    "gs://a..b/x",
    "gs://../x",
    "gs://bucket:80/x",
    "gs://user@bucket/x",
    "gs://buck*et/x",
    "gs://b\u00fccket/x",
    "gs://bu\u0441ket/x",  # a Cyrillic letter
    "gs://" + "b" * 64 + "/x",
    "gs://169.254.169.254/computeMetadata/v1/",
    "gs://127.0.0.1/x",
    "gs://metadata.google.internal/x",
    "gs://google-bucket/x",
    # objects
    "gs://bucket",
    "gs://bucket/",
    "gs://bucket/dir/",
    "gs://bucket//etc/passwd",
    "gs://bucket/a//b",
    "gs://bucket/..",
    "gs://bucket/../other/x",
    "gs://bucket/a/../../x",
    "gs://bucket/./x",
    "gs://bucket/%2e%2e/x",
    "gs://bucket/..%2Fx",
    "gs://bucket/%252e%252e/x",
    "gs://bucket/a%00b",
    "gs://bucket/a\x00b",
    "gs://bucket/a\nb",
    "gs://bucket/a\x7fb",
    "gs://bucket/..\\x",
    "gs://bucket/\uff0e\uff0e/x",  # full-width dots
    "gs://bucket/\u2025/x",  # two dots in one character
    "gs://bucket/a\uff0fb",  # a full-width slash
    "gs://bucket/a\u2215b",  # a division slash
    "gs://bucket/a\u202eb",  # letters run backwards from here
    "gs://bucket/a\u200bb",  # a space of no width
    "gs://bucket/" + "x" * (MAX_OBJECT_BYTES + 1),
    "gs://bucket/" + "\u00e4" * (MAX_OBJECT_BYTES // 2 + 1),
    "gs://bucket/.well-known/acme-challenge/x",
    # wildcards
    "gs://bucket/***",
    "gs://bucket/**/x",
    "gs://bucket/**x",
    "gs://bucket/**.dcm/x",
    "gs://bucket/*/**",
    "gs://bucket/?/**.dcm",
    "gs://bucket/**.*",
    "gs://bucket/**/**",
]
"""URIs that no import may have."""


@pytest.mark.parametrize("uri", BAD_URIS)
def test_a_uri_of_another_form_is_refused(uri: str) -> None:
    """All other URI formats are invalid; the message names the field and the rule."""
    with pytest.raises(InvalidArgument, match=r"^gcsSource\.uri: (must|names|is required)"):
        ImportDicomDataRequest.from_api({"gcsSource": {"uri": uri}}, strict=True)


@pytest.mark.parametrize(
    "uri",
    [
        "gs://bucket/x",
        "gs://my_bucket-1/dir/file.dcm",
        "gs://www.example.com/x",
        "gs://" + "b" * 63 + "/x",
        "gs://bucket/dir/*",
        "gs://bucket/*/series?/*.dcm",
        "gs://bucket/**",
        "gs://bucket/dir/**",
        "gs://bucket/dir/**.dcm",
        "gs://bucket/dir/im**.nii.gz",
        "gs://bucket/.hidden/..x/x..",
        "gs://bucket/a b+c&d=e#f[1]{2}%20100%.dcm",
        "gs://bucket/\u753b\u50cf/\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.dcm",
        "gs://bucket/" + "x" * MAX_OBJECT_BYTES,
    ],
)
def test_a_uri_is_taken_as_it_stands(uri: str) -> None:
    """Nothing is decoded, folded or cut."""
    parsed = parse_gcs_uri(uri, wildcards=True)
    assert str(parsed) == uri
    assert parsed.has_wildcards == ("*" in uri)


def test_a_place_to_write_to_has_no_wildcards() -> None:
    """No destination, and no file that is read as a whole, may be a pattern."""
    for uri in ("gs://bucket/*", "gs://bucket/a?", "gs://bucket/**"):
        with pytest.raises(InvalidArgument, match=r"^uriPrefix: must not have wildcards"):
            parse_gcs_uri(uri, prefix=True, path="uriPrefix")


def test_a_prefix_may_be_a_bucket_or_a_folder() -> None:
    """A slash is put between prefix and object if the prefix does not end with one."""
    for prefix in ("gs://bucket", "gs://bucket/"):
        assert str(parse_gcs_uri(prefix, prefix=True).below("s/i.dcm")) == "gs://bucket/s/i.dcm"
    for prefix in ("gs://bucket/dir", "gs://bucket/dir/"):
        assert str(parse_gcs_uri(prefix, prefix=True).below("s/i.dcm")) == "gs://bucket/dir/s/i.dcm"
    with pytest.raises(InvalidArgument, match="must not have '.' or '..'"):
        parse_gcs_uri("gs://bucket/dir", prefix=True).below("../x")


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "a.dcm", True),
        ("*", "", True),
        ("*", "a/b", False),
        ("a/*.dcm", "a/.dcm", True),
        ("a/*.dcm", "a/b.dcm", True),
        ("a/*.dcm", "a/b/c.dcm", False),
        ("a/*.dcm", "a/b.DCM", False),
        ("*/*", "a/b", True),
        ("*a*b*", "xxayybzz", True),
        ("*ab*ab", "abab", True),
        ("?", "a", True),
        ("?", "", False),
        ("?", "\U0001f600", True),
        ("a?b", "a/b", False),
        ("**", "a/b/c", True),
        ("a/**", "a/b/c", True),
        ("a/**", "ab/c", False),
        ("a/**.dcm", "a/b/c.dcm", True),
        ("a/**.dcm", "a/c.dcm", True),
        ("a/**.dcm", "a/cdcm", False),
        ("a.b", "axb", False),
        ("[ab]", "a", False),
        ("a\n*", "a\nb", True),
    ],
)
def test_wildcards(pattern: str, name: str, matches: bool) -> None:
    """* is any characters but slashes, ** also slashes, ? one character; all else is itself."""
    assert (glob_regex(pattern).fullmatch(name) is not None) == matches


_NAMES = st.text("ab/", max_size=8)


@given(st.text("ab/*?", max_size=6).filter(lambda p: "**" not in p), _NAMES)
def test_wildcards_agree_with_a_plain_translation(pattern: str, name: str) -> None:
    """The pattern that never goes back matches what the simple, slow one does."""
    plain = "".join({"*": "[^/]*", "?": "[^/]"}.get(c, re.escape(c)) for c in pattern)
    assert (glob_regex(pattern).fullmatch(name) is None) == (re.fullmatch(plain, name) is None)


def test_a_hostile_pattern_takes_no_time() -> None:
    """A hundred stars against a name that nearly matches would take ages with a pattern that goes back."""
    assert glob_regex("*a" * 100 + "b").fullmatch("a" * 1_000) is None


def test_what_all_names_begin_with() -> None:
    """The part before the first wildcard."""
    assert parse_gcs_uri("gs://bucket/dir/a*.dcm", wildcards=True).literal == "dir/a"
    assert parse_gcs_uri("gs://bucket/**", wildcards=True).literal == ""
    assert GcsUri("bucket", "dir/a.dcm").literal == "dir/a.dcm"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "gcsSource: is required"),
        ({"gcsSource": {}}, "gcsSource.uri: is required"),
        ({"gcsSource": {"uri": 1}}, "gcsSource.uri: must be a string"),
        ({"gcsSource": "gs://bucket/x"}, "gcsSource: must be a JSON object"),
        ({"gcsSource": {"uri": "gs://bucket/x", "contentStructure": "DICOM"}}, 'Unknown name "contentStructure"'),
        ({"inputConfig": {}}, 'Unknown name "inputConfig"'),
        (
            {"gcsSource": {"uri": "gs://bucket/x"}, "blobStorageSettings": {"blobStorageClass": "GLACIER"}},
            "blobStorageSettings.blobStorageClass: must be one of",
        ),
    ],
)
def test_a_wrong_import_request_is_refused(body: dict[str, object], message: str) -> None:
    """The message names the field, the rule and the remedy."""
    with pytest.raises(InvalidArgument, match=re.escape(message)):
        ImportDicomDataRequest.from_api(body, strict=True)


def test_storage_class_of_an_import() -> None:
    """Unspecified, and left out, mean STANDARD."""
    source = {"gcsSource": {"uri": "gs://bucket/x"}}
    assert ImportDicomDataRequest.from_api(source).storage_class == "STANDARD"
    for named, meant in (("BLOB_STORAGE_CLASS_UNSPECIFIED", "STANDARD"), ("ARCHIVE", "ARCHIVE")):
        request = ImportDicomDataRequest.from_api(source | {"blobStorageSettings": {"blobStorageClass": named}})
        assert request.storage_class == meant
