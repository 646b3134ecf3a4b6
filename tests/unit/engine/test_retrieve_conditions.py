"""Ranges and conditions of an instance as it was stored (RFC 9110 sections 13 and 14)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from dicomkit.engine import Engine
from tests.unit.engine.factories import AS_STORED, FILE_AS_STORED, Instance, client, instance, store


@pytest.fixture
def http(tmp_path: Path) -> Iterator[Client]:
    with Engine(tmp_path) as engine:
        yield client(engine)


@pytest.fixture(params=[3_000, 9 << 20], ids=["small", "large"])
def one(request: pytest.FixtureRequest, http: Client) -> Instance:
    """A stored instance: one that is read at once, and one that is read in pieces."""
    made = instance(pixels=request.param)
    assert store(http, made).status_code == 200
    return made


def get(http: Client, one: Instance, *, method: str = "GET", **headers: str) -> object:
    """The file of *one*."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.open(one.path, method=method, headers={"Accept": FILE_AS_STORED, **fields})


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [("bytes=0-0", 0, 1), ("bytes=100-299", 100, 300), ("bytes=1000-", 1000, None), ("bytes=-50", -50, None)],
)
def test_one_range_is_sent(http: Client, one: Instance, asked: str, start: int, stop: int | None) -> None:
    """206 with those bytes and no others, and where they are."""
    answer = get(http, one, Range=asked)
    assert answer.status_code == 206
    assert answer.data == one.data[start:stop]
    first = start % len(one.data)
    assert answer.headers["Content-Range"] == f"bytes {first}-{first + len(answer.data) - 1}/{len(one.data)}"
    assert answer.content_length == len(answer.data)


@pytest.mark.parametrize("asked", ["bytes=0-1,5-9", "lines=1-2", "bytes=9-1", "bytes", "bytes=x-y"])
def test_what_is_not_one_range_gives_the_whole(http: Client, one: Instance, asked: str) -> None:
    """A server may ignore a Range header, and has to ignore one that it cannot read."""
    answer = get(http, one, Range=asked)
    assert (answer.status_code, answer.data) == (200, one.data)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_a_range_behind_the_end_is_416(http: Client, one: Instance) -> None:
    """With the length, so that the client can ask again."""
    answer = get(http, one, Range=f"bytes={len(one.data)}-")
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(one.data)}"
    assert answer.json["error"]["status"] == "OUT_OF_RANGE"


def test_the_etag_is_the_hash_of_the_bytes(http: Client, one: Instance) -> None:
    """Strong, and the same for the same bytes; who has them gets 304."""
    etag = get(http, one).headers["ETag"]
    assert etag == f'"{one.sha256}"'
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = get(http, one, If_None_Match=known)
        assert (answer.status_code, answer.data, answer.headers["ETag"]) == (304, b"", etag)
    assert get(http, one, If_None_Match='"x"').status_code == 200
    assert get(http, one, If_Match=etag).status_code == 200
    assert get(http, one, If_Match='"x"').status_code == 412


def test_if_range_takes_a_strong_validator_only(http: Client, one: Instance) -> None:
    """The range when the bytes are the same, all of them when they may be others."""
    etag = f'"{one.sha256}"'
    assert get(http, one, Range="bytes=0-9", If_Range=etag).status_code == 206
    for other in ('"x"', f"W/{etag}", "Wed, 21 Oct 2025 07:28:00 GMT"):
        answer = get(http, one, Range="bytes=0-9", If_Range=other)
        assert (answer.status_code, len(answer.data)) == (200, len(one.data))


def test_head_says_what_get_would(http: Client, one: Instance) -> None:
    """The same header fields, and no body."""
    head, whole = get(http, one, method="HEAD"), get(http, one)
    assert head.data == b""
    assert dict(head.headers) == dict(whole.headers)
    assert head.content_length == len(one.data)
    assert get(http, one, method="HEAD", Range="bytes=0-9").status_code == 200


def test_a_multipart_answer_has_no_ranges(http: Client, one: Instance) -> None:
    """Its boundary is another each time."""
    answer = http.get(one.path, headers={"Accept": AS_STORED, "Range": "bytes=0-9"})
    assert answer.status_code == 200
    assert "ETag" not in answer.headers


def test_a_damaged_instance_gives_no_range(tmp_path: Path) -> None:
    """The hash of all is checked before a part of it is sent."""
    with Engine(tmp_path) as engine:
        http = client(engine)
        one = instance(pixels=9 << 20)
        store(http, one)
        (file,) = engine.home.blobs.iterdir()
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(bytes(data))
        answer = get(http, one, Range="bytes=0-9")
        assert (answer.status_code, answer.json["error"]["status"]) == (500, "DATA_LOSS")
