"""The filter config and the file that it names."""

from __future__ import annotations

import io

import pytest

from dicomkit.errors import InvalidArgument
from dicomkit.resources.filter_config import DicomFilterConfig, ResourcePath, parse_resource_paths

STUDY = "/studies/1.2"
SERIES = f"{STUDY}/series/1.2.3"
INSTANCE = f"{SERIES}/instances/1.2.3.4"


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_each_level_is_read_from_lines_of_either_end(end: str, last: str) -> None:
    """One path a line, separated by a line feed with or without a carriage return, the last with or without it."""
    file = io.BytesIO((end.join([STUDY, SERIES, INSTANCE]) + last).encode())
    assert list(parse_resource_paths(file)) == [
        ResourcePath("1.2"),
        ResourcePath("1.2", "1.2.3"),
        ResourcePath("1.2", "1.2.3", "1.2.3.4"),
    ]


def test_a_path_is_written_as_it_was_read() -> None:
    """The text of a path is the line."""
    assert [str(path) for path in parse_resource_paths([STUDY.encode(), SERIES.encode(), INSTANCE.encode()])] == [
        STUDY,
        SERIES,
        INSTANCE,
    ]


def test_lines_without_text_and_a_byte_order_mark_are_passed_over() -> None:
    """Editors leave both behind; the numbers of the lines stay those of the file."""
    assert list(parse_resource_paths([b"\xef\xbb\xbf/studies/1.2\r\n", b"\r\n", b"\n", b"/studies/1.3"])) == [
        ResourcePath("1.2"),
        ResourcePath("1.3"),
    ]
    with pytest.raises(InvalidArgument, match="line 3 of the filter file"):
        list(parse_resource_paths([b"/studies/1.2\n", b"\n", b"nothing\n"]))


@pytest.mark.parametrize(
    "line",
    [
        "studies/1.2",
        "/study/1.2",
        "/studies",
        "/studies/",
        "/studies/1.2/",
        "/studies/1.2/series",
        "/studies/1.2/series/",
        "/studies/1.2/instances/1.3",
        "/studies/1.2/series/1.3/frames/1",
        "/studies/1.2/series/1.3/instances/1.4/frames/1",
        "/studies/1.2 ",
        " /studies/1.2",
        "/studies/..",
        "/studies/../../etc",
        "/studies/%2e%2e",
        "/studies/1.2\x00",
        "/studies/1.2\r\r",
        "/studies/1.2/series/*",
        f"/studies/{'1' * 65}",
        "/studies/１.２",
        "/STUDIES/1.2",
        "x" * 100_000,
    ],
)
def test_a_malformed_line_is_refused_by_its_number(line: str) -> None:
    """The message names the line; it does not grow with what the line holds."""
    with pytest.raises(InvalidArgument, match="line 2 of the filter file") as caught:
        list(parse_resource_paths([b"/studies/1.2\n", line.encode() + b"\n"]))
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    "uri", ["", "x", "gs://", "gs://bucket", "gs://bucket/", "gs://bucket/*.txt", "file:///etc/passwd", "gs://b/../x"]
)
def test_a_uri_that_names_no_object_is_refused(uri: str) -> None:
    """The format is gs://bucket/path/to/object, without wildcards."""
    with pytest.raises(InvalidArgument, match="^resourcePathsGcsUri: "):
        DicomFilterConfig.from_api({"resourcePathsGcsUri": uri})


def test_a_config_keeps_its_uri() -> None:
    """What is read is what is written."""
    config = DicomFilterConfig.from_api({"resourcePathsGcsUri": "gs://bucket/a/paths.txt"}, strict=True)
    assert (config.uri.bucket, config.uri.object) == ("bucket", "a/paths.txt")
    assert config.to_api() == {"resourcePathsGcsUri": "gs://bucket/a/paths.txt"}
    with pytest.raises(InvalidArgument, match="^resourcePathsGcsUri: is required"):
        DicomFilterConfig()
